"""The simulator keeps its contracts at any size, and its truth is what the choices follow."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.generator import Generated, generate
from shared.contracts.contract import load
from shared.contracts.table import check_table


@pytest.fixture(scope="module")
def generated() -> Generated:
    return generate(1200, 800, seed=0)


@pytest.fixture(scope="module")
def last_choice(generated) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """The last interaction of each user, its item's number, and what each user had before, (users, items)."""
    numbered = generated.tables.interactions.with_columns(
        user=pl.col("user_id").str.slice(1).cast(pl.Int64) - 1,
        item=pl.col("item_id").str.slice(1).cast(pl.Int64) - 1,
    )
    last = numbered.group_by("user_id", maintain_order=True).last().sort("user")
    earlier = numbered.join(last, on=("user_id", "item_id"), how="anti")
    had = np.zeros((1200, 800))
    had[earlier["user"].to_numpy(), earlier["item"].to_numpy()] = 1.0
    return last, last["item"].to_numpy(), had


def hit_rate_at_20(scores: np.ndarray, targets: np.ndarray, had: np.ndarray) -> float:
    unseen = np.where(had > 0, -np.inf, scores)
    own = np.take_along_axis(unseen, targets[:, None], axis=1)
    return float(((unseen > own).sum(axis=1) < 20).mean())


def item_knn(had: np.ndarray) -> np.ndarray:
    common = had.T @ had
    counts = np.maximum(np.diag(common), 1.0)
    similar = common / np.sqrt(np.outer(counts, counts)) * common / (common + 10.0)
    np.fill_diagonal(similar, 0.0)
    return had @ similar


@settings(max_examples=15, deadline=None)
@given(st.integers(50, 600), st.integers(50, 900), st.integers(0, 2**32 - 1))
def test_every_generated_table_keeps_its_contract(num_users, num_items, seed):
    tables = generate(num_users, num_items, seed).tables
    for name, frame in (
        ("interactions", tables.interactions),
        ("item_attributes", tables.items),
        ("user_attributes", tables.users),
    ):
        checked = check_table(frame, load(name))
        assert not checked.violations
        assert checked.ignored_columns == ()
    assert (tables.users.height, tables.items.height) == (num_users, num_items)


@settings(max_examples=15, deadline=None)
@given(st.integers(50, 600), st.integers(50, 900), st.integers(0, 2**32 - 1))
def test_every_user_chooses_at_least_three_items_and_none_twice(num_users, num_items, seed):
    interactions = generate(num_users, num_items, seed).tables.interactions
    counts = interactions.group_by("user_id").len()["len"]
    assert not interactions.select("user_id", "item_id").is_duplicated().any()
    assert len(counts) == num_users
    assert counts.min() >= 3


def test_the_same_seed_gives_the_same_tables_and_another_seed_others():
    one, same, other = (generate(80, 60, seed).tables for seed in (5, 5, 6))
    assert one.interactions.equals(same.interactions)
    assert one.items.equals(same.items)
    assert one.users.equals(same.users)
    assert not one.interactions.equals(other.interactions)


def test_no_item_is_chosen_before_its_release_and_some_appear_late(generated):
    truth = generated.truth
    interactions = generated.tables.interactions
    utility = truth.utility(interactions["user_id"][:4000], interactions["interacted_at"][:4000])
    items = interactions["item_id"][:4000].str.slice(1).cast(pl.Int64).to_numpy() - 1
    assert np.isfinite(utility[np.arange(4000), items]).all()
    first = interactions.group_by("item_id").agg(pl.col("interacted_at").min())["interacted_at"]
    assert (first.dt.year() == 2025).mean() > 0.1


def test_activity_and_popularity_are_skewed_as_in_real_logs(generated):
    interactions = generated.tables.interactions
    users = interactions.group_by("user_id").len()["len"]
    items = interactions.group_by("item_id").len()["len"].sort(descending=True)
    assert 20 <= users.mean() <= 40
    assert users.median() < users.mean()
    assert items[:80].sum() > 0.3 * interactions.height


def test_tastes_can_be_learnt_and_the_truth_ranks_best(generated, last_choice):
    last, targets, had = last_choice
    popularity = hit_rate_at_20(np.tile(had.sum(axis=0), (1200, 1)), targets, had)
    neighbours = hit_rate_at_20(item_knn(had), targets, had)
    oracle = hit_rate_at_20(generated.truth.utility(last["user_id"], last["interacted_at"]), targets, had)
    assert neighbours > 1.5 * popularity
    assert oracle > 1.2 * neighbours
    assert popularity > 3 * 20 / 800  # a popularity bias, far above chance


@pytest.mark.parametrize("number", [0, 1, 4], ids=["first", "second", "fifth"])
def test_choices_are_drawn_with_the_probability_that_the_truth_states(number):
    # few items, so that draws often meet what the user has: that is where a simulator goes wrong
    generated = generate(20_000, 60, seed=3)
    numbered = generated.tables.interactions.with_columns(
        item=pl.col("item_id").str.slice(1).cast(pl.Int64) - 1,
        user=pl.col("user_id").rank("dense") - 1,
        number=pl.int_range(pl.len()).over("user_id"),
    ).sort("user")
    users_with_so_many = numbered.filter(number=number)["user_id"].implode()
    numbered = numbered.filter(pl.col("user_id").is_in(users_with_so_many))
    choice = numbered.filter(number=number)
    weights = np.exp(generated.truth.utility(choice["user_id"], choice["interacted_at"]))
    row_of_user = np.full(20_000, -1)
    row_of_user[choice["user"].to_numpy()] = np.arange(choice.height)
    had = numbered.filter(pl.col("number") < number)
    weights[row_of_user[had["user"].to_numpy()], had["item"].to_numpy()] = 0.0
    chances = weights / weights.sum(axis=1, keepdims=True)
    expected, variance = chances.sum(axis=0), (chances * (1 - chances)).sum(axis=0)
    observed = np.bincount(choice["item"].to_numpy(), minlength=60)
    possible = expected > 5
    squared = (observed - expected)[possible] ** 2 / variance[possible]
    # a sum of so many squares of standard normals, at four standard deviations
    assert squared.sum() < possible.sum() + 4 * np.sqrt(2 * possible.sum())
    assert possible.sum() > 40


def test_items_of_one_category_are_more_alike_in_taste_than_others(generated):
    items = generated.tables.items
    ids = items["item_id"]
    similarity = generated.truth.similarity(ids, ids)
    same = items["title"].str.extract(r"\((.+)\)").to_numpy()
    alike = same[:, None] == same[None, :]
    np.testing.assert_allclose(np.diag(similarity), 1.0)
    off_diagonal = ~np.eye(len(ids), dtype=bool)
    assert similarity[alike & off_diagonal].mean() > similarity[~alike].mean() + 0.2


def test_attributes_tell_part_of_the_truth(generated):
    items = generated.tables.items.with_columns(main=pl.col("title").str.extract(r"\((.+)\)"))
    right = (items["categories"].str.split("|").list.first() == items["main"]).mean()
    several = items["categories"].str.contains("|", literal=True).mean()
    assert 0.85 < right < 0.97
    assert 0.2 < several < 0.6


def test_tastes_of_some_users_drift(generated):
    truth = generated.truth
    moved = np.abs(truth.weights[1] - truth.weights[0]).sum(axis=1) > 0
    assert 0.4 < moved.mean() < 0.6
    np.testing.assert_allclose(truth.weights.sum(axis=2), 1.0)
