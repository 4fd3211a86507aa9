"""What counts as an interaction: threshold, first event of a pair, a k-core that is one."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.config import DataConfig
from pipelines.recommender.prepare import first_events, k_core, prepare
from shared.errors import RequestError

Pairs = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), max_size=120)


def table(pairs) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"user_id": [f"u{user}" for user, _ in pairs], "item_id": [f"i{item}" for _, item in pairs]},
        schema={"user_id": pl.String, "item_id": pl.String},
    )
    return frame.with_columns(weight=pl.lit(1.0))


def grid(num_users: int = 30, num_items: int = 12) -> pl.DataFrame:
    return table([(user, item) for user in range(num_users) for item in range(num_items)])


@settings(max_examples=60, deadline=None)
@given(Pairs, st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_a_fixed_point_in_which_everybody_has_enough(pairs, min_user, min_item):
    core = k_core(table(sorted(set(pairs))), min_user, min_item)
    if core.height:
        assert core.group_by("user_id").len()["len"].min() >= min_user
        assert core.group_by("item_id").len()["len"].min() >= min_item
    assert k_core(core, min_user, min_item).equals(core)


@settings(max_examples=60, deadline=None)
@given(Pairs, st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_the_largest_one(pairs, min_user, min_item):
    rows = sorted(set(pairs))
    # taking out one thing after the other, in any order, ends in the same and largest core
    left = set(rows)
    while True:
        short = {
            pair
            for pair in left
            if sum(user == pair[0] for user, _ in left) < min_user
            or sum(item == pair[1] for _, item in left) < min_item
        }
        if not short:
            break
        left.remove(min(short))
    assert k_core(table(rows), min_user, min_item).equals(table(sorted(left)))


def test_a_repeated_pair_counts_once_at_its_first_time_with_the_sum_of_its_weights():
    frame = pl.DataFrame(
        {
            "user_id": ["u", "u", "u", "v"],
            "item_id": ["i", "j", "i", "i"],
            "interacted_at": [30, 20, 10, 5],
            "weight": [1.0, 2.0, 4.0, 8.0],
        }
    )
    assert sorted(first_events(frame).rows()) == [
        ("u", "i", 10, 5.0),
        ("u", "j", 20, 2.0),
        ("v", "i", 5, 8.0),
    ]


def test_weights_are_events_where_the_table_has_none_and_a_missing_one_counts_as_one():
    twice = pl.concat([grid().drop("weight"), grid().drop("weight")])
    assert prepare(twice, DataConfig()).frame["weight"].unique().to_list() == [2.0]
    gaps = grid().with_columns(weight=pl.lit(None, pl.Float64))
    assert prepare(gaps, DataConfig()).frame["weight"].unique().to_list() == [1.0]


def test_only_interactions_rated_high_enough_count_and_the_notes_say_how_many():
    rated = pl.concat(
        [grid().with_columns(rating=pl.lit(4.0)), grid(5, 12).with_columns(rating=pl.lit(3.9))]
    ).with_columns(rating=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise("rating"))
    prepared = prepare(rated, DataConfig(min_rating=4.0))
    assert prepared.frame.height == 30 * 12 - 7
    assert prepared.notes[0].startswith("420 interactions of 30 users with 12 items in the table")
    assert prepared.notes[1].startswith("353 interactions")
    assert "data.min_rating" in prepared.notes[1]
    assert len(prepared.notes) == 2  # steps that changed nothing are not told


def test_a_threshold_without_ratings_is_refused_with_the_way_out():
    with pytest.raises(RequestError, match=r"Expected a rating column(.|\n)*data.columns=\[rating="):
        prepare(grid(), DataConfig(min_rating=4.0))


@pytest.mark.parametrize(
    ("frame", "config", "step"),
    [
        (grid(1, 300), DataConfig(), "in the table"),
        (grid(30, 4), DataConfig(), "in the table"),
        (grid(4, 12), DataConfig(), "in the table"),
        (grid().with_columns(rating=pl.lit(1.0)), DataConfig(min_rating=2), "data.min_rating"),
        (pl.concat([grid(20, 9), grid(19, 9), grid(1, 1)]), DataConfig(), "in the table"),
        (pl.concat([grid(20, 10)[:199]] * 3), DataConfig(), "repeated pairs"),
        (grid(), DataConfig(min_user_interactions=13), "data.min_user_interactions"),
        (grid(), DataConfig(min_item_interactions=31), "data.min_item_interactions"),
    ],
    ids=["one user", "few items", "few rows", "rating", "nine items", "repeated", "user core", "item core"],
)
def test_too_little_data_is_refused_with_the_step_that_left_it(frame, config, step):
    with pytest.raises(RequestError, match="at least 20 users, 10 items and 200 interactions") as raised:
        prepare(frame, config)
    assert step in str(raised.value)
    assert ("Before this step there were" in str(raised.value)) == (step != "in the table")


def with_parts() -> pl.DataFrame:
    """A training part, a newcomer with one training row, and test rows that would lift him over a threshold."""
    newcomer = table([(99, item) for item in range(6)])
    return pl.concat(
        [
            grid().with_columns(part=pl.lit("train")),
            newcomer[:1].with_columns(part=pl.lit("train")),
            newcomer[1:].with_columns(part=pl.lit("test")),
        ]
    )


def test_test_rows_neither_decide_about_the_core_nor_leave():
    prepared = prepare(with_parts(), DataConfig(min_user_interactions=2)).frame
    newcomer = prepared.filter(pl.col("user_id") == "u99")
    assert newcomer["part"].to_list() == ["test"] * 5
    assert prepared.filter(pl.col("part") == "train").height == 360
    without_test = with_parts().filter(pl.col("part") == "train")
    alone = prepare(without_test, DataConfig(min_user_interactions=2)).frame
    assert alone.equals(prepared.filter(pl.col("part") == "train"))


def test_test_rows_do_not_make_a_training_part_large_enough():
    frame = with_parts().with_columns(
        part=pl.when(pl.col("user_id") == "u0").then("part").otherwise(pl.lit("test"))
    )
    with pytest.raises(RequestError, match=r"interactions in training\. Received 12 interactions of 1 users"):
        prepare(frame, DataConfig())


def test_the_threshold_holds_in_every_part_and_a_pair_in_two_parts_is_left_to_the_audit():
    frame = with_parts().with_columns(rating=pl.lit(5.0))
    disliked = frame.filter(part="test").with_columns(rating=pl.lit(1.0), item_id=pl.lit("i11"))
    copied = frame[:3].with_columns(part=pl.lit("test"))
    prepared = prepare(pl.concat([frame, disliked, copied]), DataConfig(min_rating=3)).frame
    assert prepared.filter(pl.col("part") == "test").height == 5 + 3
    assert prepared.height == frame.height + 3


def test_the_order_of_rows_decides_nothing():
    frame = pl.concat([grid(), grid(7, 5)]).with_columns(
        interacted_at=pl.Series(np.arange(30 * 12 + 35) * 7 % 101)
    )
    one, other = (
        prepare(rows, DataConfig(min_user_interactions=3)).frame.sort("user_id", "item_id")
        for rows in (frame, frame.sample(fraction=1.0, shuffle=True, seed=1))
    )
    assert one.equals(other)
