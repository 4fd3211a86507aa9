"""Figures of forecasts: against what came true, along single machines, and how unusual machines look on their way."""

from typing import Any

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.calibrate import STAGES
from pipelines.predictive_maintenance.forecasts import FORECAST
from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    WIDE_INCHES,
    dress,
    few_ticks,
    legend,
    literal,
    new_axes,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

_COLUMNS, _NUM_LIVES = 3, 6
_BINS = 24


def forecast_against_truth(last: pl.DataFrame, cap: float, time_unit: str) -> str:
    """A point for each machine with its interval, in orange where that misses; open ends are arrows.

    last: rows of which the end is known, with remaining, forecast, low, high. The line is the truth up to the cap.
    """
    if last.is_empty():
        return nothing("of no test machine it is known when it failed")
    truth, forecast, low, high = (last[name].to_numpy() for name in ("remaining", FORECAST, "low", "high"))
    top = max(cap, float(truth.max()))
    ends = np.where(np.isnan(high), cap, high)
    target = np.minimum(truth, cap)
    inside = (target >= low) & (target <= ends)
    figure, axes = new_axes(WIDE_INCHES, 4.6)
    axes.plot([0, cap, top], [0, cap, cap], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    for chosen, colour, name in ((inside, BLUE, "interval holds the truth"), (~inside, ORANGE, "it misses")):
        if chosen.any():
            axes.vlines(truth[chosen], low[chosen], ends[chosen], color=colour, linewidth=1.2, alpha=0.55)
            label = f"{name} ({chosen.sum()} of {len(truth)})"
            axes.plot(truth[chosen], forecast[chosen], "o", color=colour, markersize=4.5, label=label)
            is_open = chosen & np.isnan(high)
            axes.plot(truth[is_open], ends[is_open], "^", color=colour, markersize=5, alpha=0.8)
    axes.set_xlim(-0.02 * top, 1.02 * top)
    axes.set_ylim(-0.02 * cap, 1.06 * cap)
    dress(axes, x=f"True remaining life in {time_unit}", y=f"Forecast in {time_unit}")
    legend(axes, "lower right")
    return save(figure)


def lives_over_time(lives: list[pl.DataFrame], cap: float, time_unit: str) -> str:
    """A panel for each life: forecast and its interval beside the truth clipped at the cap, over the machine's time.

    lives: see `typical_lives`.
    """
    if not lives:
        return nothing("of no test machine it is known when it failed")
    num_rows = -(-len(lives) // _COLUMNS)
    figure = new_figure(WIDE_INCHES, 2.25 * num_rows + 0.5)
    panels = figure.subplots(num_rows, _COLUMNS, squeeze=False, sharey=True).ravel()
    for axes, life in zip(panels, lives, strict=False):
        _life_panel(axes, life, cap)
    for axes in panels[len(lives) :]:
        axes.set_axis_off()
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel(f"Remaining {time_unit}", fontsize=9.5, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn = figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8.5, labelcolor=INK)
    drawn.set_frame_on(False)
    return save(figure)


def _life_panel(axes: Any, life: pl.DataFrame, cap: float) -> None:
    time, low = life["time"].to_numpy(), life["low"].to_numpy()
    ends = life["high"].fill_nan(cap).fill_null(cap).to_numpy()
    truth = np.minimum(life["remaining"].to_numpy(), cap)
    axes.fill_between(time, low, ends, color=BLUE, alpha=0.18, linewidth=0, label="interval")
    axes.plot(time, truth, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), label="truth, up to the cap")
    axes.plot(time, life[FORECAST].to_numpy(), color=BLUE, linewidth=1.6, label="forecast")
    error = float(np.sqrt(np.mean(np.square(life[FORECAST].to_numpy() - truth))))
    axes.set_ylim(0, 1.05 * cap)
    dress(axes, title=f"{literal(life['unit_id'][0], 22)}, RMSE {error:.0f}")
    axes.xaxis.set_major_locator(few_ticks(5))


def typical_lives(table: pl.DataFrame, cap: float) -> list[pl.DataFrame]:
    """Readings of up to six lives: the two that are forecast best, the two in the middle, the two worst.

    table: forecasts of test machines, see `TestResults`. Only lives of which the end is known count, and of these
    those that were recorded until near failure, where there are enough: far from it nothing happens.
    """
    known = table.filter(~pl.col("is_censored"))
    error = (pl.col(FORECAST) - pl.col("remaining").clip(upper_bound=cap)).pow(2).mean().sqrt()
    ranked = known.group_by("unit_id", "life").agg(error=error, least=pl.col("remaining").min())
    ranked = ranked.sort("error", "unit_id", "life")
    near = ranked.filter(pl.col("least") <= cap / len(STAGES))
    ranked = near if near.height >= _NUM_LIVES else ranked
    middle = ranked.height // 2
    places = [0, 1, middle - 1, middle, ranked.height - 2, ranked.height - 1]
    chosen = sorted({place for place in places if 0 <= place < ranked.height})
    return [
        known.filter(pl.col("unit_id") == unit, pl.col("life") == life).sort("time")
        for unit, life, *_ in ranked[chosen].rows()
    ]


def anomaly_over_life(table: pl.DataFrame, cap: float, time_unit: str) -> str:
    """Median of the anomaly score with its quartiles and 5 to 95 % over the remaining life, failure at the right.

    table: readings with remaining, is_censored and anomaly_score. Without a known end, over the time of the machines.
    """
    from matplotlib.ticker import LogLocator

    known = table.filter(~pl.col("is_censored"), pl.col("remaining") <= 1.5 * cap)
    rows, name = (known, "remaining") if known.height else (table, "time")
    place, score = rows[name].to_numpy(), rows["anomaly_score"].to_numpy()
    edges = np.linspace(place.min(), place.max() + 1e-9, _BINS + 1)
    number = np.digitize(place, edges[1:-1])
    there = np.unique(number)
    middles = ((edges[:-1] + edges[1:]) / 2)[there]
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    bands = np.stack([np.quantile(score[number == one], levels) for one in there], axis=1)
    figure, axes = new_axes(WIDE_INCHES, 3.4)
    axes.fill_between(
        middles, bands[0], bands[4], color=GREY, alpha=0.18, linewidth=0, label="90 % of readings"
    )
    axes.fill_between(middles, bands[1], bands[3], color=BLUE, alpha=0.28, linewidth=0, label="half of them")
    axes.plot(middles, bands[2], color=BLUE, linewidth=1.8, label="median")
    axes.axhline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), label="usual in training")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    if known.height:
        axes.invert_xaxis()
    titles = {"remaining": "True remaining life", "time": "Time of the machine"}
    dress(axes, x=f"{titles[name]} in {time_unit}", y="Anomaly score")
    legend(axes, "upper left")
    return save(figure)
