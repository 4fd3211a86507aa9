"""How far shares of labels can be trusted: those of the test posts, corrected and counted, beside what people said.

On the generator also beside the probability that a post of that day and topic had the label.
"""

from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.predictions import logits_in
from pipelines.social_sentiment.prevalence import estimated
from pipelines.social_sentiment.schema import Truth
from pipelines.social_sentiment.score import Scorer

LABELLED, TRUE = "share_labelled", "share_true"
_WHAT = ["topic", "day", "label"]
_SHARES = [*_WHAT, "num_posts", "share", "share_low", "share_high", "share_counted"]


def trend_of_test(
    scorer: Scorer, frame: pl.DataFrame, table: pl.DataFrame, truth: Truth | None
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and the shares of the test posts by topic and day.

    frame: test posts; table: what was said of them, in the same order, see `predictions.predict_test`. truth: of the
    generator. The table has the columns of `sentiment_trend`, `share_labelled`, the share among the labels that people
    gave, and `share_true`, null where it is not known; it is empty where posts have no time. The document holds the
    shares of all test posts (`overall`) and the errors of the table, for all topics together and for each
    (`by_day`, `by_topic`); None without rows.
    """
    logits = logits_in(table)
    shares = scorer.trend(frame, logits).select(_SHARES)
    posts = frame.select("topic", day=pl.col("time").dt.date()).with_columns(
        label=table["truth"].replace_strict(dict(enumerate(scorer.labels)), return_dtype=pl.String)
    )
    shares = _with_labelled(shares, posts.filter(pl.col("day").is_not_null()))
    shares = _with_true(shares, truth, len(scorer.labels))
    document = {
        "overall": _overall(scorer, logits, table["truth"].to_numpy()),
        "by_day": _errors(shares.filter(pl.col("topic").is_null())),
        "by_topic": _errors(shares.filter(pl.col("topic").is_not_null())),
        "days": shares["day"].n_unique(),
        "topics": shares["topic"].drop_nulls().n_unique(),
    }
    return document, shares


def _overall(scorer: Scorer, logits: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    found = estimated(scorer.calibration, logits, scorer.config.seed)
    labelled = np.bincount(truth, minlength=len(scorer.labels)) / len(truth)
    return [
        {
            "label": label,
            "share": found.share[number],
            "share_low": found.low[number],
            "share_high": found.high[number],
            "share_counted": found.counted[number],
            LABELLED: labelled[number],
        }
        for number, label in enumerate(scorer.labels)
    ]


def _with_labelled(shares: pl.DataFrame, posts: pl.DataFrame) -> pl.DataFrame:
    whole = posts.with_columns(topic=pl.lit(None, dtype=pl.String))
    counts = pl.concat([whole, posts.filter(pl.col("topic").is_not_null())]).group_by(_WHAT).len("found")
    joined = shares.join(counts, on=_WHAT, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns((pl.col("found").fill_null(0) / pl.col("num_posts")).alias(LABELLED)).drop(
        "found"
    )


def _with_true(shares: pl.DataFrame, truth: Truth | None, num_labels: int) -> pl.DataFrame:
    """Annotators err at random: what they call positive is partly not, and it is their labels that are learnt."""
    if truth is None:
        return shares.with_columns(pl.lit(None, dtype=pl.Float64).alias(TRUE))
    right, wrong = truth.best_accuracy, (1 - truth.best_accuracy) / (num_labels - 1)
    known = truth.shares.select(*_WHAT, (pl.col("share") * (right - wrong) + wrong).alias(TRUE))
    by_topic = shares.filter(pl.col("topic").is_not_null()).join(
        known, on=_WHAT, how="left", maintain_order="left"
    )
    mean = (pl.col(TRUE) * pl.col("num_posts")).sum() / pl.col("num_posts").sum()
    by_day = by_topic.group_by("day", "label").agg(mean)
    whole = shares.filter(pl.col("topic").is_null()).join(
        by_day, on=["day", "label"], how="left", maintain_order="left"
    )
    return pl.concat([whole, by_topic])


def _errors(shares: pl.DataFrame) -> dict[str, Any] | None:
    """Mean absolute errors of corrected and of counted shares, and how often the interval holds the share."""
    if not shares.height:
        return None
    found: dict[str, Any] = {"rows": shares.height, "mean_posts": shares["num_posts"].mean()}
    for name, column in (("labelled", LABELLED), ("true", TRUE)):
        known = shares.filter(pl.col(column).is_not_null())
        target = pl.col(column)
        holds = target.is_between("share_low", "share_high")
        found[name] = (
            known.select(
                corrected=(pl.col("share") - target).abs().mean(),
                counted=(pl.col("share_counted") - target).abs().mean(),
                covered=holds.mean(),
            ).row(0, named=True)
            if known.height
            else None
        )
    return found
