"""Traces on ECG paper: small squares of 0.04 s and 0.1 mV, large ones of 0.2 s and 0.5 mV, in the proportion of 25 mm/s
and 10 mm/mV, as every cardiogram is printed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.wording import moment
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    literal,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# 25 mm for a second, 10 mm for a millivolt.
ASPECT = 10 / 25
STRIP_S = 10.0
_SHADED_S = 0.1  # to each side of a flagged beat; more would run into the next one
_SMALL, _LARGE = (0.04, 0.1), (0.2, 0.5)
_PULSE_S, _PULSE_MV = 0.2, 1.0
_SMALLEST_RANGE_MV = 1.0
# Anything higher is noise, and would make all else flat.
_LARGEST_MV = 5.0
_COLUMNS = 4
_PANEL_INCHES = 1.85  # what the numbers of the axes leave
_FAINTEST = 0.03


def strip(signal: np.ndarray, rate_hz: int, start_s: float, beats: pl.DataFrame) -> str:
    """Ten seconds of one recording with its marked classes above; flagged beats are shaded.

    signal: of the whole recording, (samples,), mV. beats: of it, with beat_time, beat_class and flagged.
    """
    first = round(start_s * rate_hz)
    trace = np.clip(signal[first : first + round(STRIP_S * rate_hz)], -_LARGEST_MV, _LARGEST_MV)
    if not len(trace):
        return nothing("there is no signal")
    low, high = _range(trace)
    begin, end = -0.6, len(trace) / rate_hz + 0.1
    inches = (WIDE_INCHES - 0.9) * (high + 0.5 - low) * ASPECT / (end - begin)
    figure = new_figure(WIDE_INCHES, inches + 0.6)
    axes = figure.subplots()
    _paper(axes, (begin, end), (low, high + 0.5))
    _calibration(axes, begin + 0.1)
    axes.plot(np.arange(len(trace)) / rate_hz, trace, color=INK, linewidth=0.9)
    shown = beats.filter(pl.col("beat_time").is_between(start_s, start_s + STRIP_S))
    for time, kind, flagged in shown.select(pl.col("beat_time") - start_s, "beat_class", "flagged").rows():
        if flagged:
            axes.axvspan(time - _SHADED_S, time + _SHADED_S, color=ORANGE, alpha=0.25, linewidth=0)
        axes.text(
            time,
            high + 0.25,
            kind or "?",
            ha="center",
            va="center",
            fontsize=SMALL_POINTS + 1,
            fontweight="normal" if kind == "N" else "bold",
            color=ORANGE if flagged else MUTED if kind == "N" else INK,
        )
    _axes_in_units(axes, f"Time in s, from {moment(start_s)}")
    axes.set_xticks(range(int(STRIP_S) + 1))
    return save(figure)


def beat_panels(examples: Sequence[Mapping[str, Any]], rate_hz: int, before: int, segment: int) -> str:
    """Beats beside each other on ECG paper: the usual beat in grey behind, the heat as colour under the trace, and
    below what each piece adds to the score by integrated gradients, and Grad-CAM.

    examples: see `explain.explain_test`; at most four.
    """
    if not examples:
        return nothing("there is no such beat")
    low, high = _range(np.concatenate([[*example["beat_mv"], *example["usual_mv"]] for example in examples]))
    seconds = len(examples[0]["beat_mv"]) / rate_hz
    lanes = ["gradients", "Grad-CAM"]
    heights = [_PANEL_INCHES * (high - low) * ASPECT / seconds, 0.36 * len(lanes)]
    figure = new_figure(WIDE_INCHES, sum(heights) + 1.0)
    panels = figure.subplots(2, _COLUMNS, squeeze=False, sharex=True, height_ratios=heights)
    for above, below, example in zip(*panels, examples, strict=False):
        time = (np.arange(len(example["beat_mv"])) - before) / rate_hz
        _beat(above, example, time, (low, high))
        _lanes(below, example, time, segment)
    for axes in panels[:, len(examples) :].ravel():
        axes.set_axis_off()
    panels[0, 0].set_ylabel("mV", color=INK)
    panels[1, 0].set_yticks([-lane for lane in range(len(lanes))], lanes)
    return save(figure)


def _beat(axes: "Axes", example: Mapping[str, Any], time: np.ndarray, ends: tuple[float, float]) -> None:
    _paper(axes, (float(time[0]), float(time[-1])), ends)
    beat = np.clip(np.array(example["beat_mv"]), -_LARGEST_MV, _LARGEST_MV)
    share = np.array(example["heat"])
    share = share / max(float(share.max()), 1e-12)
    bottom = np.full(len(time), ends[0])
    for level, colour in ((0.15, 0.16), (0.35, 0.3), (0.6, 0.45)):
        axes.fill_between(
            time, bottom, beat, where=list(share > level), color=ORANGE, alpha=colour, linewidth=0
        )
    axes.plot(time, example["usual_mv"], color=GREY, linewidth=2.4, alpha=0.8)
    axes.plot(time, beat, color=INK, linewidth=1.1)
    words = f"{literal(example['record'], 14)}, {moment(example['beat_time'])}, marked {example['beat_class'] or '?'}"
    axes.set_title(
        f"{words}\nscore {example['score']:.1f}, rhythm "
        + f"{example['rhythm_gradient']:+.1f}".replace("-", "−"),
        fontsize=SMALL_POINTS,
        color=INK,
        loc="left",
    )
    _quiet(axes)
    axes.set_xticks([-0.2, 0, 0.2, 0.4])


def _lanes(axes: "Axes", example: Mapping[str, Any], time: np.ndarray, segment: int) -> None:
    """Gradients summed over pieces of the beat, orange raises the score and blue lowers it; below, Grad-CAM."""
    from matplotlib.colors import to_rgba_array

    sums = np.array(example["gradients"]).reshape(-1, segment).sum(1)
    strength = np.abs(sums) / max(float(np.abs(sums).max()), 1e-12)
    there = np.flatnonzero(strength >= _FAINTEST)
    # transparent where nothing is: the same drawing on a white and on a dark page
    colours = [(ORANGE if sums[at] > 0 else BLUE, float(strength[at])) for at in there]
    cells = [(float(time[at * segment]), segment * float(time[1] - time[0])) for at in there]
    axes.broken_barh(cells, (-0.45, 0.9), facecolors=to_rgba_array(colours), linewidth=0)
    heights = 0.9 * np.array(example["evidence"]) / max(*example["evidence"], 1e-12)
    axes.fill_between(time, -1.45, heights - 1.45, color=GREY, linewidth=0)
    axes.set_ylim(-1.5, 0.5)
    _quiet(axes)
    axes.set_yticks([])
    axes.set_xlabel("s from the R peak", fontsize=SMALL_POINTS, color=INK)


def _paper(axes: "Axes", time: tuple[float, float], voltage: tuple[float, float]) -> None:
    """The squares, each grid as one path, and the proportion of the paper."""
    for (step_s, step_mv), width, alpha in ((_SMALL, 0.35, 0.25), (_LARGE, 0.7, 0.45)):
        along, up = _steps(time, step_s), _steps(voltage, step_mv)
        x = np.concatenate([np.repeat(along, 3), np.tile([*time, np.nan], len(up))])
        y = np.concatenate([np.tile([*voltage, np.nan], len(along)), np.repeat(up, 3)])
        axes.plot(x, y, color=RED, linewidth=width, alpha=alpha, solid_capstyle="butt")
    axes.set_xlim(*time)
    axes.set_ylim(*voltage)
    axes.set_aspect(ASPECT)


def _steps(ends: tuple[float, float], step: float) -> np.ndarray:
    return np.arange(np.ceil(ends[0] / step - 1e-9), np.floor(ends[1] / step + 1e-9) + 1) * step


def _calibration(axes: "Axes", start: float) -> None:
    """The mark that every recorder prints: one millivolt for a fifth of a second."""
    x = [start, start, start + _PULSE_S, start + _PULSE_S]
    axes.plot(x, [0, _PULSE_MV, _PULSE_MV, 0], color=INK, linewidth=1.1)
    axes.text(start + _PULSE_S / 2, -0.25, "1 mV", ha="center", fontsize=SMALL_POINTS - 1.5, color=INK)


def _axes_in_units(axes: "Axes", title: str) -> None:
    dress(axes, x=title, y="mV", grid="none")
    _quiet(axes)


def _quiet(axes: "Axes") -> None:
    axes.patch.set_alpha(0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=SMALL_POINTS, length=0, pad=3)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Ends in mV, on lines of the paper, with a little room."""
    low, high = float(values.min()), float(values.max())
    low, high = max(low, -_LARGEST_MV), min(high, _LARGEST_MV)
    missing = max(0.0, _SMALLEST_RANGE_MV - (high - low)) / 2
    return float(np.floor((low - missing) / 0.5 - 0.1) * 0.5), float(
        np.ceil((high + missing) / 0.5 + 0.1) * 0.5
    )
