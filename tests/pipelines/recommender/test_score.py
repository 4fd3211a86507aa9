"""The scorer says what the evaluation said, shows nothing twice, and admits when it knows nothing."""

import dataclasses

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.evaluate import TestPart as Part
from pipelines.recommender.evaluate import run_test
from pipelines.recommender.explain import contribution_table
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.ranking import top_items
from pipelines.recommender.score import Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.publishing.bundle import BundleFacts, write_bundle

FACTORS = ("ials", "mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid")


def frame(pairs, **columns) -> pl.DataFrame:
    users, items = zip(*pairs, strict=True)
    return pl.DataFrame({"user_id": users, "item_id": items, **columns})


def with_top(scorer: Scorer, top_n: int) -> Scorer:
    serving = scorer.config.serving.model_copy(update={"top_n": top_n})
    return dataclasses.replace(scorer, config=scorer.config.model_copy(update={"serving": serving}))


def had(interactions: pl.DataFrame) -> set[tuple[str, str]]:
    return set(interactions.select("user_id", "item_id").rows())


@pytest.mark.parametrize("kind", TITLES)
def test_scores_equal_those_of_the_evaluation(world, kind):
    scorer, ranker = with_top(world.scorer(kind), 20), world.final[kind]
    histories = world.histories
    users = ranker.known(histories.first_items(ranker.num_items), torch.arange(len(histories)))
    expected = top_items(ranker, users, histories, 20, memory_mb=64)
    found = scorer.score(world.before).partition_by("user_id", maintain_order=True)
    assert len(found) == len(histories)
    for row, rows in enumerate(found):
        assert rows["score"].to_list() == pytest.approx(expected.scores[row].tolist(), abs=1e-6)
        with torch.inference_mode():
            scores = ranker.scores(users.select(torch.tensor([row])))[0]
        index = world.catalogue.item_index(rows["item_id"])
        assert rows["score"].to_list() == pytest.approx(scores[index].tolist(), abs=1e-6)


@pytest.mark.parametrize("kind", ["item_knn", "ease", "ials", "neumf"])
def test_lists_equal_those_of_the_evaluation(world, kind):
    part = Part.of(world.catalogue, world.before, world.test, world.config)
    shown = run_test(world.final[kind], part, world.config).shown
    found = with_top(world.scorer(kind), 20).score(world.before)
    for row, user in enumerate(world.catalogue.users[part.index.numpy()]):
        items = found.filter(pl.col("user_id") == user)["item_id"]
        assert set(world.catalogue.item_index(items).tolist()) == set(shown[row].tolist())


@pytest.mark.parametrize("kind", TITLES)
def test_output_keeps_its_contract_and_shows_nothing_that_was_had(world, kind):
    new = frame([("new", "i-0-01"), ("new", "i-0-02"), ("u003", "i-1-05"), ("stranger", "nothing known")])
    given = pl.concat([world.before.select("user_id", "item_id")[:300], new])
    found = world.scorer(kind).score(given)
    checked = check_table(found, load("recommendations"))
    assert not checked.quarantined.height
    assert not had(found) & (had(given) | had(world.before))
    for rows in found.partition_by("user_id"):
        assert rows["rank"].to_list() == list(range(1, 6))
        assert rows["score"].is_sorted(descending=True)
    assert found["user_id"].n_unique() == given["user_id"].n_unique()
    assert found.filter("fallback")["user_id"].unique().to_list() == ["stranger"]


def test_one_item_of_the_training_history_suffices_to_be_served_as_trained(world):
    """What a known user had is known: the table need not repeat it."""
    scorer = world.scorer("neumf")
    whole = scorer.score(world.before.filter(pl.col("user_id") == "u010"))
    first = scorer.score(world.before.filter(pl.col("user_id") == "u010")[:1])
    assert first.drop("scored_at").equals(whole.drop("scored_at"))


@pytest.mark.parametrize("kind", FACTORS)
def test_a_known_user_with_a_new_item_is_folded_in_and_one_without_is_not(world, kind):
    scorer = world.scorer(kind)
    new = next(
        item
        for item in world.catalogue.items
        if ("u010", item) not in had(world.before) and "cold" not in item
    )
    audience = scorer.audience(
        frame([("u010", new), ("u011", world.before.filter(pl.col("user_id") == "u011")["item_id"][0])])
    )
    assert audience.known.tolist() == [False, True]
    assert audience.histories.counts.tolist() == [9, 8]
    vectors = scorer.users(audience).vectors
    trained = scorer.ranker.known(audience.histories, audience.index).vectors
    assert torch.equal(vectors[1], trained[1])
    assert not torch.allclose(vectors[0], trained[0])


@pytest.mark.parametrize("kind", [kind for kind in TITLES if kind != "popularity"])
def test_a_new_user_gets_items_of_the_kind_that_he_had(world, kind):
    given = frame(
        [(f"new {cluster}", f"i-{cluster}-{place:02}") for cluster in range(4) for place in (0, 2, 5, 7)]
    )
    found = world.scorer(kind).score(given)
    own = found["user_id"].str.slice(4) == found["item_id"].str.slice(2, 1)
    assert own.mean() > 0.7
    assert not found["fallback"].any()


@pytest.mark.parametrize("kind", TITLES)
def test_who_has_nothing_that_the_model_knows_gets_what_is_popular_and_is_told(world, kind):
    found = world.scorer(kind).score(frame([("stranger", "unheard of"), ("other", "unheard of")]))
    assert found["fallback"].all()
    assert found["reason"].str.starts_with("Popular with everybody").all()
    counts = world.before["item_id"].value_counts()
    popular = counts.filter(pl.col("item_id").is_in(found["item_id"].unique().implode()))["count"].sort(
        descending=True
    )
    assert popular.to_list() == counts["count"].sort(descending=True)[:5].to_list()
    assert found["user_id"].to_list() == ["other"] * 5 + ["stranger"] * 5


def test_what_nobody_has_had_is_not_shown_as_popular(world):
    found = with_top(world.scorer("ease"), 1000).score(frame([("stranger", "unheard of")]))
    assert set(found["item_id"]) <= set(world.before["item_id"])


@pytest.mark.parametrize("kind", TITLES)
def test_a_history_of_items_without_interactions_helps_the_hybrid_alone(world, kind):
    found = world.scorer(kind).score(frame([("new", "i-2-cold")]))
    assert found["fallback"].any() == (kind != "hybrid")
    assert "i-2-cold" not in found["item_id"]


@pytest.mark.parametrize("kind", TITLES)
def test_an_empty_table_gives_an_empty_one_of_the_same_shape(world, kind):
    scorer = world.scorer(kind)
    empty, full = scorer.score(world.before[:0]), scorer.score(world.before[:9])
    assert len(empty) == 0
    assert empty.schema == full.schema


@pytest.mark.parametrize("kind", ["popularity", "ease", "neumf"])
def test_lists_end_where_the_unseen_items_end(world, kind):
    items = world.catalogue.items
    given = frame([("hungry", item) for item in items[:-6]] + [("full", item) for item in items])
    found = with_top(world.scorer(kind), 50).score(given)
    assert "full" not in found["user_id"]
    rows = found.filter(pl.col("user_id") == "hungry")
    assert set(rows["item_id"]) == {item for item in items[-6:] if "cold" not in item}
    assert rows["rank"].to_list() == list(range(1, len(rows) + 1))


def test_repeated_rows_and_their_order_do_not_matter(world):
    scorer = world.scorer("ease")
    given = world.before[:200]
    shuffled = pl.concat([given, given[50:90]]).sample(fraction=1.0, shuffle=True, seed=1)
    assert scorer.score(shuffled).drop("scored_at").equals(scorer.score(given).drop("scored_at"))


@pytest.mark.parametrize("kind", ["ials", "neumf"])
def test_a_user_is_served_alike_alone_and_in_a_crowd(world, kind):
    scorer = world.scorer(kind)
    new = [("solo", "i-1-01"), ("solo", "i-1-04"), ("solo", "i-2-03")]
    crowd = frame(
        [
            *new,
            *(
                (f"n{user}", f"i-{user % 4}-{place:02}")
                for user in range(20)
                for place in range(user % 7 + 1)
            ),
        ]
    )
    alone, among = scorer.score(frame(new)), scorer.score(crowd).filter(pl.col("user_id") == "solo")
    assert alone["item_id"].to_list() == among["item_id"].to_list()
    assert alone["score"].to_list() == pytest.approx(among["score"].to_list(), abs=5e-3)


@settings(max_examples=15, deadline=None)
@given(ids=st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=8, unique=True))
def test_users_of_any_name_are_served_under_their_own_name(world, ids):
    given = frame([(user, f"i-{place % 4}-{place // 4:02}") for place, user in enumerate(ids)])
    found = world.scorer("ease").score(given)
    assert set(found["user_id"]) == set(ids)
    for place, user in enumerate(ids):
        first = found.filter(pl.col("user_id") == user)
        assert first["reason"].str.contains(f"Title of i-{place % 4}-{place // 4:02}", literal=True)[0]


@pytest.mark.parametrize("kind", TITLES)
def test_an_interaction_without_a_weight_counts_as_one(world, kind):
    pairs = [("new", "i-0-01"), ("new", "i-0-02"), ("new", "i-0-05")]
    bare = world.scorer(kind).score(frame(pairs))
    weights = pl.Series("weight", [None, None, None], dtype=pl.Float64)
    found = world.scorer(kind).score(frame(pairs).with_columns(weights))
    assert found.drop("scored_at").equals(bare.drop("scored_at"))


@pytest.mark.parametrize("kind", [kind for kind in TITLES if kind != "popularity"])
def test_reasons_name_items_of_the_users_own_history_by_title(world, kind):
    found = world.scorer(kind).score(world.before[:400])
    past = world.before.group_by("user_id").agg("item_id")
    named = found.filter(pl.col("reason").str.starts_with("Because of ")).join(past, on="user_id")
    assert len(named) > 0.6 * len(found)
    for reason, items in named.select("reason", "item_id_right").rows():
        titles = reason.removeprefix("Because of ").split(" and ")
        assert 1 <= len(titles) <= 2
        assert {title.removeprefix("Title of ") for title in titles} <= set(items)


def test_long_titles_do_not_break_the_contract_of_the_output(world):
    titles = pl.Series("title", ["long " * 400] * len(world.catalogue.items))
    scorer = dataclasses.replace(
        world.scorer("ease"), catalogue=dataclasses.replace(world.catalogue, titles=titles)
    )
    checked = check_table(scorer.score(world.before[:50]), load("recommendations"))
    assert not checked.quarantined.height


@pytest.mark.parametrize("kind", [kind for kind in TITLES if kind != "popularity"])
def test_the_table_of_contributions_explains_every_personal_list(world, kind):
    scorer = world.scorer(kind)
    given = pl.concat([world.before[:60].select("user_id", "item_id"), frame([("stranger", "unheard of")])])
    lists = scorer.score(given)
    table = contribution_table(scorer, given, lists)
    assert had(table) <= had(lists.filter(~pl.col("fallback")))
    assert set(table["user_id"]) == set(lists["user_id"]) - {"stranger"}
    assert set(table.select("user_id", pl.col("history_item_id")).rows()) <= had(world.before) | had(given)
    assert not (table["contribution"] == 0).any()


@pytest.mark.parametrize("kind", ["item_knn", "ease"])
def test_contributions_in_the_table_add_up_to_the_score(world, kind):
    scorer = world.scorer(kind)
    lists = scorer.score(world.before[:200])
    sums = (
        contribution_table(scorer, world.before[:200], lists)
        .group_by("user_id", "item_id")
        .agg(pl.col("contribution").sum())
    )
    both = lists.join(sums, on=["user_id", "item_id"], how="left").with_columns(
        pl.col("contribution").fill_null(0.0)
    )
    assert both["score"].to_list() == pytest.approx(both["contribution"].to_list(), abs=1e-5)


@pytest.mark.parametrize("kind", TITLES)
def test_contributions_of_a_table_of_strangers_are_empty(world, kind):
    scorer, given = world.scorer(kind), frame([("stranger", "unheard of")])
    assert len(contribution_table(scorer, given, scorer.score(given))) == 0


@pytest.mark.parametrize("kind", TITLES)
def test_a_published_scorer_recommends_the_same_and_nothing_in_it_could_execute(world, tmp_path, kind):
    scorer = world.scorer(kind)
    digest = "0" * 64
    facts = BundleFacts(
        pipeline="recommender", source="clusters", preset="tiny", contract="interactions@1.0.0",
        contract_digest=digest, input_digest=digest, code_digest=digest, seed=0,
    )  # fmt: skip
    bundle = write_bundle(
        tmp_path / "bundle", facts,
        config=scorer.config.model_dump(mode="json"), metrics={}, tensors=scorer.ranker.tensors(),
        features=scorer.save_features,
    )  # fmt: skip
    again = Scorer.from_bundle(bundle, "7")
    given = pl.concat(
        [world.before[:90].select("user_id", "item_id"), frame([("new", "i-3-01"), ("new", "i-3-02")])]
    )
    assert again.score(given).drop("scored_at").equals(scorer.score(given).drop("scored_at"))
    kinds = {path.suffix for path in bundle.folder.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".parquet", ".md", ".html"}
