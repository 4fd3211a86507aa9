"""Traces on ECG paper in its proportions: strips at 25 mm/s, single beats at 50 mm/s, both at 10 mm/mV.

A small square is 1 mm, a large one 5 mm: 0.2 s and 0.5 mV on a strip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.text import escaped

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# 10 mm for a millivolt; a square is 1 mm.
_MM_A_MV, _SMALL_MV, _LARGE_MV = 10, 0.1, 0.5
_STRIP_MM_S, _BEAT_MM_S = 25, 50
_THIN, _BOLD = "rgba(204, 83, 64, .16)", "rgba(204, 83, 64, .38)"
_SHADE = "rgba(217, 128, 31, .22)"
_SHADED_S = 0.1  # to each side of a flagged beat; more would run into the next one
_HOT, _HOTTEST = 0.35, 0.7  # of the strongest sample of a beat
_PULSE_S, _PULSE_MV, _MARGIN_S = 0.2, 1.0, 0.6
# Anything higher is noise, and would make all else flat.
_LARGEST_MV = 5.0
_SMALLEST_RANGE_MV = 1.5
# Of a strip on a usual page; on a narrower one there is room below it.
_NOMINAL_PIXELS = 900


@dataclass(frozen=True, slots=True)
class Mark:
    """A beat on a strip: R peak in s, what stands above it, whether it is flagged, and what is said of it."""

    at_s: float
    label: str
    flagged: bool
    words: str


def paper_strip(
    time: np.ndarray,
    voltage: np.ndarray,
    marks: Sequence[Mark],
    title: str,
    *,
    start_s: float,
    seconds: float,
    key: str,
    hot: np.ndarray | None = None,
    alt: str = "",
) -> None:
    """A stretch of a recording; flagged beats are shaded.

    time, voltage: (samples,), s and mV, from start_s on. hot: share of the strongest sample of its beat, (samples,),
    0 where nothing is hot.
    """
    import plotly.graph_objects as go

    voltage = np.clip(voltage, -_LARGEST_MV, _LARGEST_MV)
    low, high = _range(voltage if len(voltage) else np.zeros(1))
    top = high + 0.5
    drawing = go.Figure()
    if hot is not None:
        for level, width in ((_HOT, 5), (_HOTTEST, 9)):
            drawing.add_scatter(
                x=time,
                y=np.where(hot > level, voltage, np.nan),
                mode="lines",
                line={"color": "rgba(217, 128, 31, .45)", "width": width},
                hoverinfo="skip",
            )
    _trace(drawing, time, voltage)
    pulse = start_s - _MARGIN_S + 0.1
    _trace(drawing, pulse + np.array([0, 0, _PULSE_S, _PULSE_S]), np.array([0, _PULSE_MV, _PULSE_MV, 0]))
    _marks(drawing, marks, high + 0.25)
    begin, end = start_s - _MARGIN_S, start_s + seconds + 0.1
    _paper(drawing, (begin, end), (low, top), _STRIP_MM_S)
    for mark in marks:
        if mark.flagged:
            _box(drawing, (mark.at_s - _SHADED_S, mark.at_s + _SHADED_S), (low, top))
    every = 1 if seconds <= 12 else 5
    ticks = np.arange(np.ceil(start_s), end, every)
    drawing.update_xaxes(tickvals=ticks, ticktext=[_clock(tick) for tick in ticks])
    pixels = _NOMINAL_PIXELS * (top - low) * _MM_A_MV / _STRIP_MM_S / (end - begin)
    words = "time, min:s   (25 mm/s, 10 mm/mV; pulse: 1 mV)"
    figure(drawing, title, x=words, y="mV", key=key, height=int(pixels) + 110, legend=False, alt=alt)


def beat_on_paper(
    time: np.ndarray,
    beat: np.ndarray,
    usual: np.ndarray,
    heat: np.ndarray,
    title: str,
    *,
    key: str,
    alt: str = "",
) -> None:
    """One beat over the usual one of its patient; shaded where it is unexpected.

    All of shape (samples,): s from the R peak, mV, mV, and the share of each sample.
    """
    import plotly.graph_objects as go

    beat = np.clip(beat, -_LARGEST_MV, _LARGEST_MV)
    low, high = _range(np.concatenate([beat, usual]))
    drawing = go.Figure()
    share = heat / max(float(heat.max()), 1e-12)
    for level, opacity in ((0.15, 0.18), (0.35, 0.3), (0.6, 0.45)):
        there = share > level
        drawing.add_scatter(
            x=np.concatenate([time, time[::-1]]),
            y=np.concatenate([np.where(there, high, low), np.full(len(time), low)]),
            fill="toself",
            mode="none",
            fillcolor=f"rgba(217, 128, 31, {opacity})",
            name="unexpected here",
            legendgroup="heat",
            showlegend=level > 0.5,
            hoverinfo="skip",
        )
    drawing.add_scatter(
        x=time, y=usual, mode="lines", line={"color": COLOURS["grey"], "width": 4}, opacity=0.7,
        name="usual beat of this patient", hovertemplate="usual: %{y:.2f} mV<extra></extra>",
    )  # fmt: skip
    _trace(drawing, time, beat, name="this beat")
    _paper(drawing, (float(time[0]), float(time[-1])), (low, high), _BEAT_MM_S)
    drawing.update_xaxes(tickvals=[-0.2, 0, 0.2, 0.4])
    words = "s from the R peak   (50 mm/s, 10 mm/mV)"
    figure(drawing, title, x=words, y="mV", key=key, height=420, alt=alt)


def _trace(drawing: "Figure", x: np.ndarray, y: np.ndarray, name: str = "") -> None:
    drawing.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": _ink(), "width": 1.4},
        name=name,
        showlegend=bool(name),
        hovertemplate="%{y:.2f} mV<extra></extra>" if name else None,
        hoverinfo=None if name else "skip",
    )


def _marks(drawing: "Figure", marks: Sequence[Mark], height: float) -> None:
    for flagged, colour, size in ((False, COLOURS["grey"], 12), (True, COLOURS["orange"], 14)):
        own = [mark for mark in marks if mark.flagged == flagged]
        drawing.add_scatter(
            x=[mark.at_s for mark in own],
            y=[height] * len(own),
            mode="text",
            text=[f"<b>{escaped(mark.label)}</b>" if flagged else escaped(mark.label) for mark in own],
            textfont={"color": colour, "size": size},
            customdata=[mark.at_s for mark in own],
            hovertext=[escaped(mark.words) for mark in own],
            hovertemplate="%{hovertext}<extra></extra>",
        )


def _paper(
    drawing: "Figure", time: tuple[float, float], voltage: tuple[float, float], mm_a_second: int
) -> None:
    """The squares as grid lines, and the proportion of the paper: it becomes smaller with the page, never another."""
    small_s, large_s = 1 / mm_a_second, 5 / mm_a_second
    lines = [
        *({"x0": at, "x1": at, "y0": voltage[0], "y1": voltage[1]} for at in _steps(time, large_s)),
        *({"x0": time[0], "x1": time[1], "y0": at, "y1": at} for at in _steps(voltage, _LARGE_MV)),
    ]
    # large squares are lines of their own, since ticks with numbers are further apart
    line = {"type": "line", "line": {"color": _BOLD, "width": 1}, "layer": "below"}
    drawing.update_layout(shapes=[line | ends for ends in lines])
    both = {"showgrid": False, "zeroline": False, "constrain": "domain"}
    fine = {"showgrid": True, "gridcolor": _THIN, "gridwidth": 1}
    drawing.update_xaxes(range=list(time), constraintoward="left", minor={**fine, "dtick": small_s}, **both)
    drawing.update_yaxes(
        range=list(voltage),
        dtick=1.0,
        constraintoward="top",
        minor={**fine, "dtick": _SMALL_MV},
        scaleanchor="x",
        scaleratio=_MM_A_MV / mm_a_second,
        **both,
    )


def _box(drawing: "Figure", time: tuple[float, float], voltage: tuple[float, float]) -> None:
    drawing.add_shape(
        type="rect",
        x0=time[0],
        x1=time[1],
        y0=voltage[0],
        y1=voltage[1],
        fillcolor=_SHADE,
        line={"width": 0},
        layer="below",
    )


def _steps(ends: tuple[float, float], step: float) -> np.ndarray:
    """Lines between two ends."""
    lines: np.ndarray = np.arange(np.ceil(ends[0] / step - 1e-9), np.floor(ends[1] / step + 1e-9) + 1) * step
    return lines


def _range(values: np.ndarray) -> tuple[float, float]:
    """Ends in mV, on lines of the paper, with a little room."""
    low, high = float(values.min()), float(values.max())
    missing = max(0.0, _SMALLEST_RANGE_MV - (high - low)) / 2
    return float(np.floor((low - missing) / 0.5 - 0.1) * 0.5), float(
        np.ceil((high + missing) / 0.5 + 0.1) * 0.5
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _ink() -> str:
    """Of a trace: near black on light pages, near white on dark ones."""
    return "#f2f4f7" if st.context.theme.type == "dark" else "#16202b"
