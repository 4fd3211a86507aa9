"""Figures of a run: every metric with its interval beside the baselines, and how training went."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.publishing.blocks import direction, estimate, interval
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    WIDE_INCHES,
    dress,
    few_ticks,
    legend,
    line_style,
    literal,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED, PAPER

Floats = NDArray[np.float64]


def metric_forest(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Each metric as a panel with one row per model: point, 95 % interval, number.

    `metrics` maps the title of a metric to metric JSON by model; the first model is the one that is judged.
    """
    panels = {title: _drawable(models) for title, models in metrics.items()}
    panels = {title: models for title, models in panels.items() if models}
    if not panels:
        return nothing("no metric has a value")
    heights = [len(models) + 0.9 for models in panels.values()]
    figure = new_figure(WIDE_INCHES, 0.34 * sum(heights) + 0.35)
    figure.get_layout_engine().set(h_pad=0.09)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, (title, models) in zip(grid[:, 0], panels.items(), strict=True):
        _forest_panel(axes, title, models)
    return save(figure)


def difference_forest(differences: Mapping[str, Mapping[str, Any]], *, x: str) -> str:
    """A row for each paired difference: point, 95 % interval, number. Those outside noise are blue, others grey.

    `differences` maps a name to the JSON of a comparison; right of the line at zero the first of the two is larger.
    """
    rows = {
        name: {**found, "value": found["difference"]}
        for name, found in differences.items()
        if np.isfinite(_float_or_nan(found["difference"]))
    }
    if not rows:
        return nothing("nothing was compared")
    figure = new_figure(WIDE_INCHES, 0.34 * len(rows) + 0.9)
    axes = figure.subplots()
    axes.axvline(0, color=MUTED, linewidth=0.9)
    largest = max(abs(number) for found in rows.values() for number in (found["value"], *_ends(found)))
    digits = 2 if largest == 0 else max(0, math.ceil(1.5 - math.log10(largest)))
    for row, found in enumerate(rows.values()):
        outside = bool(found["outside_noise"])
        _point(axes, row, found, BLUE if outside else GREY)
        _number(axes, row, _difference(found, digits), INK if outside else MUTED)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    dress(axes, x=x, grid="x")
    axes.set_yticks(range(len(rows)), [literal(name) for name in rows], color=INK)
    axes.xaxis.set_major_locator(few_ticks(6))
    return save(figure)


def training_curves(
    history: Sequence[Mapping[str, Any]],
    *,
    series: Sequence[str] | None = None,
    best_epoch: int | None = None,
) -> str:
    """Values of each epoch, a panel for each quantity: a loss and a rate do not share an axis.

    `history` has one mapping per epoch with an optional `epoch`; `train/loss` and `validation/loss` go to
    one panel. `best_epoch` marks the epoch whose weights were kept.
    """
    epochs = np.array([float(row.get("epoch", index)) for index, row in enumerate(history)])
    panels: dict[str, dict[str, Floats]] = {}
    for name in series or sorted({key for row in history for key in row if key != "epoch"}):
        values = np.array([_float_or_nan(row.get(name)) for row in history])
        if np.isfinite(values).any():
            panels.setdefault(name.rsplit("/", 1)[-1], {})[name] = values
    if not panels:
        return nothing("no epoch has a value")
    figure = new_figure(WIDE_INCHES if len(panels) > 1 else 5.4, 3.1)
    for axes, (title, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for index, (name, values) in enumerate(curves.items()):
            finite = np.isfinite(values)
            marker = "o" if finite.sum() == 1 else None
            label = literal(name.rsplit("/", 1)[0] if "/" in name else name)
            axes.plot(epochs[finite], values[finite], label=label, marker=marker, **line_style(index))
        if best_epoch is not None:
            axes.axvline(best_epoch, color=INK, linewidth=1, label=f"kept: epoch {best_epoch}")
        dress(axes, x="Epoch", title=literal(title.replace("_", " ")))
        axes.xaxis.set_major_locator(few_ticks(6, integer=True))
        legend(axes)
    return save(figure)


def _forest_panel(axes: Any, title: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(models)
    axes.axvspan(*_ends(models[names[0]]), color=BLUE, alpha=0.10, linewidth=0)
    for row, name in enumerate(names):
        metric = models[name]
        low, high = _ends(metric)
        _point(axes, row, metric, BLUE if row == 0 else GREY)
        text = estimate(metric)
        if low < high:
            text += f"  ({interval(metric)})"
        _number(axes, row, text, INK if row == 0 else MUTED)
    axes.set_ylim(len(names) - 0.4, -0.6)
    unit = next(iter(models.values())).get("unit", "")
    words = ", ".join(part for part in (unit, direction(models[names[0]])) if part)
    dress(axes, title=f"{literal(title)}{f'  ({words})' if words else ''}", grid="x")
    axes.set_yticks(range(len(names)), [literal(name) for name in names], color=INK)
    axes.xaxis.set_major_locator(few_ticks(6))


def _point(axes: Any, row: int, metric: Mapping[str, Any], colour: str) -> None:
    """A value in this row with its interval."""
    axes.plot(_ends(metric), [row, row], color=colour, linewidth=2, solid_capstyle="round")
    axes.plot(metric["value"], row, "o", color=colour, markersize=6.5, markeredgecolor=PAPER)


def _number(axes: Any, row: int, text: str, colour: str) -> None:
    """A text right of the axes in this row."""
    axes.annotate(
        text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, color=colour,
        annotation_clip=False,
    )  # fmt: skip


def _difference(found: Mapping[str, Any], digits: int) -> str:
    value, (low, high) = found["value"], _ends(found)
    text = f"{value:+.{digits}f}"
    if low < high:
        text += f"  ({low:+.{digits}f} to {high:+.{digits}f})"
    return text.replace("-", "−")


def _drawable(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {
        name: metric for name, metric in models.items() if np.isfinite(_float_or_nan(metric.get("value")))
    }


def _ends(metric: Mapping[str, Any]) -> tuple[float, float]:
    """The interval, or the point twice where there is none."""
    low, high = _float_or_nan(metric.get("low")), _float_or_nan(metric.get("high"))
    value = float(metric["value"])
    return (low if np.isfinite(low) else value, high if np.isfinite(high) else value)


def _float_or_nan(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else float("nan")
