"""Shares of the labels by day, week and month, and of all posts together: what people look at to see a change."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.schema import probability_column
from pipelines.social_sentiment.score import Scorer

DAY, WEEK, MONTH, WHOLE = "day", "week", "month", "whole"
PERIODS = (DAY, WEEK, MONTH)
# Weeks begin on Monday.
_LONGER = {WEEK: "1w", MONTH: "1mo"}
TEST_SHARES = "test_shares.parquet"
_SHARES = ["label", "num_posts", "share", "share_low", "share_high", "share_counted"]
_TOO_WIDE = 0.5
_ONE_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def shares_by_period(
    scorer: Scorer, posts: pl.DataFrame, logits: np.ndarray, by_day: pl.DataFrame
) -> pl.DataFrame:
    """Shares of each label, for all posts (topic null) and for each topic, in every period and over all of them.

    posts: with topic and time; logits: (posts, K); by_day: their `Scorer.trend`. Columns: period (day, week, month,
    whole), topic, begins (first day of the period, null for whole), and those of `sentiment_trend`. Posts without a
    time are in whole alone.
    """
    whole = scorer.trend(posts.with_columns(time=pl.lit(_ONE_TIME)), logits)
    parts = [
        _of_period(whole, WHOLE).with_columns(begins=pl.lit(None, dtype=pl.Date)),
        _of_period(by_day, DAY),
    ]
    for period, length in _LONGER.items():
        found = scorer.trend(posts.with_columns(pl.col("time").dt.truncate(length)), logits)
        parts.append(_of_period(found, period))
    return pl.concat(parts)


def shares_of_scored(
    scorer: Scorer, posts: pl.DataFrame, scored: pl.DataFrame, by_day: pl.DataFrame | None
) -> pl.DataFrame:
    """The same of posts that were scored before, from what was said of them and without the network.

    posts: with topic and time, in the order of `scored`, rows of `post_sentiment`. by_day: the rows of
    `sentiment_trend` beside them; None where no post has a time.
    """
    probabilities = scored.select([probability_column(label) for label in scorer.labels]).to_numpy()
    logits = scorer.calibration.logits(probabilities)
    days = scorer.trend(posts.clear(), logits[:0]) if by_day is None else by_day
    return shares_by_period(scorer, posts, logits, days)


def shares_to_keep(scorer: Scorer, posts: pl.DataFrame, logits: np.ndarray, by_day: pl.DataFrame) -> bytes:
    """The shares of the test posts as a Parquet file, which travels with the model."""
    file = io.BytesIO()
    shares_by_period(scorer, posts, logits, by_day).write_parquet(file)
    return file.getvalue()


def moved(shares: pl.DataFrame) -> list[dict[str, Any]]:
    """Where the first and the last share lie apart by more than their intervals, the largest move first.

    shares: of one period and one label, of one or more topics. Each has topic, first and last (rows of `shares`).
    """
    found: list[dict[str, Any]] = []
    for (topic,), rows in shares.sort("begins").group_by("topic", maintain_order=True):
        first, last = rows.row(0, named=True), rows.row(-1, named=True)
        if first["share_high"] < last["share_low"] or last["share_high"] < first["share_low"]:
            found.append({"topic": topic, "first": first, "last": last})
    return sorted(found, key=_size, reverse=True)


def says_little(shares: pl.DataFrame) -> bool:
    """Whether the shares of all posts are known so badly that one of them could be anywhere in half of the scale."""
    width = pl.col("share_high") - pl.col("share_low")
    return bool(shares.filter(pl.col("topic").is_null()).select((width > _TOO_WIDE).any()).item())


def _size(move: Mapping[str, Any]) -> float:
    return abs(float(move["last"]["share"] - move["first"]["share"]))


def _of_period(trend: pl.DataFrame, period: str) -> pl.DataFrame:
    return trend.select(pl.lit(period).alias("period"), "topic", pl.col("day").alias("begins"), *_SHARES)
