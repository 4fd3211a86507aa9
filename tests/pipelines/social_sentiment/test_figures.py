"""Figures: nothing is drawn from nothing, and what is drawn says what it shows."""

import warnings
from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.social_sentiment.figures import confusions, left_to_humans, shares_over_time
from shared.publishing.svg import inline_svg

LABELS = ("negative", "neutral", "positive")


def shares(days: int, topic: str | None = None, true: float | None = 0.3) -> pl.DataFrame:
    rows = [
        (topic, date(2026, 1, 1) + timedelta(days=day), label, 50, 0.3, 0.2, 0.5, 0.35, 0.25, true)
        for day in range(days)
        for label in LABELS
    ]
    names = ("topic", "day", "label", "num_posts", "share", "share_low", "share_high", "share_counted")
    schema = dict.fromkeys(names, pl.Float64) | {"share_labelled": pl.Float64, "share_true": pl.Float64}
    schema |= {"topic": pl.String, "day": pl.Date, "label": pl.String, "num_posts": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("days", [1, 12, 800], ids=["a day", "days", "years"])
def test_shares_over_time_have_a_panel_for_each_label(days):
    drawn = shares_over_time(shares(days), LABELS, [None])
    assert all(f">{label}<" in drawn for label in LABELS)
    assert "corrected, 95 % interval" in drawn
    assert "truth of the generator" in drawn
    assert "truth of the generator" not in shares_over_time(shares(days, true=None), LABELS, [None])


def test_topics_with_emoji_and_marks_are_drawn_without_a_warning():
    topic = "☕ $5 & <b>"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = shares_over_time(shares(5, topic), LABELS, [topic])
    assert "☕" in inline_svg(drawn, "d1-", "Shares")
    assert "<b>" not in drawn


def test_no_time_is_said():
    assert "Not drawn: no post of the test has a time" in shares_over_time(shares(0), LABELS, [None])


def test_confusions_are_shares_of_each_label_with_counts():
    drawn = confusions({"Network": [[3, 1, 0], [0, 4, 0], [0, 0, 0]]}, LABELS)
    assert "75 %" in drawn
    assert "100 %" in drawn
    assert "Not drawn" in confusions({"Network": [[0, 0], [0, 0]]}, ("a", "b"))


def test_many_labels_are_drawn_without_numbers():
    size = 20
    counts = [[int(row == column) for column in range(size)] for row in range(size)]
    assert "100 %" not in confusions({"Network": counts}, [f"label {place}" for place in range(size)])


def test_what_is_left_to_humans_stands_beside_posts_at_random():
    kept = [
        {"share": 1.0, "accuracy": 0.7, "macro_recall": 0.6, "random": 0.7},
        {"share": 0.5, "accuracy": 0.9, "macro_recall": 0.8, "random": 0.7},
    ]
    drawn = left_to_humans(kept, 0.1)
    assert "the fixed threshold, 10 %" in drawn
    assert "posts at random" in drawn
    assert "Not drawn" in left_to_humans([], 0.1)
