"""Figures of numbers: false alarms by recording, sensitivity against false alarms, scores by class.

Traces on ECG paper are in `traces`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.explainer import RHYTHM
from pipelines.ecg_anomaly.predictions import SCORE
from pipelines.ecg_anomaly.wording import CLASS_TITLES
from shared.publishing.figure_style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    few_ticks,
    legend,
    literals,
    new_axes,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

COLOURS = {"N": BLUE, "V": ORANGE, "S": GREEN, "F": PURPLE}
_MOST_RECORDS = 48
_FEWEST_BEATS = 5
_LOWEST_SHARE = 5e-4
_SHOWN_QUANTILE = 0.995
_BINS = 60
_MAX_POINTS = 400


def false_alarms_by_record(cards: Sequence[Mapping[str, Any]], promised: float) -> str:
    """A row for each recording, most false alarms first: their rate beside the promise, and the AUROC.

    cards: see `evaluate.TestResults.per_record`. At most 48 recordings are drawn, those with most false alarms.
    """
    known = [card for card in cards if card["false_alarm_rate"] is not None]
    if not known:
        return nothing("no test recording has enough normal beats")
    ranked = sorted(known, key=lambda card: -card["false_alarm_rate"])[:_MOST_RECORDS]
    rows = np.arange(len(ranked))
    figure = new_figure(WIDE_INCHES, 0.19 * len(ranked) + 1.1)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    rates = 100 * np.array([card["false_alarm_rate"] for card in ranked])
    left.hlines(rows, 0, rates, color=BLUE, linewidth=2, alpha=0.5)
    left.plot(rates, rows, "o", color=BLUE, markersize=5)
    left.axvline(
        100 * promised, color=ORANGE, linewidth=1.2, label=f"promised on average, {100 * promised:g} %"
    )
    left.set_xlim(0, None)
    left.set_yticks(rows, literals([card["record"] for card in ranked], 20))
    left.set_ylim(len(ranked) - 0.5, -0.5)
    dress(left, x="Normal beats flagged in %", grid="x")
    legend(left, "lower right")
    places = [row for row in rows if ranked[row]["auroc"] is not None]
    right.plot([ranked[row]["auroc"] for row in places], places, "o", color=BLUE, markersize=5)
    right.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    dress(right, x="AUROC, where there are abnormal beats enough", grid="x")
    right.set_xlim(0.45, 1.02)
    return save(figure)


def sensitivity_by_false_alarms(beats: pl.DataFrame, shares: Sequence[float]) -> str:
    """A curve for each class of abnormal beats over the share of normal beats flagged, logarithmic.

    beats: known beats with beat_class, score and flagged. A large dot is where the threshold fixed before the test
    lies; lines stand at `shares`.
    """
    normal = beats.filter(pl.col("beat_class") == "N")
    classes = [one for one in ("V", "S", "F") if (beats["beat_class"] == one).sum() >= _FEWEST_BEATS]
    if normal.is_empty() or not classes:
        return nothing("there are not enough abnormal beats")
    usual = np.sort(normal[SCORE].to_numpy())[::-1]
    places = np.unique(np.geomspace(1, len(usual), _MAX_POINTS).round().astype(int))
    rate = places / len(usual)
    figure, axes = new_axes(height=4.3)
    for one in classes:
        own = beats.filter(pl.col("beat_class") == one)
        scores = np.sort(own[SCORE].to_numpy())
        found = 1 - np.searchsorted(scores, usual[places - 1], side="right") / len(scores)
        label = f"{CLASS_TITLES[one]} (n = {own.height:,})"
        axes.plot(rate, found, color=COLOURS[one], linewidth=1.8, label=label)
        held = float(normal["flagged"].mean() or 0.0), float(own["flagged"].mean() or 0.0)  # type: ignore[arg-type]
        axes.plot(
            max(held[0], _LOWEST_SHARE), held[1], "o", color=COLOURS[one], markersize=8, markeredgecolor=INK
        )
    for value in shares:
        axes.axvline(value, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_xscale("log")
    axes.set(xlim=(_LOWEST_SHARE, 1), ylim=(-0.01, 1.02))
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    dress(axes, x="Normal beats flagged", y="Abnormal beats flagged")
    legend(axes, "lower right")
    return save(figure)


def scores_by_class(beats: pl.DataFrame, cuts: Mapping[str, float]) -> str:
    """Share of the beats of each class over the score, with thresholds; the highest scores are in the last bin."""
    known = beats.filter(pl.col("beat_class").is_in(list(COLOURS)))
    if known.is_empty():
        return nothing("nobody marked the beats")
    scores = known[SCORE].to_numpy()
    top = max(float(np.quantile(scores, _SHOWN_QUANTILE)), *(1.5 * cut for cut in cuts.values()))
    edges = np.linspace(min(0.0, float(scores.min())), top, _BINS + 1)
    figure, axes = new_axes(WIDE_INCHES, 3.4)
    for one, colour in COLOURS.items():
        own = np.clip(known.filter(pl.col("beat_class") == one)[SCORE].to_numpy(), None, top)
        if len(own):
            weights = np.full(len(own), 100 / len(own))
            label = f"{CLASS_TITLES[one]} (n = {len(own):,})"
            axes.hist(own, bins=list(edges), weights=weights, color=colour, alpha=0.2)
            axes.hist(
                own,
                bins=list(edges),
                weights=weights,
                color=colour,
                histtype="step",
                linewidth=1.4,
                label=label,
            )
    axes.set_ylim(0, axes.get_ylim()[1] * 1.15)
    for number, (name, cut) in enumerate(sorted(cuts.items(), key=lambda item: item[1])):
        axes.axvline(cut, color=INK, linewidth=1.1)
        axes.annotate(
            f" {name}, {cut:.1f} ",
            (cut, 0.98),
            xycoords=("data", "axes fraction"),
            ha="left" if number else "right",
            va="top",
            fontsize=SMALL_POINTS,
            color=INK,
        )
    dress(axes, x="Anomaly score", y="Share of the class in %", grid="y")
    legend(axes, "center right")
    return save(figure)


def pieces_by_class(table: pl.DataFrame) -> str:
    """What each piece of a beat adds to the score on average: a panel for each class; the rhythm is in its title.

    table: contributions of `explain.explain_test`.
    """
    known = table.filter(pl.col("beat_class").is_in(list(COLOURS)))
    classes = [one for one in COLOURS if (known["beat_class"] == one).any()]
    if not classes:
        return nothing("nobody marked the beats")
    figure = new_figure(WIDE_INCHES, 1.35 * len(classes) + 0.8)
    panels = figure.subplots(len(classes), 1, sharex=True, squeeze=False)[:, 0]
    for axes, one in zip(panels, classes, strict=True):
        own = known.filter(pl.col("beat_class") == one)
        means = own.group_by("part", maintain_order=True).agg(pl.col("contribution").mean())
        pieces = means.filter(pl.col("part") != RHYTHM)
        rhythm = float(means.filter(pl.col("part") == RHYTHM)["contribution"][0])
        values, rows = pieces["contribution"].to_numpy(), np.arange(pieces.height)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.bar(rows, values, color=COLOURS[one], width=0.9)
        words = f"{CLASS_TITLES[one]}, {own['beat'].n_unique()} beats: shape {values.sum():+.1f}, rhythm {rhythm:+.1f}"
        dress(axes, title=words.replace("-", "−"), grid="y")
        axes.yaxis.set_major_locator(few_ticks(3))
        starts = [name.split(" to ")[0].replace("-", "−") for name in pieces["part"].to_list()]
        axes.set_xticks(rows - 0.5, starts)
    panels[-1].set_xlabel("Start of the piece, from the R peak in ms", color=INK)
    return save(figure)
