"""Shares by day, week, month and in all: what people look at to see a change."""

from datetime import date
from io import BytesIO

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.periods import (
    PERIODS,
    moved,
    says_little,
    shares_by_period,
    shares_of_scored,
    shares_to_keep,
)


@pytest.fixture(scope="module")
def by_day(world):
    return world.scorer.trend(world.test, world.logits)


@pytest.fixture(scope="module")
def shares(world, by_day):
    return shares_by_period(world.scorer, world.test, world.logits, by_day)


def test_every_period_counts_every_post_once(world, shares):
    whole = shares.filter(pl.col("topic").is_null() & (pl.col("label") == "neutral"))
    for period in (*PERIODS, "whole"):
        assert whole.filter(period=period)["num_posts"].sum() == world.test.height


def test_weeks_begin_on_monday_and_months_on_their_first(shares):
    assert set(shares.filter(period="week")["begins"].dt.weekday()) == {1}
    assert set(shares.filter(period="month")["begins"].dt.day()) == {1}
    assert shares.filter(period="whole")["begins"].null_count() == shares.filter(period="whole").height


def test_days_are_those_of_the_trend_that_was_published(shares, by_day):
    days = shares.filter(period="day")
    assert days["share"].to_list() == by_day["share"].to_list()
    assert days["begins"].to_list() == by_day["day"].to_list()


def test_posts_without_a_time_are_in_the_whole_alone(world):
    posts = world.test.with_columns(time=pl.lit(None, dtype=world.test.schema["time"]))
    found = shares_of_scored(world.scorer, posts, world.scorer.sentiment(posts, world.logits), None)
    assert set(found["period"]) == {"whole"}
    assert found.filter(pl.col("topic").is_null())["num_posts"].to_list() == [world.test.height] * 3


def test_shares_of_what_was_scored_need_no_network(world, shares, by_day):
    scored = world.scorer.sentiment(world.test, world.logits)
    found = shares_of_scored(world.scorer, world.test, scored, by_day)
    for column in ("share", "share_counted"):
        np.testing.assert_allclose(found[column], shares[column], atol=1e-4)
    # intervals draw the same posts in another order
    np.testing.assert_allclose(found["share_low"], shares["share_low"], atol=0.15)


def test_logits_of_probabilities_have_these_probabilities(world):
    calibration = world.scorer.calibration
    probabilities = calibration.probabilities(world.logits)
    again = calibration.probabilities(calibration.logits(probabilities))
    np.testing.assert_allclose(again, probabilities, atol=1e-12)
    certain = np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(calibration.probabilities(calibration.logits(certain)), certain, atol=1e-9)


def test_kept_shares_are_read_as_they_were_written(world, shares, by_day):
    kept = pl.read_parquet(BytesIO(shares_to_keep(world.scorer, world.test, world.logits, by_day)))
    assert kept.equals(shares)


def rows(*shares: tuple[str, int, float, float, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "topic": topic,
                "begins": date(2026, 1, day),
                "share": share,
                "share_low": low,
                "share_high": high,
            }
            for topic, day, low, share, high in shares
        ]
    )


def test_a_move_is_where_the_intervals_of_first_and_last_lie_apart():
    found = moved(
        rows(
            ("app", 12, 0.5, 0.6, 0.7), ("app", 1, 0.1, 0.2, 0.3), ("app", 5, 0.0, 0.1, 0.9),
            ("post", 1, 0.1, 0.2, 0.4), ("post", 12, 0.3, 0.5, 0.7),
            ("price", 1, 0.8, 0.9, 1.0), ("price", 12, 0.1, 0.2, 0.3),
        )
    )  # fmt: skip
    assert [move["topic"] for move in found] == ["price", "app"]
    assert found[1]["first"]["share"] == 0.2
    assert found[1]["last"]["share"] == 0.6


def test_one_period_alone_moves_nothing():
    assert moved(rows(("app", 1, 0.1, 0.2, 0.3))) == []


def test_shares_of_all_posts_that_could_be_anywhere_say_little():
    known = rows(("app", 1, 0.0, 0.5, 1.0), ("app", 1, 0.1, 0.2, 0.3))
    assert not says_little(known.with_columns(topic=pl.Series([None, None], dtype=pl.String))[1:])
    assert says_little(known.with_columns(topic=pl.lit(None, dtype=pl.String)))
    assert not says_little(known.with_columns(topic=pl.Series(["app", None])))
