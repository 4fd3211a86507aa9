"""Figures of an evaluation, each a function from numbers to SVG text.

Labels are 0 or 1, scores are probabilities or any number where higher means more of class 1. Rows without a
finite score are left out. A figure that the data cannot support says so instead of failing a finished run.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.publishing.blocks import show
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    dress,
    few_ticks,
    legend,
    line_style,
    literal,
    new_axes,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

Floats = NDArray[np.float64]
# More points than a figure has pixels only make the file heavy.
_MAX_POINTS = 600
_Z95 = 1.959964


def roc(labels: ArrayLike, scores: Mapping[str, ArrayLike]) -> str:
    """Receiver operating characteristic of each named score, the model first; the area is in the legend."""
    figure, axes = new_axes(height=4.3)
    for index, (name, values) in enumerate(scores.items()):
        truth, score = _usable(labels, values)
        if (reason := _one_class(truth)) is not None:
            return nothing(reason)
        hits, false_alarms = _cumulative(truth, score)
        x, y = false_alarms / false_alarms[-1], hits / hits[-1]
        area = float(np.trapezoid(y, x))
        x, y = _thin(x, y)
        axes.plot(x, y, label=f"{literal(name)}  {area:.3f}", **line_style(index))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    dress(axes, x="False positive rate", y="True positive rate")
    legend(axes, "lower right", title="Area under the curve", title_fontsize=8.5)
    return save(figure)


def precision_recall(labels: ArrayLike, scores: Mapping[str, ArrayLike]) -> str:
    """Precision over recall of each named score; average precision is in the legend, chance is dashed."""
    figure, axes = new_axes(height=4.3)
    prevalence = 0.0
    for index, (name, values) in enumerate(scores.items()):
        truth, score = _usable(labels, values)
        if (reason := _one_class(truth)) is not None:
            return nothing(reason)
        hits, false_alarms = _cumulative(truth, score)
        precision = hits[1:] / (hits[1:] + false_alarms[1:])
        recall = hits / hits[-1]
        average = float(np.sum(np.diff(recall) * precision))
        found = hits[1:] > 0  # before the first hit precision is 0 at recall 0: a stroke that says nothing
        x, y = _thin(recall[1:][found], precision[found])
        axes.plot(x, y, label=f"{literal(name)}  {average:.3f}", drawstyle="steps-pre", **line_style(index))
        prevalence = float(truth.mean())
    axes.axhline(
        prevalence, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), label=f"chance  {prevalence:.3f}"
    )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    dress(axes, x="Recall", y="Precision")
    legend(axes, "best", title="Average precision", title_fontsize=8.5)
    return save(figure)


def reliability(labels: ArrayLike, scores: ArrayLike, *, num_bins: int = 10) -> str:
    """Observed share over predicted probability in bins of equal size, with 95 % Wilson intervals.

    Below, the number of rows at each score. On the diagonal, probabilities can be taken at their word.
    """
    truth, score = _usable(labels, scores)
    if truth.size == 0:
        return nothing("there are no rows with a score")
    predicted, observed, low, high = _reliability_bins(truth, score, num_bins)
    figure = new_figure(height=4.6)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    errors = np.maximum(np.stack([observed - low, high - observed]), 0)
    axes.errorbar(
        predicted, observed, yerr=errors, fmt="o-", color=BLUE, markersize=4.5, linewidth=1.3, elinewidth=1.1
    )
    top = min(1.0, max(0.1, float(max(high.max(), predicted.max(), np.quantile(score, 0.995))) * 1.08))
    axes.set(xlim=(-0.01 * top, top), ylim=(-0.01 * top, top))
    dress(axes, y="Observed share")
    edges = np.linspace(0, 1, 51)
    below.hist(np.clip(score, 0, 1), bins=[float(edge) for edge in edges], color=GREY)
    dress(below, x="Predicted probability", y="Rows", grid="none")
    below.yaxis.set_major_locator(few_ticks(3))
    return save(figure)


def score_distribution(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    cut_offs: Mapping[str, float] | None = None,
    class_names: tuple[str, str] = ("class 0", "class 1"),
    score_name: str = "Score",
) -> str:
    """Share of rows of each class over the score, with the cut-offs that decisions use."""
    truth, score = _usable(labels, scores)
    if truth.size == 0:
        return nothing("there are no rows with a score")
    figure, axes = new_axes()
    low, high = _padded(float(score.min()), float(score.max()))
    edges = [float(edge) for edge in np.linspace(low, high, 41)]
    for value, colour, name in ((0, BLUE, class_names[0]), (1, ORANGE, class_names[1])):
        part = score[truth == value]
        weights = np.full(part.size, 100 / max(part.size, 1))
        label = f"{literal(name)} (n = {part.size:,})"
        axes.hist(part, bins=edges, weights=weights, color=colour, alpha=0.28, label=label)
        axes.hist(part, bins=edges, weights=weights, color=colour, histtype="step", linewidth=1.3)
    if cut_offs:
        axes.set_ylim(0, axes.get_ylim()[1] * 1.25)  # room for the labels above the bars
    for name, cut_off in (cut_offs or {}).items():
        axes.axvline(cut_off, color=INK, linewidth=1)
        axes.annotate(
            f" {literal(name)} {show(float(cut_off), 3)}",
            (cut_off, 0.99),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="top",
            fontsize=8.5,
            color=INK,
        )
    dress(axes, x=score_name, y="Share of the class in %", grid="y")
    legend(axes, "upper right")
    return save(figure)


def cost_curve(
    thresholds: ArrayLike,
    costs: Mapping[str, ArrayLike],
    *,
    chosen: float | None = None,
    unit: str = "",
    x: str = "Cut-off",
) -> str:
    """Cost over the cut-off for each named policy or model, with the cut-off chosen on validation data."""
    cut_offs = np.asarray(thresholds, dtype=float).ravel()
    figure, axes = new_axes()
    num_drawn = 0
    for index, (name, values) in enumerate(costs.items()):
        cost = np.asarray(values, dtype=float).ravel()
        finite = np.isfinite(cost) & np.isfinite(cut_offs)
        if finite.any():
            axes.plot(*_thin(cut_offs[finite], cost[finite]), label=literal(name), **line_style(index))
            num_drawn += 1
    if num_drawn == 0:
        return nothing("no cut-off has a cost")
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=1, label=f"chosen  {show(float(chosen))}")
    dress(axes, x=x, y=f"Cost in {unit}" if unit else "Cost")
    _thousands(axes.yaxis)
    legend(axes)
    return save(figure)


def _usable(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    truth, score = np.asarray(labels, dtype=float).ravel(), np.asarray(scores, dtype=float).ravel()
    if truth.shape != score.shape:
        raise ValueError(
            f"Expected one score for each label. Received {score.size} scores, {truth.size} labels."
        )
    finite = np.isfinite(truth) & np.isfinite(score)
    return truth[finite], score[finite]


def _one_class(truth: Floats) -> str | None:
    if truth.size == 0:
        return "there are no rows with a score"
    return f"all {truth.size:,} rows are of one class" if truth.min() == truth.max() else None


def _cumulative(truth: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Hits and false alarms from the highest score down, starting at 0; equal scores move together."""
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(truth[order])[last_of_ties]
    false_alarms = np.cumsum(1 - truth[order])[last_of_ties]
    return np.append(0.0, hits), np.append(0.0, false_alarms)


def _reliability_bins(truth: Floats, score: Floats, num_bins: int) -> tuple[Floats, Floats, Floats, Floats]:
    order = np.argsort(score, kind="stable")
    # Equal scores stay in one bin: otherwise the order of the file would decide where they are counted.
    bins = np.searchsorted(
        np.quantile(score, np.linspace(0, 1, num_bins + 1)[1:-1]), score[order], side="left"
    )
    _, starts = np.unique(bins, return_index=True)
    counts = np.diff(np.append(starts, score.size))
    predicted = np.add.reduceat(score[order], starts) / counts
    observed = np.add.reduceat(truth[order], starts) / counts
    centre = (observed + _Z95**2 / (2 * counts)) / (1 + _Z95**2 / counts)
    variance = observed * (1 - observed) / counts + _Z95**2 / (4 * counts**2)
    half = _Z95 * np.sqrt(variance) / (1 + _Z95**2 / counts)
    return predicted, observed, centre - half, centre + half


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if x.size <= _MAX_POINTS:
        return x, y
    keep = np.unique(np.linspace(0, x.size - 1, _MAX_POINTS).round().astype(int))
    return x[keep], y[keep]


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = (high - low) * 0.02 or max(abs(high) * 0.1, 0.05)
    return low - pad, high + pad


def _thousands(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    def text(value: float, _: object) -> str:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"

    axis.set_major_formatter(FuncFormatter(text))
