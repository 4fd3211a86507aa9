"""The trend of the test: shares beside the labels that people gave and, of generated posts, beside the truth."""

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.generator import generate
from pipelines.social_sentiment.trend import trend_of_test


@pytest.fixture(scope="module")
def found(world):
    data = world.config.data
    truth = generate(data.num_posts, data.num_days, world.config.seed)[1]
    return trend_of_test(world.scorer, world.test, world.table, truth)


def test_shares_among_labels_are_those_of_the_posts_of_topic_and_day(world, found):
    _, shares = found
    row = shares.filter(pl.col("topic").is_not_null()).sort("num_posts")[-1].row(0, named=True)
    there = world.test.filter((pl.col("topic") == row["topic"]) & (pl.col("time").dt.date() == row["day"]))
    assert row["num_posts"] == there.height
    assert row["share_labelled"] == pytest.approx((there["label"] == row["label"]).mean())


def test_each_kind_of_share_adds_up_for_every_topic_and_day(found):
    sums = found[1].group_by("topic", "day").agg(pl.sum("^share(_counted|_labelled|_true)?$"))
    for name in ("share", "share_counted", "share_labelled", "share_true"):
        np.testing.assert_allclose(sums[name], 1, atol=1e-6)


def test_shares_of_the_whole_are_the_mean_of_topics_weighed_by_their_posts(found):
    shares = found[1].filter(label="neutral")
    whole = shares.filter(pl.col("topic").is_null()).sort("day")
    topics = shares.filter(pl.col("topic").is_not_null())
    for name in ("share_labelled", "share_true"):
        mean = (pl.col(name) * pl.col("num_posts")).sum() / pl.col("num_posts").sum()
        np.testing.assert_allclose(topics.group_by("day").agg(mean).sort("day")[name], whole[name])


def test_intervals_hold_the_true_shares_and_errors_are_said(found):
    document, shares = found
    assert document["by_day"]["rows"] + document["by_topic"]["rows"] == shares.height
    assert document["by_topic"]["true"]["covered"] >= 0.85
    assert document["by_day"]["true"]["covered"] >= 0.85
    errors = (shares["share_counted"] - shares["share_true"]).abs().filter(shares["topic"].is_null())
    assert document["by_day"]["true"]["counted"] == pytest.approx(errors.mean())


def test_shares_of_all_test_posts_stand_beside_those_of_their_labels(world, found):
    overall = found[0]["overall"]
    assert [one["label"] for one in overall] == list(world.scorer.labels)
    labelled = np.bincount(world.truth) / len(world.truth)
    assert [one["share_labelled"] for one in overall] == labelled.tolist()
    assert all(one["share_low"] <= one["share"] <= one["share_high"] for one in overall)


def test_real_posts_have_no_truth_and_posts_without_time_no_trend(world):
    document, shares = trend_of_test(world.scorer, world.test, world.table, None)
    assert document["by_day"]["true"] is None
    assert shares["share_true"].null_count() == shares.height
    timeless = world.test.with_columns(time=pl.lit(None, dtype=world.test.schema["time"]))
    document, shares = trend_of_test(world.scorer, timeless, world.table, None)
    assert (document["by_day"], document["by_topic"], shares.height) == (None, None, 0)
    assert len(document["overall"]) == 3
