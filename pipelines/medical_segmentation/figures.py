"""Figures of numbers: Dice by case, what is kept when the least sure cases are referred, sizes, grades.

Pictures with outlines are in `overlays`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.wording import UNITS
from shared.publishing.figure_style import (
    BLUE,
    GREEN,
    GREY,
    NARROW_INCHES,
    ORANGE,
    SERIES,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    legend,
    literal,
    new_axes,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 20
_DOTS = 500
_LIMITS = 1.96
_DASHED = (0, (3, 3))


def dice_by_case(cases: pl.DataFrame) -> str:
    """How many cases have which Dice, and all of them from the worst to the best; referred cases stand out.

    cases: see `gallery.per_case`.
    """
    if cases.is_empty():
        return nothing("no test case shows a structure")
    dice, referred = cases["dice"].to_numpy(), cases["referred"].to_numpy()
    median = float(np.median(dice))
    figure = new_figure(WIDE_INCHES, 3.2)
    left, right = figure.subplots(1, 2)
    edges = [float(edge) for edge in np.linspace(0, 1, _BINS + 1)]
    left.hist([dice[~referred], dice[referred]], bins=edges, stacked=True, color=[BLUE, ORANGE], width=0.044)
    left.axvline(median, color=INK, linewidth=1.2)
    left.annotate(
        f" median {median:.2f} ",
        (median, 0.99),
        xycoords=("data", "axes fraction"),
        ha="right" if median > 0.5 else "left",
        va="top",
        fontsize=SMALL_POINTS,
        color=INK,
    )
    left.set_ylim(0, left.get_ylim()[1] * 1.15)
    dress(left, x="Dice of a case", y="Cases", grid="y")
    share = 100 * (np.arange(len(dice)) + 0.5) / len(dice)
    for chosen, colour, name in ((~referred, BLUE, "kept"), (referred, ORANGE, "referred to a human")):
        kept = np.flatnonzero(chosen)[:: max(1, -(-int(chosen.sum()) // _DOTS))]
        right.plot(
            share[kept], dice[kept], "o", color=colour, markersize=4, label=f"{name} ({int(chosen.sum()):,})"
        )
    right.axhline(median, color=MUTED, linewidth=0.9, linestyle=_DASHED)
    right.set(xlim=(0, 100), ylim=(-0.02, 1.02))
    dress(right, x="Cases from the worst to the best in %", y="Dice")
    legend(right, "lower right")
    return save(figure)


def referral_curve(curve: Sequence[Mapping[str, float]], measured: tuple[float, float] | None) -> str:
    """Mean Dice of what is kept over the share that is referred, beside the order of a coin and the best order.

    curve: see `evaluate.TestResults.referral`. measured: share and Dice at the threshold fixed before the test.
    """
    share = [100 * point["share"] for point in curve]
    figure, axes = new_axes(height=3.8)
    styles = {
        "best": ("best order, for whom the truth is known", GREEN, "--"),
        "dice": ("least sure first", BLUE, "-"),
        "random": ("any order", GREY, ":"),
    }
    for key, (name, colour, style) in styles.items():
        width = 2.0 if key == "dice" else 1.4
        axes.plot(
            share, [point[key] for point in curve], color=colour, linestyle=style, linewidth=width, label=name
        )
    if measured is not None:
        referred, kept = measured
        axes.vlines(
            100 * referred, min(point["random"] for point in curve), kept, color=ORANGE, linewidth=1.1
        )
        axes.plot(
            100 * referred, kept, "o", color=ORANGE, markersize=8, label="threshold fixed before the test"
        )
    dress(axes, x="Cases referred to a human in %", y="Mean Dice of the others")
    legend(axes, "upper left")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))
    return save(figure)


def size_agreement(table: pl.DataFrame) -> str:
    """Found against true sizes, and their difference over their mean (Bland and Altman 1986) with mean and limits.

    table: see `predictions.predict_fold`; structures that a case does not show are left out.
    """
    shown = table.filter(pl.col("dice").is_not_nan())
    if shown.is_empty():
        return nothing("no test case shows a structure")
    unit = UNITS[shown["unit"][0]]
    figure = new_figure(WIDE_INCHES, 3.6)
    left, right = figure.subplots(1, 2)
    for number, ((name,), rows) in enumerate(shown.group_by("structure", maintain_order=True)):
        truth, found = rows["size_truth"].to_numpy(), rows["size_found"].to_numpy()
        dots = {"color": SERIES[number % len(SERIES)], "markersize": 4, "alpha": 0.65}
        left.plot(truth, found, "o", label=literal(str(name)), **dots)
        right.plot((truth + found) / 2, found - truth, "o", **dots)
    top = float(max(shown["size_truth"].max(), shown["size_found"].max())) * 1.04  # type: ignore[type-var,arg-type]
    left.plot([0, top], [0, top], color=MUTED, linewidth=0.9, linestyle=_DASHED)
    left.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top))
    dress(left, x=f"Drawn, {unit}", y=f"Found, {unit}")
    if shown["structure"].n_unique() > 1:
        legend(left, "upper left")
    _limits(right, (shown["size_found"] - shown["size_truth"]).to_numpy())
    dress(right, x=f"Mean of drawn and found, {unit}", y=f"Found − drawn, {unit}")
    return save(figure)


def limits_of_agreement(table: pl.DataFrame) -> tuple[float, float, float] | None:
    """Mean difference of found and true sizes, and where 95 % of such differences lie; None for fewer than two."""
    shown = table.filter(pl.col("dice").is_not_nan())
    if shown.height < 2:
        return None
    difference = (shown["size_found"] - shown["size_truth"]).to_numpy()
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    return mean, mean - _LIMITS * spread, mean + _LIMITS * spread


def _limits(axes: "Axes", difference: np.ndarray) -> None:
    if len(difference) < 2:
        return
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    for value, style in ((mean, "-"), (mean - _LIMITS * spread, _DASHED), (mean + _LIMITS * spread, _DASHED)):
        axes.axhline(value, color=INK if value == mean else MUTED, linewidth=1.0, linestyle=style)


def confusion(counts: Sequence[Sequence[int]]) -> str:
    """Cases of each true grade by the grade given; the darker, the larger the share of the true grade."""
    table = np.array(counts)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    edge = min(NARROW_INCHES, 1.6 + 0.75 * len(table))
    figure, axes = new_axes(edge, edge * 0.85)
    for row, column in np.ndindex(table.shape):
        axes.add_patch(_cell(row, column, float(shares[row, column])))
        axes.text(
            column,
            row,
            f"{table[row, column]:,}",
            ha="center",
            va="center",
            fontsize=SMALL_POINTS + 1,
            color=INK,
            fontweight="bold" if row == column else "normal",
        )
    axes.set(xlim=(-0.5, len(table) - 0.5), ylim=(len(table) - 0.5, -0.5), aspect="equal")
    dress(axes, x="Grade given", y="True grade", grid="none")
    axes.set_xticks(range(len(table)))
    axes.set_yticks(range(len(table)))
    return save(figure)


def recall_by_grade(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of the cases of each grade that are given it, with intervals. metrics: see `grading.grading_document`."""
    prefix = "test/recall_grade_"
    known = {
        int(name.removeprefix(prefix)): metric
        for name, metric in metrics.items()
        if name.startswith(prefix) and metric["value"] is not None
    }
    if not known:
        return nothing("no test case has a grade")
    figure, axes = new_axes(height=3.2)
    for grade, metric in known.items():
        if metric["low"] is not None:
            axes.vlines(grade, metric["low"], metric["high"], color=BLUE, linewidth=2, alpha=0.5)
        axes.plot(grade, metric["value"], "o", color=BLUE, markersize=7)
        axes.text(grade, -0.09, f"{metric['n']:,} patients", ha="center", fontsize=SMALL_POINTS, color=MUTED)
    axes.set(ylim=(-0.14, 1.03), xlim=(min(known) - 0.5, max(known) + 0.5))
    dress(axes, x="True grade", y="Share that is given it", grid="y")
    axes.set_xticks(sorted(known))
    return save(figure)


def _cell(row: int, column: int, share: float) -> Any:
    from matplotlib.patches import Rectangle

    colour = ORANGE if row != column else BLUE
    return Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, color=colour, alpha=0.08 + 0.62 * share, linewidth=0
    )
