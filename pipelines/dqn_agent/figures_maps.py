"""Figures of what a policy would do over two features, of where it looks in frames, and its film."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.figures_policy import FEW_ACTIONS
from pipelines.dqn_agent.maps import near as near_visited
from pipelines.dqn_agent.wording import unit_of, with_unit, words
from shared.publishing.figure_style import (
    BLUE,
    ORANGE,
    SERIES,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    literal,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK

# How strongly cells are drawn that no visited state is near.
_UNSEEN = 0.22


def map_figure(found: Mapping[str, Any], card: Card) -> str:
    """The action and the value over two features; pale where no visited state lies near. found: `maps.decision_map`."""
    actions, values = np.array(found["action"]), np.array(found["value"], dtype=float)
    near = np.array(near_visited(found["visited"]))
    figure = new_figure(WIDE_INCHES, 4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_map_of_actions(figure, left, actions, near, card)
    colours = _colours("value", (BLUE, "#cfd6dc", ORANGE))
    span = float(np.ptp(values)) or 1.0
    _draw_cells(right, colours((values - values.min()) / span), near)
    _bar_of_colours(
        figure, right, colours, float(values.min()), float(values.max()), with_unit("Value", unit_of(card))
    )
    for axes, title in ((left, "Action"), (right, "Value of the best action")):
        _place_axes(axes, found)
        axis_titles = [
            literal(with_unit(words(found[axis]["name"]), found[axis]["unit"])) for axis in ("x", "y")
        ]
        dress(axes, x=axis_titles[0], y=axis_titles[1] if axes is left else "", title=title, grid="none")
    return save(figure)


def frames_figure(examples: Sequence[Mapping[str, Any]]) -> str:
    """Frames with what spoke for the action over the next best, orange, all on one scale; `explain` gives examples."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb
    from PIL import Image

    if not examples:
        return nothing("no frame was explained")
    largest = max(float(np.max(one["evidence"])) for one in examples) or 1.0
    glow = LinearSegmentedColormap.from_list("evidence", [(*to_rgb(ORANGE), 0.0), (*to_rgb(ORANGE), 0.75)])
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    figure = new_figure(WIDE_INCHES, 3.1 * rows)
    for axes, one in zip(figure.subplots(rows, columns, squeeze=False).ravel(), examples, strict=False):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["picture"]))))
        height, width = picture.shape
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        evidence = np.array(one["evidence"]) / largest
        axes.imshow(
            evidence, cmap=glow, vmin=0, vmax=1, extent=(0, width, height, 0), interpolation="bilinear"
        )
        against = f"{100 * one['negative_share']:.0f} % of the map speaks against it"
        title = f"{literal(one['action'], 18)}, not {literal(one['other'], 18)}\n{against}"
        axes.set_title(title, fontsize=SMALL_POINTS, color=INK)
    for axes in figure.axes:
        axes.set_axis_off()
    return save(figure)


def film_figure(film: bytes) -> str:
    """An animated PNG as a drawing of its own size."""
    from PIL import Image

    with Image.open(io.BytesIO(film)) as image:
        width, height = image.size
    data = base64.b64encode(film).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} '
        f'{height}"><image width="{width}" height="{height}" xlink:href="data:image/png;base64,{data}"/></svg>'
    )


def _draw_map_of_actions(figure: Any, axes: Any, actions: np.ndarray, near: np.ndarray, card: Card) -> None:
    from matplotlib.colors import to_rgba_array
    from matplotlib.patches import Patch

    if len(card.actions) > FEW_ACTIONS:
        colours = _colours("number", ("#e9edf0", "#79aedb", BLUE, "#123f66"))
        _draw_cells(axes, colours(actions / (len(card.actions) - 1)), near)
        _bar_of_colours(figure, axes, colours, 0, len(card.actions) - 1, "Number of the action")
        return
    palette = to_rgba_array(SERIES)
    _draw_cells(axes, palette[actions], near)
    handles = [
        Patch(color=SERIES[action], label=literal(card.actions[action], 24)) for action in np.unique(actions)
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False,
        fontsize=SMALL_POINTS, labelcolor=INK,
    )  # fmt: skip


def _draw_cells(axes: Any, colours: np.ndarray, near: np.ndarray) -> None:
    shown = np.array(colours)
    shown[..., 3] = np.where(near, 1.0, _UNSEEN)
    axes.imshow(shown, origin="lower", aspect="auto", interpolation="nearest")


def _place_axes(axes: Any, found: Mapping[str, Any]) -> None:
    """Ticks at cells, with the values that the features have there."""
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        values = found[name]["values"]
        places = np.unique(np.linspace(0, len(values) - 1, min(6, len(values))).round().astype(int))
        axis.set_ticks(places, [f"{values[place]:.3g}".replace("-", "−") for place in places])


def _bar_of_colours(figure: Any, axes: Any, colours: Any, low: float, high: float, title: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(low, high), colours), ax=axes, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=SMALL_POINTS, length=0)
    bar.set_label(literal(title), fontsize=SMALL_POINTS, color=INK)


def _colours(name: str, ends: Sequence[str]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(ends))
