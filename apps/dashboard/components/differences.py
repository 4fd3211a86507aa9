"""Differences to several rivals with their intervals: right of the line is better."""

from collections.abc import Mapping
from typing import Any

from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped
from shared.publishing.blocks import show


def difference_chart(found: Mapping[str, Mapping[str, Any]], title: str, *, x: str, key: str) -> None:
    """found: difference, low, high and outside_noise by the rival's name; grey where the interval holds 0."""
    import plotly.graph_objects as go

    drawing = go.Figure()
    for outside, colour, name in ((True, "blue", "outside noise"), (False, "grey", "within noise")):
        own = {rival: one for rival, one in found.items() if bool(one["outside_noise"]) is outside}
        drawing.add_scatter(
            x=[one["difference"] for one in own.values()],
            y=[escaped(rival) for rival in own],
            mode="markers+text",
            name=name,
            text=[_signed(one["difference"]) for one in own.values()],
            textposition="top center",
            marker={"size": 10, "color": COLOURS[colour]},
            error_x={
                "array": [one["high"] - one["difference"] for one in own.values()],
                "arrayminus": [one["difference"] - one["low"] for one in own.values()],
                "color": COLOURS[colour],
                "thickness": 1.8,
                "width": 5,
            },
            hovertemplate="%{y}: %{x:+,.4g}<extra></extra>",
            cliponaxis=False,
        )
    drawing.add_vline(0, line_color=COLOURS["grey"], line_width=1)
    drawing.update_yaxes(
        categoryorder="array", categoryarray=[escaped(rival) for rival in found][::-1], ticksuffix=" "
    )
    words = "; ".join(f"{rival}: {_signed(one['difference'])}" for rival, one in found.items())
    figure(drawing, title, x=x, key=key, height=bar_height(len(found), row=44) + 20, alt=words)


def _signed(value: float) -> str:
    return f"+{show(value)}" if value > 0 else show(value)
