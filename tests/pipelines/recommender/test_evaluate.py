"""The protocol rewards what it should: perfect lists get 1, constant scores nothing; the verdict says what is so."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.recommender import evaluate as protocol
from pipelines.recommender import steps
from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.evaluate import Tested as Ranked
from pipelines.recommender.evaluate import TestPart as Part
from pipelines.recommender.evaluate import evaluation_document, fold_in_loss, run_test, user_table
from pipelines.recommender.features import Catalogue
from pipelines.recommender.linear import Popularity
from shared.errors import RequestError
from shared.publishing.plain import plain

METRICS = ("recall_at_20", "ndcg_at_20", "hit_rate_at_10", "ndcg_at_10")


@pytest.fixture(scope="module")
def part(world):
    return Part.of(world.catalogue, world.before, world.test, world.config)


def means(tested: Ranked) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in tested.per_user.items()}


def perfect(part, fixed):
    """Knows the test part."""
    table = torch.zeros(int(part.index.max()) + 1, part.seen.num_items)
    reachable = part.relevant.first_items(part.seen.num_items)
    table[part.index[reachable.users], reachable.items] = 1.0
    return fixed(table)


def test_a_ranker_that_knows_the_test_part_gets_everything(part, fixed, world):
    found = means(run_test(perfect(part, fixed), part, world.config))
    assert all(found[name] == pytest.approx(1.0) for name in METRICS)
    assert found["hit_rate_at_10_sampled20"] == found["ndcg_at_10_sampled20"] == 1.0


def test_equal_scores_for_everything_get_nothing(part, fixed, world):
    """With ties in our favour, a model that learnt nothing would look perfect."""
    table = torch.zeros(len(world.catalogue.users), part.seen.num_items)
    found = means(run_test(fixed(table), part, world.config))
    assert all(found[name] == 0.0 for name in METRICS)
    assert found["hit_rate_at_10_sampled20"] == 0.0


def test_popularity_lies_between_chance_and_the_personal_models(part, world):
    popular = means(run_test(world.final["popularity"], part, world.config))["ndcg_at_20"]
    personal = means(run_test(world.final["item_knn"], part, world.config))["ndcg_at_20"]
    assert 0.02 < popular < 0.7 * personal


def test_items_that_nobody_can_recommend_count_as_misses(world, fixed, part):
    """Half of the users get an unknown item as their only test item: a perfect ranker reaches one half."""
    odd = pl.col("user_id").str.slice(-1).str.to_integer() % 2 == 1
    test = world.test.with_columns(item_id=pl.when(odd).then(pl.lit("released later")).otherwise("item_id"))
    half = Part.of(world.catalogue, world.before, test, world.config)
    assert torch.equal(half.index, part.index)
    tested = run_test(perfect(half, fixed), half, world.config)
    found = means(tested)
    assert all(found[name] == pytest.approx(0.5) for name in (*METRICS, "hit_rate_at_10_sampled20"))
    document = documented({"popularity": tested}, half, world, served="popularity")
    assert document["unreachable"] == pytest.approx(0.5)


def test_users_without_a_history_are_left_out_and_the_others_keep_their_places(world, part):
    stranger = world.test[:1].with_columns(user_id=pl.lit("a stranger"))
    found = Part.of(world.catalogue, world.before, pl.concat([stranger, world.test]), world.config)
    assert torch.equal(found.index, part.index)
    assert torch.equal(found.relevant.items, part.relevant.items)


def test_a_test_part_of_strangers_alone_is_no_crash(world):
    """A split by time can leave only users who are new."""
    strangers = world.test.with_columns(user_id="new " + pl.col("user_id"))
    part = Part.of(world.catalogue, world.before, strangers, world.config)
    tested = run_test(world.final["popularity"], part, world.config)
    document = documented({"popularity": tested}, part, world, served="popularity")
    assert document["metrics"]["popularity"]["test/ndcg_at_20"]["value"] is None


def test_sampled_candidates_are_one_relevant_item_and_clean_negatives(world, part):
    candidates = part.candidates
    assert candidates.shape == (len(part.index), 21)
    assert part.relevant.contain(candidates[:, :1]).all()
    assert not part.seen.contain(candidates[:, 1:]).any()
    assert not part.relevant.contain(candidates[:, 1:]).any()
    assert candidates[:, 1:].max() < world.catalogue.num_warm
    again = Part.of(world.catalogue, world.before, world.test, world.config)
    assert torch.equal(again.candidates, candidates)


def test_trained_and_folded_in_users_differ_only_where_vectors_do(world, part):
    for kind, equal in (("ease", True), ("ials", True), ("neumf", False)):
        trained = run_test(world.final[kind], part, world.config).shown
        folded = run_test(world.final[kind], part, world.config, fold_in=True).shown
        assert (trained == folded).float().mean() > 0.99 if equal else not torch.equal(trained, folded)
    loss = fold_in_loss(world.final["ease"], part, world.config)
    assert loss["difference"]["difference"] == 0.0
    assert loss["users"] == len(part.index)


def fake(part: Part, ndcg: np.ndarray) -> Ranked:
    """A model of which only NDCG@20 is known; the rest follows it."""
    names = (
        *METRICS,
        "hit_rate_at_20",
        "recall_at_10",
        "hit_rate_at_10_sampled20",
        "ndcg_at_10_sampled20",
        "long_tail_share",
    )
    shown = torch.arange(20).repeat(len(part.index), 1)
    return Ranked(dict.fromkeys(names, ndcg), shown, 0.1)


def documented(tested, part, world, served, selection=None, config: RecommenderConfig | None = None):
    selection = selection or {
        kind: {
            "best": {"ndcg_at_20": float(result.per_user["ndcg_at_20"].mean()) if len(part.index) else 0.0}
        }
        for kind, result in tested.items()
    }
    table = user_table(tested, part, world.catalogue)
    return plain(evaluation_document(tested, table, part, selection, served, config or world.config))


@pytest.fixture
def verdict_of(world, part):
    """The verdict when models have these mean NDCGs on the same users, with noise of their own."""

    def judge(served, noise=0.02, **levels):
        random = np.random.default_rng(0)
        tested = {
            kind: fake(part, np.clip(level + random.normal(0, noise, len(part.index)), 0, 1))
            for kind, level in levels.items()
        }
        return documented(tested, part, world, served)["verdict"]

    return judge


def test_a_network_that_beats_every_other_model_is_worth_it(verdict_of):
    found = verdict_of("neumf", popularity=0.1, ease=0.3, mf=0.3, neumf=0.4)
    assert found["beats"] == "yes"
    assert "Here a network is worth it." in found["sentence"]
    assert "Pre-trained NeuMF" in found["sentence"]


def test_a_network_that_loses_to_any_other_model_is_not_worth_its_cost(verdict_of):
    found = verdict_of("ease", popularity=0.1, ease=0.4, mf=0.3, neumf=0.35)
    assert (found["beats"], found["best_baseline"]) == ("no", "ease")
    assert "Here a network is not worth its cost." in found["sentence"]
    assert "Served is EASE, the best on validation." in found["sentence"]


def test_a_network_within_noise_of_the_best_other_model_has_no_advantage(verdict_of):
    found = verdict_of("neumf", noise=0.2, popularity=0.1, ease=0.35, mf=0.3, neumf=0.36)
    assert found["beats"] == "within noise"
    assert "shows no advantage over EASE, which costs less" in found["sentence"]


def test_a_network_below_nine_tenths_of_tuned_matrix_factorisation_should_not_be_used(verdict_of):
    found = verdict_of("mf", popularity=0.1, mf=0.4, neumf=0.3)
    assert "should not be used: it reaches 75% of tuned matrix factorisation" in found["sentence"]
    assert "should not be used" not in verdict_of("mf", popularity=0.1, mf=0.4, neumf=0.38)["sentence"]


def test_without_a_network_the_verdict_says_so(verdict_of):
    found = verdict_of("ease", popularity=0.1, ease=0.3)
    assert found["sentence"] == "No network was trained. Served is EASE, the best on validation."


def test_the_network_of_the_verdict_is_the_best_on_validation_and_not_on_test(world, part):
    tested = {
        kind: fake(part, np.full(len(part.index), level)) for kind, level in (("gmf", 0.5), ("mlp", 0.1))
    }
    tested["popularity"] = fake(part, np.full(len(part.index), 0.05))
    selection = {
        kind: {"best": {"ndcg_at_20": value}}
        for kind, value in (("gmf", 0.2), ("mlp", 0.3), ("popularity", 0.1))
    }
    found = documented(tested, part, world, "mlp", selection)
    assert found["network"] == "mlp"
    assert found["verdict"]["sentence"].startswith("The best network, MLP")


def test_a_model_that_was_asked_for_is_not_called_the_best(world, part):
    """serving.model=popularity: the verdict must not claim that validation chose it."""
    tested = {
        "popularity": fake(part, np.full(len(part.index), 0.1)),
        "ease": fake(part, np.full(len(part.index), 0.5)),
    }
    serving = world.config.serving.model_copy(update={"model": "popularity"})
    config = world.config.model_copy(update={"serving": serving})
    sentence = documented(tested, part, world, "popularity", config=config)["verdict"]["sentence"]
    assert "Served is Popularity" in sentence
    assert "the best on validation" not in sentence


def test_a_model_that_cannot_be_trained_is_refused_when_it_shall_be_served():
    """EASE over its limit is left out of a comparison; to serve it is a request that cannot be met."""
    overrides = {"models": ("popularity",), "serving.model": "ease", "linear.ease_max_items": 20}
    from pipelines.recommender.flow import configure

    config = configure("tiny", "synthetic", overrides)
    ingested = steps.ingest.function(steps.identify("synthetic", config.data), config.data, 0)
    divided = steps.split.function(ingested, config.protocol, 0)
    with pytest.raises(RequestError, match="ease"):
        steps.train.function(ingested, divided, config)


def test_intervals_are_over_users_and_differences_paired(world, part):
    random = np.random.default_rng(0)
    one = random.random(len(part.index))
    tested = {"ease": fake(part, one), "popularity": fake(part, np.clip(one - 0.01, 0, 1))}
    found = documented(tested, part, world, "ease")
    metric = found["metrics"]["ease"]["test/ndcg_at_20"]
    assert metric["n"] == len(part.index)
    assert metric["value"] == pytest.approx(one.mean())
    assert metric["high"] - metric["low"] == pytest.approx(4 * one.std() / len(one) ** 0.5, rel=0.4)
    difference = found["against_served"]["popularity"]
    assert difference["low"] > 0.005
    assert difference["outside_noise"]


def test_thirds_of_users_by_activity_hold_everybody_once(world, part):
    values = np.linspace(0, 1, len(part.index))
    groups = documented({"popularity": fake(part, values)}, part, world, "popularity")["users"]
    assert [group["group"] for group in groups] == ["fewest", "middle", "most"]
    assert sum(group["ndcg_at_20"]["n"] for group in groups) == len(part.index)
    bounds = [bound for group in groups for bound in group["items"]]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("num_users", [1, 2, 4])
def test_a_handful_of_test_users_still_gives_a_document(world, num_users):
    few = Part.of(world.catalogue, world.before, world.test[:num_users], world.config)
    tested = {
        kind: run_test(world.final[kind], few, world.config) for kind in ("popularity", "ease", "mf", "neumf")
    }
    found = documented(tested, few, world, "ease")
    assert sum(group["ndcg_at_20"]["n"] for group in found["users"]) == num_users
    assert found["metrics"]["ease"]["test/ndcg_at_20"]["n"] == num_users


@pytest.mark.parametrize(
    ("full", "sampled", "expected"),
    [([0.1, 0.2, 0.3], [0.2, 0.4, 0.6], 1.0), ([0.1, 0.2, 0.3], [0.6, 0.4, 0.2], -1.0),
     ([0.1, 0.2, 0.3], [0.2, 0.6, 0.4], 1 / 3)],
    ids=["same order", "reversed", "one pair turned"],
)  # fmt: skip
def test_agreement_of_the_sampled_metric_is_kendalls_tau(world, part, full, sampled, expected):
    tested = {}
    for kind, ours, theirs in zip(("popularity", "ease", "mf"), full, sampled, strict=True):
        result = fake(part, np.full(len(part.index), ours))
        changed = dict(result.per_user) | {"ndcg_at_10_sampled20": np.full(len(part.index), theirs)}
        tested[kind] = replace(result, per_user=changed)
    found = documented(tested, part, world, "ease")["sampled"]["order_agreement"]
    assert found == pytest.approx(expected)


def test_the_audit_of_the_real_candidates_is_clean(world, part):
    audit = documented({"popularity": fake(part, np.zeros(len(part.index)))}, part, world, "popularity")[
        "sampled"
    ]["audit"]
    assert audit == {"users": len(part.index), "duplicates": 0, "positives": 0, "short": 0}


def test_a_ranker_of_the_known_items_alone_and_one_of_all_items_see_the_same_test(world, part):
    """The hybrid ranks more items than the others; what is relevant stays the same."""
    few = Popularity.fit(world.histories.first_items(world.catalogue.num_warm))
    every = Popularity.fit(world.histories)
    found = [run_test(model, part, world.config).per_user["ndcg_at_20"] for model in (few, every)]
    assert np.array_equal(*found)


def test_what_was_asked_for_and_not_trained_has_a_reason(world):
    bare = Catalogue.fit(world.before)
    linear = world.config.linear.model_copy(update={"ease_max_items": 10})
    config = world.config.model_copy(update={"linear": linear})
    found = protocol.not_trained(bare, config)
    assert sorted(found) == ["ease", "hybrid"]
    assert sorted(set(steps.wanted_kinds(bare, config)) & {"ease", "hybrid"}) == []
    assert protocol.not_trained(world.catalogue, world.config) == {}
