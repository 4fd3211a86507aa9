"""Figures of numbers: which labels are taken for which, shares over time, what is left to a human."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.trend import LABELLED, TRUE
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    legend,
    literal,
    literals,
    new_axes,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED, PAPER

MOST_PANELS = 6
_MOST_WRITTEN = 8
_MANY_DAYS = 60
_MANY_MONTHS = 300
_DARK = 0.55


def confusions(matrices: Mapping[str, Sequence[Sequence[int]]], labels: Sequence[str]) -> str:
    """A panel for each model: of the posts of each label (rows) which share was given each (columns), in %.

    matrices: counts by title of the model, truth before prediction. Shares and counts are written while they fit.
    """
    known = {title: np.array(counts, float) for title, counts in matrices.items()}
    if not any(counts.sum() for counts in known.values()):
        return nothing("no post was judged")
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("share", [(*_rgb(BLUE), 0.03), (*_rgb(BLUE), 1.0)])
    figure = new_figure(WIDE_INCHES, 1.1 + min(0.6 * len(labels), 4.5))
    panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for axes, (title, counts) in zip(panels, known.items(), strict=True):
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.pcolormesh(shares, cmap=scale, vmin=0, vmax=1, edgecolors=PAPER, linewidth=1)
        if len(labels) <= _MOST_WRITTEN:
            _write_cells(axes, shares, counts)
        places = np.arange(len(labels)) + 0.5
        axes.set_xticks(places, literals(labels, 12))
        axes.set_yticks(places, literals(labels, 16))
        axes.set_ylim(len(labels), 0)
        dress(axes, x="Given", title=literal(title, 40), grid="none")
    panels[0].set_ylabel("Label by people", color=INK)
    return save(figure)


def _write_cells(axes: Any, shares: np.ndarray, counts: np.ndarray) -> None:
    for row, column in np.ndindex(shares.shape):
        share, count = shares[row, column], counts[row, column]
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{100 * share:.0f} %\n{count:,.0f}",
            ha="center",
            va="center",
            fontsize=SMALL_POINTS,
            color=PAPER if share > _DARK else INK,
        )


def shares_over_time(shares: pl.DataFrame, labels: Sequence[str], topics: Sequence[str | None]) -> str:
    """A row of panels for each topic, one for each label: corrected share with its interval, counted, and the truth.

    shares: see `trend.trend_of_test`. None among the topics stands for all posts together.
    """
    days = shares["day"].n_unique()
    if not days or not labels:
        return nothing("no post of the test has a time")
    figure = new_figure(WIDE_INCHES, (2.9 if len(topics) == 1 else 1.55) * len(topics) + 0.6)
    grid = figure.subplots(len(topics), len(labels), sharex=True, sharey=True, squeeze=False)
    for row, topic in zip(grid, topics, strict=True):
        own = shares.filter(pl.col("topic").eq_missing(pl.lit(topic, dtype=pl.String)))
        for axes, label in zip(row, labels, strict=True):
            _share_panel(axes, own.filter(pl.col("label") == label).sort("day"))
            dress(axes, title=literal(label if topic is None else f"{topic}: {label}", 30))
            axes.set_ylim(-2, 102)
            axes.set_yticks([0, 50, 100])
        row[0].set_ylabel("Posts in %", color=INK)
    for axes in grid[-1]:
        _dates(axes)
    handles = grid[0][0].get_legend_handles_labels()
    drawn = figure.legend(
        *handles, loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL_POINTS, labelcolor=INK
    )
    drawn.get_frame().set_alpha(0)
    return save(figure)


def _share_panel(axes: Any, rows: pl.DataFrame) -> None:
    day = rows["day"].to_numpy()
    low, share, high, counted, labelled, true = (
        100 * rows[name].cast(pl.Float64).to_numpy()
        for name in ("share_low", "share", "share_high", "share_counted", LABELLED, TRUE)
    )
    mark = "o" if len(day) <= _MANY_DAYS else ""
    axes.fill_between(day, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(
        day, share, color=BLUE, marker=mark, markersize=3.5, linewidth=1.8, label="corrected, 95 % interval"
    )
    axes.plot(day, counted, color=ORANGE, linestyle="--", linewidth=1.3, label="labels counted")
    axes.plot(
        day, labelled, "x", color=MUTED, markersize=4, markeredgewidth=1.1, label="labels that people gave"
    )
    if np.isfinite(true).any():
        axes.plot(day, true, color=INK, linestyle=":", linewidth=1.4, label="truth of the generator")


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    first, last = axes.get_xlim()
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=4))
    axes.xaxis.set_major_formatter(DateFormatter("%d %b" if last - first < _MANY_MONTHS else "%b %Y"))


def left_to_humans(kept: Sequence[Mapping[str, float]], abstained: float) -> str:
    """Accuracy and macro-recall of the posts that are kept when the least sure are left to a human.

    kept: see `evaluate.TestResults.kept`. A line stands at the share that the fixed threshold left to a human.
    """
    if not kept:
        return nothing("no post was judged")
    share = 100 * np.array([1 - row["share"] for row in kept])
    figure, axes = new_axes(height=3.6)
    for name, colour, title in (("accuracy", BLUE, "accuracy"), ("macro_recall", ORANGE, "macro-recall")):
        values = 100 * np.array([row[name] for row in kept])
        axes.plot(share, values, color=colour, marker="o", markersize=3.5, linewidth=1.8, label=title)
    axes.plot(
        share,
        100 * np.array([row["random"] for row in kept]),
        color=GREY,
        linestyle="--",
        linewidth=1.3,
        label="accuracy, posts at random",
    )
    axes.axvline(
        100 * abstained, color=INK, linewidth=1, label=f"the fixed threshold, {100 * abstained:.0f} %"
    )
    dress(axes, x="Posts left to a human in %", y="Of the others in %")
    legend(axes, "best")
    return save(figure)


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
