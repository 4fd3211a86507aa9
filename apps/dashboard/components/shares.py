"""Shares with their intervals: beside each other, and over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = 3
_PANEL_PIXELS = 215
_BAND = "rgba(47, 127, 193, .2)"
_DATES = {"tickformat": "%d %b", "nticks": 5}


@dataclass(frozen=True, slots=True)
class Series:
    """Shares of one group. rows: num_posts, share, share_low, share_high, share_counted (0 to 1), and begins, the first
    day of each period, in their order."""

    name: str
    rows: "pl.DataFrame"


def share_forest(groups: Sequence[Series], title: str, *, key: str) -> None:
    """One share of each group with its interval, and the counted one; each has one row."""
    import plotly.graph_objects as go

    drawn = groups[::-1]
    names = [escaped(f"{each.name} ({each.rows['num_posts'][0]:,})") for each in drawn]
    share, low, high, counted = (
        [100 * float(each.rows[column][0]) for each in drawn]
        for column in ("share", "share_low", "share_high", "share_counted")
    )
    drawing = go.Figure()
    drawing.add_scatter(
        x=counted, y=names, mode="markers", name="labels counted",
        marker={"symbol": "line-ns-open", "size": 13, "color": COLOURS["orange"], "line": {"width": 2}},
        hovertemplate="%{y}: counted %{x:.1f} %<extra></extra>",
    )  # fmt: skip
    drawing.add_scatter(
        x=share, y=names, mode="markers", name="corrected share, 95 % interval",
        marker={"size": 9, "color": COLOURS["blue"]},
        error_x={
            "array": [end - value for end, value in zip(high, share, strict=True)],
            "arrayminus": [value - end for end, value in zip(low, share, strict=True)],
            "color": COLOURS["blue"], "thickness": 1.6, "width": 4,
        },
        customdata=list(zip(low, high, strict=True)),
        hovertemplate="%{y}: %{x:.1f} % (%{customdata[0]:.1f} to %{customdata[1]:.1f})<extra></extra>",
    )  # fmt: skip
    drawing.update_xaxes(rangemode="tozero")
    drawing.update_yaxes(ticksuffix=" ")
    words = "; ".join(
        f"{each.name} {value:.1f} %" for each, value in zip(groups[:6], share[::-1][:6], strict=True)
    )
    figure(drawing, title, x="posts in %", key=key, height=bar_height(len(groups), row=30) + 20, alt=words)


def share_panels(groups: Sequence[Series], title: str, *, key: str) -> None:
    """A panel for each group, all on one scale: share with its interval over time, and the counted one."""
    from plotly.subplots import make_subplots

    num_rows = -(-len(groups) // _COLUMNS)
    drawing = make_subplots(
        num_rows,
        min(_COLUMNS, len(groups)),
        shared_yaxes="all",
        shared_xaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.28 / num_rows,
        subplot_titles=[escaped(each.name) for each in groups],
    )
    for number, each in enumerate(groups):
        _draw_panel(drawing, each.rows, number // _COLUMNS + 1, number % _COLUMNS + 1, first=number == 0)
    drawing.update_annotations(font_size=13)
    drawing.update_xaxes(showticklabels=True, **_DATES)
    drawing.update_yaxes(rangemode="tozero", nticks=5)
    for row in range(1, num_rows + 1):
        drawing.update_yaxes(title_text="posts in %", row=row, col=1)
    words = "; ".join(f"{each.name}: last {100 * float(each.rows['share'][-1]):.0f} %" for each in groups)
    figure(drawing, title, key=key, height=130 + _PANEL_PIXELS * num_rows, top=68, alt=words)


def _draw_panel(drawing: Any, rows: "pl.DataFrame", row: int, column: int, *, first: bool) -> None:
    when = rows["begins"].to_list()
    share, low, high, counted = (
        (100 * rows[name]).to_list() for name in ("share", "share_low", "share_high", "share_counted")
    )
    place: dict[str, Any] = {"row": row, "col": column}
    drawing.add_scatter(
        x=[*when, *when[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=_BAND, mode="lines",
        line={"width": 0}, name="95 % interval", legendgroup="band", showlegend=first, hoverinfo="skip", **place,
    )  # fmt: skip
    drawing.add_scatter(
        x=when, y=counted, mode="lines", line={"color": COLOURS["orange"], "dash": "dash", "width": 1.4},
        name="labels counted", legendgroup="counted", showlegend=first,
        hovertemplate="counted %{y:.1f} %<extra></extra>", **place,
    )  # fmt: skip
    drawing.add_scatter(
        x=when, y=share, mode="lines+markers", line={"color": COLOURS["blue"], "width": 2},
        marker={"size": 5}, name="corrected share", legendgroup="share", showlegend=first,
        customdata=list(zip(low, high, rows["num_posts"].to_list(), strict=True)),
        hovertemplate="%{x|%d %b %Y}: %{y:.1f} % (%{customdata[0]:.1f} to %{customdata[1]:.1f}), "
        "%{customdata[2]:,} posts<extra></extra>", **place,
    )  # fmt: skip
