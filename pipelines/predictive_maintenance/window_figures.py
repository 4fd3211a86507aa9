"""Figure of an explanation over time: when within a window which part of the input moved the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.publishing.blocks import show
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    few_ticks,
    literals,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

Floats = NDArray[np.float64]
# Values below this share of the largest are not drawn: every cell drawn is a path of its own.
_FAINTEST = 0.02


def contributions_over_time(
    names: Sequence[str],
    contributions: ArrayLike,
    times: ArrayLike,
    *,
    x: str,
    unit: str = "",
    strip: ArrayLike | None = None,
    strip_title: str = "",
    max_rows: int = 10,
) -> str:
    """A row for each part of the input, the strongest first, with what it adds at each time: orange up, blue down.

    contributions of shape (parts, times), times ascending and evenly spaced. strip of shape (times,), from 0 on, is
    drawn above on its own scale. The stronger the colour the larger the value; nothing is drawn where it is small.
    """
    places = np.asarray(times, dtype=float)
    values = np.asarray(contributions, dtype=float).reshape(len(names), len(places))
    if not values.size or not np.isfinite(values).all() or not values.any():
        return nothing("this case has no contributions over time")
    order = np.argsort(-np.abs(values.sum(axis=1)), kind="stable")[:max_rows]
    step = float(places[1] - places[0]) if len(places) > 1 else 1.0
    heights = ([1.6] if strip is not None else []) + [float(len(order))]
    figure = new_figure(WIDE_INCHES, 0.3 * sum(heights) + 1.0)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    if strip is not None:
        _strip(panels[0], places, np.asarray(strip, dtype=float), step, strip_title)
    largest = _cells(panels[-1], values[order], places, step)
    axes = panels[-1]
    axes.set_yticks(range(len(order)), literals([names[index] for index in order]))
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(places[0] - step / 2, places[-1] + step / 2)
    axes.xaxis.set_major_locator(few_ticks(8))
    dress(axes, x=x, grid="none")
    axes.tick_params(axis="y", colors=INK)
    text = f"blue lowers · orange raises, full colour {show(largest, 2)} {unit} a reading".rstrip()
    axes.set_title(text, fontsize=SMALL_POINTS, color=MUTED, loc="right")
    return save(figure)


def _strip(axes: Any, places: Floats, strip: Floats, step: float, title: str) -> None:
    axes.bar(places, strip, width=step, color=GREY)
    axes.set_ylim(0, float(strip.max()) or 1.0)
    dress(axes, title=title, grid="none")
    axes.set_yticks([])


def _cells(axes: Any, values: Floats, places: Floats, step: float) -> float:
    """Draws the cells and returns the value that has the full colour."""
    from matplotlib.colors import to_rgba_array

    largest = float(np.quantile(np.abs(values), 0.995)) or float(np.abs(values).max())
    for row, own in enumerate(values):
        share = np.clip(np.abs(own) / largest, 0.0, 1.0)
        there = np.flatnonzero(share >= _FAINTEST)
        # Transparent where nothing is: the same drawing on a white and on a dark page.
        colours = [(ORANGE if own[at] > 0 else BLUE, float(np.round(share[at], 2))) for at in there]
        cells = [(float(places[at] - step / 2), step) for at in there]
        axes.broken_barh(cells, (row - 0.45, 0.9), facecolors=to_rgba_array(colours), linewidth=0)
    return largest
