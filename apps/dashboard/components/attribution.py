"""Why one case got its score: what raises it, what lowers it, and whether the explanation can be believed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from apps.dashboard.components.banners import explanation_banner
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from shared.publishing.blocks import show

_MOST_BARS = 12


@dataclass(frozen=True, slots=True)
class Part:
    """What one feature adds to the score of one case: its name and value for people, and its contribution."""

    name: str
    contribution: float
    value: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} = {self.value}" if self.value else self.name


def strongest(parts: Sequence[Part], most: int = _MOST_BARS) -> list[Part]:
    """The strongest parts in order; the others are summed up in one."""
    ordered = sorted(parts, key=lambda part: -abs(part.contribution))
    if len(ordered) <= most:
        return ordered
    rest = ordered[most - 1 :]
    return [
        *ordered[: most - 1],
        Part(f"{len(rest)} others together", float(sum(part.contribution for part in rest))),
    ]


def attribution_chart(
    model: Model,
    parts: Sequence[Part],
    title: str,
    *,
    unit: str,
    raises: str,
    lowers: str,
    key: str,
    higher_is_good: bool = False,
) -> None:
    """What speaks for and against, strongest first; `raises` and `lowers` say what each direction means.

    The warning of a model whose explanations failed their check stands above it.
    """
    import plotly.graph_objects as go

    explanation_banner(model)
    shown = strongest(parts)[::-1]
    up, down = (
        (COLOURS["blue"], COLOURS["orange"]) if higher_is_good else (COLOURS["orange"], COLOURS["blue"])
    )
    drawing = go.Figure()
    for words, colour, sign in ((raises, up, 1), (lowers, down, -1)):
        own = [part for part in shown if sign * part.contribution >= 0 and (sign > 0 or part.contribution)]
        drawing.add_bar(
            x=[part.contribution for part in own],
            y=[escaped(part.label) for part in own],
            orientation="h",
            name=escaped(words),
            marker_color=colour,
            text=[_number(part.contribution, shown) for part in own],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    drawing.update_yaxes(
        categoryorder="array", categoryarray=[escaped(part.label) for part in shown], ticksuffix=" "
    )
    drawing.update_xaxes(range=_room([part.contribution for part in shown]))
    figure(
        drawing, title, x=unit, key=key, height=bar_height(len(shown)), alt=_in_words(parts, raises, lowers)
    )


def _number(value: float, shown: Sequence[Part]) -> str:
    """Three digits; nothing is what is nothing beside the strongest part."""
    strongest_one = max(abs(part.contribution) for part in shown)
    if abs(value) <= 1e-4 * strongest_one:
        return "0"
    return f"{value:.3g}".replace("-", "−")


def _room(values: Sequence[float]) -> list[float]:
    """Ends of the axis with room for the numbers beside the bars."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.25 * max(high - low, 1e-9)
    return [low - room * (low < 0), high + room * (high > 0)]


def waterfall_chart(
    model: Model,
    parts: Sequence[Part],
    title: str,
    *,
    base: tuple[str, float],
    total: tuple[str, float],
    unit: str,
    key: str,
    higher_is_good: bool,
    second: Callable[[np.ndarray], list[str]] | None = None,
    second_title: str = "",
) -> None:
    """From the value of a usual case (`base`) to that of this one (`total`), step by step.

    `second` writes positions on the axis in another unit, for an axis above: points as a probability, for example.
    """
    import plotly.graph_objects as go

    explanation_banner(model)
    shown = strongest(parts)
    up, down = (
        (COLOURS["blue"], COLOURS["orange"]) if higher_is_good else (COLOURS["orange"], COLOURS["blue"])
    )
    labels = [base[0], *(part.label for part in shown), total[0]]
    values = [base[1], *(part.contribution for part in shown), total[1]]
    drawing = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=["absolute", *["relative"] * len(shown), "total"],
            y=[escaped(label) for label in labels],
            x=values,
            text=[show(values[0], 0), *(f"{value:+.1f}" for value in values[1:-1]), show(values[-1], 0)],
            textposition="outside",
            cliponaxis=False,
            increasing_marker_color=up,
            decreasing_marker_color=down,
            totals_marker_color=COLOURS["grey"],
            connector_line={"width": 1, "color": COLOURS["grey"]},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    low, high = _span(values)
    drawing.update_xaxes(range=[low, high])
    drawing.update_yaxes(autorange="reversed", ticksuffix=" ")
    if second is not None:
        _second_axis(drawing, np.linspace(low, high, 7)[1:-1], second, second_title)
    figure(
        drawing, title, x=unit, key=key, height=bar_height(len(labels), row=30), legend=False, top=92 if second else 44,
        alt=_in_words(parts, "raises it", "lowers it"),
    )  # fmt: skip


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Where all steps and their texts fit; bars from zero would leave no room for the steps."""
    steps = values[0] + np.concatenate([[0.0], np.cumsum(values[1:-1])])
    low, high = float(min(steps.min(), values[-1])), float(max(steps.max(), values[-1]))
    room = max(high - low, 1e-9) * 0.18
    return low - room, high + room


def _second_axis(
    drawing: object, places: np.ndarray, second: Callable[[np.ndarray], list[str]], title: str
) -> None:
    import plotly.graph_objects as go

    assert isinstance(drawing, go.Figure)
    # an axis is drawn only where a trace lies on it
    drawing.add_scatter(x=[None], y=[None], xaxis="x2", showlegend=False, hoverinfo="skip")
    drawing.update_layout(
        xaxis2={
            "overlaying": "x",
            "side": "top",
            "matches": "x",
            "tickvals": places.tolist(),
            "ticktext": [escaped(text) for text in second(places)],
            "title": {"text": escaped(title)},
            "showgrid": False,
        }
    )


def _in_words(parts: Sequence[Part], raises: str, lowers: str) -> str:
    """The figure for those who do not see it."""
    first = strongest(parts)[:3]
    return "; ".join(
        f"{part.label}: {raises if part.contribution > 0 else lowers} ({show(part.contribution, 3)})"
        for part in first
    )


def reasons_list(reasons: Sequence[str]) -> None:
    """Reasons in words, strongest first, as plain text."""
    for number, reason in enumerate(reasons, 1):
        st.text(f"{number}. {reason}")
