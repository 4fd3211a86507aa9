"""Recommending with the published model: every user is served or says why not, and the output keeps its contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

TOP_N = 10


@pytest.fixture(scope="module")
def published(tmp_path_factory, fieldwork_in, tiny_recommender, few_models):
    """The command in a home with one published model: iALS, whose scores are exact sums over a history."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("published") / "home")
    fieldwork(*tiny_recommender, *few_models, "--set", "serving.model=ials", "--quiet").require_success()
    return fieldwork


@pytest.fixture(scope="module")
def known(generated) -> pl.DataFrame:
    """Of each training user all that came before the test part: exactly what the model has learnt from."""
    behind = pl.len().over("user_id") - pl.int_range(pl.len()).over("user_id")
    return generated.interactions.sort("user_id", "interacted_at").filter(behind > 1)


@pytest.fixture(scope="module")
def new(known) -> pl.DataFrame:
    """The same histories, of users whom the model has never seen."""
    return known.with_columns(user_id="new-" + pl.col("user_id"))


def score(fieldwork: Any, source: Any, out: Any, *options: str):
    return fieldwork("score", "recommender", source, "--out", out, *options)


def served(
    fieldwork: Any, table: pl.DataFrame, folder: Any, *options: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The summary and the recommendations for the users of a table."""
    table.write_parquet(folder / "users.parquet")
    outcome = score(fieldwork, folder / "users.parquet", folder / "out.parquet", "--json", "-", *options)
    return outcome.require_success().document, pl.read_parquet(folder / "out.parquet")


def test_trained_users_get_their_full_lists_of_items_that_they_have_not_had(published, known, tmp_path):
    document, lists = served(published, known, tmp_path)
    assert document["rows"] == {
        "in": len(known), "quarantined": 0, "scored": 150 * TOP_N, "users": 150, "fallback_users": 0,
    }  # fmt: skip
    assert lists.join(known, on=["user_id", "item_id"], how="semi").is_empty()
    ranks = lists.group_by("user_id", maintain_order=True).agg("rank", "score")
    assert ranks["rank"].to_list() == [list(range(1, TOP_N + 1))] * 150
    assert all(scores == sorted(scores, reverse=True) for scores in ranks["score"].to_list())
    assert lists["reason"].str.starts_with("Because of Item ").mean() > 0.9


def test_user_who_brings_one_known_item_is_still_known_by_all_that_he_had(published, known, tmp_path):
    _, whole = served(published, known, tmp_path)
    _, by_one = served(published, known.group_by("user_id", maintain_order=True).first(), tmp_path)
    assert by_one.drop("scored_at").equals(whole.drop("scored_at"))


def test_new_user_with_the_history_of_a_trained_one_gets_the_same_list(published, known, new, tmp_path):
    _, trained = served(published, known, tmp_path)
    _, folded_in = served(published, new, tmp_path)
    assert folded_in["user_id"].str.strip_prefix("new-").equals(trained["user_id"])
    np.testing.assert_allclose(folded_in["score"], trained["score"], rtol=0, atol=1e-4)
    assert (folded_in["item_id"] == trained["item_id"]).mean() > 0.99
    assert not folded_in["fallback"].any()


def test_what_a_known_user_did_since_changes_his_list(published, known, generated, tmp_path):
    _, before = served(published, known, tmp_path)
    _, after = served(published, generated.interactions, tmp_path)
    assert after.join(generated.interactions, on=["user_id", "item_id"], how="semi").is_empty()
    both = before.join(after, on=["user_id", "item_id"], suffix="_after")
    assert (both["score"] != both["score_after"]).mean() > 0.9


def test_user_with_unknown_items_only_gets_popular_ones_and_is_told(published, known, tmp_path):
    stranger = known.head(2).with_columns(user_id=pl.lit("stranger"), item_id=pl.Series(["?1", "?2"]))
    document, lists = served(published, pl.concat([known, stranger]), tmp_path)
    assert (document["rows"]["users"], document["rows"]["fallback_users"]) == (151, 1)
    fallback = lists.filter("fallback")
    assert fallback["user_id"].unique().to_list() == ["stranger"]
    popular = known["item_id"].value_counts().sort("count", descending=True)["count"].head(TOP_N)
    assert fallback["score"].to_list() == popular.to_list(), "the most popular items of training"
    assert fallback["reason"].str.contains("nothing is known of this user").all()


def test_table_of_strangers_alone_is_served_too(published, known, tmp_path):
    strangers = known.head(40).with_columns(item_id=pl.lit("unheard-of"))
    document, lists = served(published, strangers.with_columns(user_id="new-" + pl.col("user_id")), tmp_path)
    assert document["rows"]["fallback_users"] == document["rows"]["users"] == strangers["user_id"].n_unique()
    assert lists["fallback"].all()


def test_user_who_has_had_everything_does_not_disturb_the_others(published, known, tmp_path):
    items = known["item_id"].unique().sort()
    glutton = pl.DataFrame({"user_id": ["glutton"] * len(items), "item_id": items})
    _, lists = served(published, pl.concat([known, glutton], how="diagonal").drop("interacted_at"), tmp_path)
    assert "glutton" not in lists["user_id"]
    assert lists["user_id"].n_unique() == 150


def test_format_and_order_of_rows_change_no_recommendation(published, new, tmp_path):
    _, expected = served(published, new, tmp_path)
    new.sample(fraction=1.0, shuffle=True, seed=2).write_csv(tmp_path / "shuffled.csv")
    score(published, tmp_path / "shuffled.csv", tmp_path / "out.csv").require_success()
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.select("user_id", "rank", "item_id").equals(expected.select("user_id", "rank", "item_id"))
    np.testing.assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-5)


def test_missing_weight_counts_as_one(published, new, tmp_path):
    _, expected = served(published, new.with_columns(weight=pl.lit(1.0)), tmp_path)
    missing = pl.when(pl.int_range(pl.len()) % 2 == 0).then(1.0).alias("weight")
    _, found = served(published, new.with_columns(missing), tmp_path)
    assert found.drop("scored_at").equals(expected.drop("scored_at"))


def test_recommendations_keep_the_output_contract_and_name_that_of_the_input(published, known, tmp_path):
    known.write_csv(tmp_path / "users.csv")
    score(published, tmp_path / "users.csv", tmp_path / "out.csv").require_success()
    check = published("contract", "check", "recommendations", tmp_path / "out.csv").require_success()
    assert "1,500 rows in, 1,500 valid, 0 to quarantine" in check.stdout
    lists = pl.read_csv(tmp_path / "out.csv", schema_overrides={"model_version": pl.String})
    assert lists["model_version"].unique().to_list() == ["1"]
    [contract] = lists["contract"].unique()
    assert contract.startswith("interactions@"), "what the users' interactions were checked against"


def test_broken_rows_go_to_quarantine_and_their_users_are_served_by_the_rest(published, new, tmp_path):
    broken = pl.int_range(pl.len()) % 50 == 7
    table = new.with_columns(item_id=pl.when(broken).then(None).otherwise("item_id"))
    document, lists = served(published, table, tmp_path)
    quarantine = pl.read_parquet(document["quarantine"])
    num_broken = table["item_id"].null_count()
    assert document["rows"]["quarantined"] == len(quarantine) == num_broken > 10
    assert lists["user_id"].n_unique() == 150
    assert set(quarantine.columns) - set(table.columns), "the quarantine names the rule that each row broke"


def test_explanations_add_up_to_the_scores(published, known, new, tmp_path):
    document, lists = served(published, pl.concat([known, new.head(400)]), tmp_path, "--explain")
    explained = pl.read_parquet(document["explanations"])
    assert explained.columns == ["user_id", "item_id", "history_item_id", "contribution"]
    sums = explained.group_by("user_id", "item_id").agg(pl.col("contribution").sum())
    both = lists.join(sums, on=["user_id", "item_id"], how="left", validate="1:1")
    assert both["contribution"].null_count() == 0
    np.testing.assert_allclose(both["contribution"], both["score"], rtol=0, atol=1e-4)
    had = pl.concat([known, new]).select("user_id", history_item_id="item_id")
    assert explained.join(had, on=["user_id", "history_item_id"], how="anti").is_empty()


def test_reason_names_the_item_that_contributes_most(published, new, generated, tmp_path):
    document, lists = served(published, new, tmp_path, "--explain")
    explained = pl.read_parquet(document["explanations"])
    titles = generated.items.select(history_item_id="item_id", title="title")
    strongest = (
        explained.sort("contribution", descending=True)
        .group_by("user_id", "item_id", maintain_order=True)
        .first()
        .filter(pl.col("contribution") > 0)
        .join(titles, on="history_item_id")
    )
    both = lists.join(strongest, on=["user_id", "item_id"])
    assert len(both) > 1000
    named = pl.struct("reason", "title").map_elements(lambda row: row["title"] in row["reason"], pl.Boolean)
    assert both.select(named.alias("named"))["named"].mean() > 0.99, "but for equal contributions"


@pytest.mark.parametrize("prefix", ["", "new-"], ids=["trained", "new"])
def test_audience_of_the_training_table_has_not_drifted(published, generated, tmp_path, prefix):
    table = generated.interactions.with_columns(user_id=prefix + pl.col("user_id"))
    document, _ = served(published, table, tmp_path)
    assert document["drift"] == {"drifted": False, "columns": []}


def test_audience_of_other_habits_has_drifted(published, new, tmp_path):
    rare = new["item_id"].value_counts().sort("count", "item_id")["item_id"].head(40)
    table = new.filter(pl.col("item_id").is_in(rare.implode()))
    drift = served(published, table, tmp_path)[0]["drift"]
    assert drift["drifted"] is True
    assert set(drift["columns"]) == {"history_items", "mean_item_popularity"}


@pytest.mark.parametrize("what", ["quarantine", "explanations"])
def test_scoring_never_writes_over_its_input(published, new, tmp_path, what):
    source = tmp_path / f"out.{what}.parquet"
    new.write_parquet(source)
    score(published, source, tmp_path / "out.csv", "--explain").require_plain_failure(2, source.name)
    score(published, source, source).require_plain_failure(2, "OUTPUT other than the INPUT")
    assert pl.read_parquet(source).equals(new)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("item_id"), ["item_id"]),
        (lambda table: table[:0], ["row"]),
        (lambda table: table.with_columns(user_id=pl.lit(None)), ["user_id"]),
        (lambda table: table.with_columns(interacted_at=pl.lit("lately")), ["interacted_at"]),
    ],
    ids=["column-missing", "no-rows", "no-users", "wrong-type"],
)
def test_table_that_breaks_the_contract_as_a_whole_is_refused(published, new, tmp_path, change, parts):
    change(new).write_csv(tmp_path / "new.csv")
    outcome = score(published, tmp_path / "new.csv", tmp_path / "out.csv")
    outcome.require_plain_failure(2, *parts, most_lines=3)
    assert not (tmp_path / "out.csv").exists()


def test_table_is_served_in_the_form_that_training_had(
    tmp_path, fieldwork, tiny_recommender, few_models, generated
):
    """Own names of columns, and the rating from which on an interaction counts."""
    own = generated.interactions.select(
        customer="user_id", product="item_id", day="interacted_at", stars=pl.lit(5.0)
    )
    own.write_parquet(tmp_path / "own.parquet")
    columns = "data.columns=[user_id=customer, item_id=product, interacted_at=day, rating=stars]"
    options: Sequence[str] = ("--set", columns, "--set", "data.min_rating=3", "--set", "serving.model=ials")
    command = (*tiny_recommender, *few_models, *options, "--data", tmp_path / "own.parquet", "--quiet")
    fieldwork(*command).require_success()
    fan = own.head(30).with_columns(customer=pl.lit("fan"))
    critic = own.head(30).with_columns(customer=pl.lit("critic"), stars=1.0)
    document, lists = served(fieldwork, pl.concat([fan, critic]), tmp_path)
    assert document["rows"]["users"] == 2
    assert lists.join(own.head(30), left_on="item_id", right_on="product", how="semi").is_empty(), (
        "had by both"
    )
    assert not lists.filter(user_id="fan")["fallback"].any()
    assert lists.filter(user_id="critic")["fallback"].all(), "he likes nothing that is known of him"
