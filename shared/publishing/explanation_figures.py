"""Figures of an explanation: which features matter overall, how, and why one case got its score.

Attributions are signed, in the unit of what was explained, such as log-odds; positive pushes the output up.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.publishing.blocks import show
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    dress,
    literal,
    literals,
    new_axes,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

Floats = NDArray[np.float64]
_SWARM_ROWS = 250
_SHADES = 9


def importance_bars(
    names: Sequence[str], attributions: ArrayLike, *, unit: str = "", max_features: int = 15
) -> str:
    """Mean absolute attribution of each feature, largest first; `attributions` is (rows, features)."""
    values = _matrix(attributions, len(names))
    if values.size == 0:
        return nothing("there are no attributions")
    sizes = np.abs(values).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")[:max_features]
    figure, axes = new_axes(height=0.27 * len(order) + 0.9)
    axes.barh(range(len(order)), sizes[order], color=BLUE, height=0.66)
    for row, value in enumerate(sizes[order]):
        _beside(axes, float(value), row, show(float(value), 3))
    axes.set_yticks(range(len(order)), literals([names[index] for index in order]))
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.margins(x=0.14)
    dress(axes, x=_with_unit("Mean |attribution|", unit), grid="x")
    axes.tick_params(axis="y", colors=INK)
    return save(figure)


def contribution_bars(
    names: Sequence[str], contributions: ArrayLike, *, unit: str = "", max_features: int = 12
) -> str:
    """What each part adds to the output of one case, strongest first; the weakest are summed in one bar.

    For a case whose parts are its own, such as words or events, so that there is no table of features to compare with.
    """
    parts = _matrix(contributions, len(names))
    if parts.shape[0] != 1 or not parts.any():
        return nothing("this case has no attributions")
    steps = _strongest(literals(names), parts[0], max_features, "others")
    figure, axes = new_axes(height=0.27 * len(steps) + 0.9)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    for row, (_, value) in enumerate(steps):
        axes.barh(row, value, color=ORANGE if value > 0 else BLUE, height=0.66)
        text = f"+{show(value, 3)}" if value > 0 else show(value, 3)
        _beside(axes, value, row, text, ha="left" if value >= 0 else "right")
    axes.set_yticks(range(len(steps)), [name for name, _ in steps])
    axes.set_ylim(len(steps) - 0.4, -0.6)
    sizes = [value for _, value in steps]
    low, high = min(0.0, *sizes), max(0.0, *sizes)
    # A label takes about a fifth of the axis and stands on the side of its bar.
    room = 0.25 * (high - low)
    axes.set_xlim(low - (room if low < 0 else 0.0), high + (room if high > 0 else 0.0))
    dress(axes, x=_with_unit("Contribution", unit), grid="x")
    axes.tick_params(axis="y", colors=INK)
    return save(figure)


def beeswarm(
    names: Sequence[str],
    attributions: ArrayLike,
    feature_values: ArrayLike | None = None,
    *,
    unit: str = "",
    max_features: int = 12,
) -> str:
    """One dot per row and feature at its attribution, from low (blue) to high (orange) feature values.

    Both arrays are of shape (rows, features); a feature value that is NaN is grey. At most 250 rows are
    drawn, evenly spaced over the table.
    """
    values = _matrix(attributions, len(names))
    if values.size == 0:
        return nothing("there are no attributions")
    colours = (
        None if feature_values is None else np.asarray(feature_values, dtype=float).reshape(values.shape)
    )
    order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:max_features]
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), _SWARM_ROWS)).round().astype(int))
    figure, axes = new_axes(height=0.33 * len(order) + 1.15)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    low, high = float(values[rows].min()), float(values[rows].max())
    for row, feature in enumerate(order):
        x = values[rows, feature]
        y = row + _spread(x, (high - low) or 1.0)
        shades = _shades(None if colours is None else colours[rows, feature], len(x))
        for colour in dict.fromkeys(shades):
            _dots(axes, x[shades == colour], y[shades == colour], colour)
    axes.set_yticks(range(len(order)), literals([names[index] for index in order]))
    axes.set_ylim(len(order) - 0.4, -0.6)
    dress(axes, x=_with_unit("Attribution", unit), grid="x")
    axes.tick_params(axis="y", colors=INK)
    if colours is not None:
        axes.set_title("feature value:  blue low · orange high", fontsize=8.5, color=MUTED, loc="right")
    return save(figure)


def waterfall(
    names: Sequence[str],
    contributions: ArrayLike,
    *,
    base_value: float,
    unit: str = "",
    values: Sequence[Any] | None = None,
    max_features: int = 10,
) -> str:
    """From the base value to the output of one case, feature by feature; the smallest are summed in one bar.

    `values` are the values of the features, shown beside their names.
    """
    parts = _matrix(contributions, len(names))
    if parts.shape[0] != 1 or not np.isfinite(base_value):
        return nothing("this case has no attributions")
    labels = literals(names, 26)
    if values is not None:
        pairs = zip(labels, values, strict=True)
        labels = [f"{label} = {literal(_value(value), 18)}" for label, value in pairs]
    steps = _strongest(labels, parts[0], max_features, "other features")
    return _draw_waterfall(steps, base_value, unit)


def _strongest(
    labels: Sequence[str], values: Floats, max_features: int, rest: str
) -> list[tuple[str, float]]:
    """Labels with their values, the largest first whatever their sign; beyond `max_features` they are summed."""
    order = np.argsort(-np.abs(values), kind="stable")
    shown = order if len(order) <= max_features else order[: max_features - 1]
    steps = [(labels[index], float(values[index])) for index in shown]
    if len(shown) < len(order):
        steps.append((f"{len(order) - len(shown)} {rest}", float(values[order[len(shown) :]].sum())))
    return steps


def _draw_waterfall(steps: list[tuple[str, float]], base_value: float, unit: str) -> str:
    figure, axes = new_axes(height=0.3 * len(steps) + 1.5)
    at = base_value
    for row, (_, step) in enumerate(steps):
        axes.barh(row, step, left=at, color=ORANGE if step > 0 else BLUE, height=0.62)
        if row + 1 < len(steps):
            axes.plot([at + step] * 2, [row, row + 1], color=MUTED, linewidth=0.8)
        text = show(step, 3)
        if step > 0:
            _beside(axes, at + step, row, f"+{text}", color=INK)
        else:
            _beside(axes, at + step, row, text, color=INK, ha="right")
        at += step
    axes.axvline(base_value, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_yticks(range(len(steps)), [label for label, _ in steps])
    axes.set_ylim(len(steps) - 0.1, -0.7)
    reached = base_value + np.cumsum([0.0, *(step for _, step in steps)])
    # A label takes about a fifth of the axis; it must end before the names of the features.
    room = 0.32 * (float(np.ptp(reached)) or 1.0)
    axes.set_xlim(float(reached.min()) - room, float(reached.max()) + room)
    dress(axes, x=_with_unit("Output", unit), grid="x")
    axes.tick_params(axis="y", colors=INK)
    title = f"base {show(base_value, 3)}  →  output {show(at, 3)}"
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", fontweight="bold")
    return save(figure)


def _matrix(attributions: ArrayLike, num_features: int) -> Floats:
    """Rows whose attributions are all finite, of shape (rows, features)."""
    values = np.asarray(attributions, dtype=float)
    values = values.reshape(-1, num_features) if num_features else np.empty((0, 0))
    return values[np.isfinite(values).all(axis=1)]


def _spread(x: Floats, width: float) -> Floats:
    """Vertical offsets that keep dots of equal attribution apart, the same on every run."""
    bins = np.floor((x - x.min()) / width * 70).astype(int)
    offsets = np.zeros(x.size)
    for value in np.unique(bins):
        members = np.flatnonzero(bins == value)
        steps = (np.arange(members.size) + 1) // 2 * np.where(np.arange(members.size) % 2, 1, -1)
        offsets[members] = steps * min(0.075, 0.38 / max(members.size / 2, 1))
    return offsets


def _shades(values: Floats | None, size: int) -> NDArray[np.str_]:
    """Colours from blue to orange by rank: one outlier must not make all others look equal."""
    if values is None:
        return np.full(size, BLUE)
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    _, ranks = np.unique(values, return_inverse=True)
    known = np.isfinite(values)
    scale = ranks[known].max(initial=0) or 1
    palette = LinearSegmentedColormap.from_list("value", [BLUE, "#a58fa0", ORANGE])(
        np.linspace(0, 1, _SHADES)
    )
    shades = np.array([to_hex(colour) for colour in palette])[
        np.minimum(ranks * _SHADES // (scale + 1), _SHADES - 1)
    ]
    return np.where(known, shades, GREY)


def _dots(axes: Any, x: Floats, y: Floats, colour: str) -> None:
    """Dots as lines of no length with round ends: a quarter of the bytes of markers (600 kB before)."""
    gaps = np.full(x.size, np.nan)
    xs, ys = np.stack([x, x, gaps], axis=1).ravel(), np.stack([y, y, gaps], axis=1).ravel()
    (line,) = axes.plot(xs, ys, color=colour, linewidth=3.2, solid_capstyle="round", alpha=0.85)
    line.get_path().should_simplify = False


def _beside(axes: Any, x: float, y: float, text: str, *, color: str = MUTED, ha: str = "left") -> None:
    offset = (4 if ha == "left" else -4, 0)
    axes.annotate(
        text, (x, y), offset, textcoords="offset points", ha=ha, va="center", fontsize=8.5, color=color
    )


def _with_unit(title: str, unit: str) -> str:
    return f"{title} ({literal(unit)})" if unit else title


def _value(value: Any) -> str:
    return show(value) if isinstance(value, int | float) else str(value)
