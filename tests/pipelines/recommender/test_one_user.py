"""What a page shows of one user and of all lists together is what is served, and a what-if is a real one."""

import dataclasses

import polars as pl
import pytest

from pipelines.recommender.example import example_histories
from pipelines.recommender.exposure import exposure
from pipelines.recommender.one_user import (
    counted_history,
    described,
    known_history,
    new_history,
    recommended,
    valid_histories,
    without,
)
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError

KINDS = ("item_knn", "ease", "ials", "gmf")
USER = "u006"  # of weight 1, as a visitor has


def items_of(world, user: str) -> list[str]:
    return world.before.filter(user_id=user)["item_id"].sort().to_list()


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_user_gets_what_is_served_to_them(world, kind):
    scorer = world.scorer(kind)
    history = known_history(scorer, USER)
    assert history["item_id"].to_list() == items_of(world, USER)
    served = scorer.score(world.before).filter(user_id=USER)
    found = recommended(scorer, history)
    assert found.select("rank", "item_id", "reason").equals(served.select("rank", "item_id", "reason"))
    assert found["score"].to_list() == pytest.approx(served["score"].to_list(), abs=1e-5)
    assert counted_history(scorer, history)["item_id"].to_list() == items_of(world, USER)


def test_a_user_who_was_not_there_is_refused_by_name(world):
    with pytest.raises(RequestError, match=r"Received nobody: not among them"):
        known_history(world.scorer("ease"), "nobody")


def test_items_are_described_by_their_title_and_how_many_had_them(world):
    counts = world.before.group_by("item_id").agg(pl.col("user_id").n_unique())
    found = described(world.scorer("ease"), counts["item_id"])
    assert found["title"].to_list() == [f"Title of {item}" for item in counts["item_id"]]
    assert found["users"].to_list() == counts["user_id"].to_list()
    unknown = described(world.scorer("ease"), pl.Series(["nothing known"]))
    assert unknown.rows() == [("nothing known", None, 0)]


def test_a_visitor_is_never_taken_for_somebody_who_was_there(world):
    scorer = world.scorer("ease")
    users = scorer.catalogue.users.to_list()
    users[0] = "new visitor"
    namesake = dataclasses.replace(
        scorer, catalogue=dataclasses.replace(scorer.catalogue, users=pl.Series(users))
    )
    history = new_history(namesake, ["i-0-01", "i-0-02"])
    assert counted_history(namesake, history)["item_id"].to_list() == ["i-0-01", "i-0-02"]
    assert not namesake.audience(history).known.any()


def test_a_visitor_of_whom_nothing_is_known_gets_what_is_popular(world):
    scorer = world.scorer("gmf")
    found = recommended(scorer, new_history(scorer, []))
    assert found["fallback"].all()
    assert found["users"].to_list() == sorted(found["users"], reverse=True)
    assert counted_history(scorer, new_history(scorer, [])).is_empty()


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_without_some_items_is_that_of_somebody_who_never_had_them(world, kind):
    scorer, had = world.scorer(kind), items_of(world, USER)
    left_out, kept = had[:2], had[2:]
    moved = without(scorer, known_history(scorer, USER), left_out)
    assert not set(moved["item_id"]) & set(had)
    never = recommended(scorer, new_history(scorer, kept))["item_id"]
    expected = [item for item in never if item not in left_out]
    assert moved.sort("place_after")["item_id"].to_list()[: len(expected)] == expected
    first = recommended(scorer, new_history(scorer, had))["item_id"].to_list()
    assert (
        moved.filter(pl.col("place_before") <= len(first)).sort("place_before")["item_id"].to_list() == first
    )


@pytest.mark.parametrize("kind", KINDS)
def test_leaving_out_nothing_changes_nothing(world, kind):
    scorer = world.scorer(kind)
    moved = without(scorer, known_history(scorer, USER), [])
    assert moved.height == scorer.config.serving.top_n
    assert moved["place_before"].to_list() == moved["place_after"].to_list() == [1, 2, 3, 4, 5]


def test_leaving_out_everything_is_refused_with_the_reason(world):
    scorer = world.scorer("ease")
    with pytest.raises(RequestError, match="Leave at least one item"):
        without(scorer, known_history(scorer, USER), items_of(world, USER))


@pytest.mark.parametrize("kind", KINDS)
def test_exposure_counts_the_lists_that_are_served(world, kind):
    scorer = world.scorer(kind)
    table, num_lists = exposure(scorer)
    served = scorer.score(world.before)
    assert num_lists == served["user_id"].n_unique()
    counted = dict(served.group_by("item_id").len().rows())
    assert dict(table.filter(pl.col("lists") > 0).select("item_id", "lists").rows()) == counted
    assert table["item_id"].to_list() == scorer.catalogue.items.to_list()


def test_a_part_of_the_users_stands_for_all(world):
    table, num_lists = exposure(world.scorer("ease"), most_users=10)
    assert num_lists == 10
    assert table["lists"].sum() == 10 * world.config.serving.top_n


def test_example_histories_hold_known_users_visitors_and_a_stranger(world):
    scorer = world.scorer("ease")
    histories = example_histories(scorer, 4)
    check_table(histories, load("interactions")).require()
    served = scorer.score(histories)
    known = set(scorer.catalogue.users)
    assert sum(user in known for user in served["user_id"].unique()) == 4
    assert served["user_id"].n_unique() == 9
    assert served.filter("fallback")["user_id"].unique().to_list() == ["stranger"]


def test_rows_of_a_file_that_break_the_contract_are_no_part_of_a_history(world, tmp_path):
    rows = world.before.select("user_id", "item_id")[:40]
    broken = pl.concat([rows, pl.DataFrame({"user_id": [" "], "item_id": ["i-0-01"]})])
    broken.write_csv(tmp_path / "histories.csv")
    assert valid_histories(tmp_path / "histories.csv", world.scorer("ease")).equals(rows)
