"""How every figure looks: one palette, a title, units at the axes, the colours of the theme behind it."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.text import escaped
from shared.publishing.figure_style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = {
    "blue": BLUE,
    "orange": ORANGE,
    "green": GREEN,
    "purple": PURPLE,
    "red": RED,
    "grey": GREY,
}
# The row below holds the title of the x axis and, under it, the legend.
_TITLE_PIXELS, _ROW_PIXELS = 44, 84


def figure(
    drawing: "Figure",
    title: str,
    *,
    x: str = "",
    y: str = "",
    key: str,
    height: int = 360,
    legend: bool = True,
    top: int = _TITLE_PIXELS,
    alt: str = "",
    **options: Any,
) -> Any:
    """Draw a plotly figure. `x` and `y` name the axes with their units; `alt` says in words what is to be seen;
    `top` is the room for the title, more where panels have titles of their own.

    `options` go to `st.plotly_chart`, such as `on_select`; returns what it returns.
    """
    drawing.update_layout(
        title={
            "text": escaped(title),
            "font": {"size": 15},
            "x": 0,
            "xref": "container",
            "y": 0.98,
            "yanchor": "top",
        },
        height=height,
        margin={"l": 8, "r": 8, "t": top, "b": _ROW_PIXELS if legend else 8},
        showlegend=legend,
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0, "title": None},
        hoverlabel={"align": "left"},
        separators=".,",
    )
    drawing.for_each_xaxis(lambda axis: axis.update(title_text=axis.title.text or escaped(x)))
    drawing.for_each_yaxis(lambda axis: axis.update(title_text=axis.title.text or escaped(y)))
    drawing.update_xaxes(automargin=True)
    drawing.update_yaxes(automargin=True)
    config = {"displayModeBar": False, "displaylogo": False}
    return st.plotly_chart(drawing, key=key, config=config, alt=alt or title, **options)


def bar_height(num_rows: int, *, row: int = 28, least: int = 190) -> int:
    """Pixels for a figure of so many horizontal bars."""
    return max(least, _TITLE_PIXELS + _ROW_PIXELS + row * num_rows)
