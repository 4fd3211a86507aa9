"""Irregular readings on the fleet's own grid: last observation carried forward, and for how long it was carried."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.schema import Channel
from shared.errors import RequestError

# Times are floats: a reading this share of a step after a point of the grid still belongs to it.
_TOLERANCE = 1e-6


def typical_step(fleet: Fleet) -> float:
    """The median time between two readings of a life, in the fleet's time unit. RequestError where no life has two."""
    between = np.diff(fleet.time)[np.diff(fleet.row_life) == 0]
    if not len(between):
        raise RequestError(
            "Expected machines with several readings each. Received one reading of each life: a trend needs more."
        )
    return float(np.median(between))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The points of a fleet's grid, in the order of its rows.

    time: float64 of shape (points,), in the fleet's time unit. source: the last row of the fleet that had come in by
    then. first_point: the earliest point that a window may reach. offsets: as in `Fleet`. begin: row of the fleet
    with which the stretch of each point begins. row_time: time of the rows of the fleet.
    """

    time: np.ndarray
    source: np.ndarray
    first_point: np.ndarray
    offsets: np.ndarray
    begin: np.ndarray
    row_time: np.ndarray
    step: float
    max_gap_steps: float

    @classmethod
    def of(cls, fleet: Fleet, step: float, max_gap_steps: float) -> Self:
        """Points every `step`, the last one of each life at its last reading.

        So the failure and the moment of a forecast stay where they were. Where no reading came in for longer than
        `max_gap_steps` steps the grid is interrupted and windows begin anew. Carrying on would show a machine that
        does not change at all, and leaving the gap out would make its wear look faster than it is. Lives and
        remaining lives are not touched by a gap.
        """
        begins = _stretch_starts(fleet, step * max_gap_steps)
        ends = np.append(begins[1:], fleet.num_rows)
        first, last = fleet.time[begins], fleet.time[ends - 1]
        counts = np.floor((last - first) / step + _TOLERANCE).astype(np.int64) + 1
        stretch = np.repeat(np.arange(len(begins)), counts)
        before_last = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(stretch))
        time = last[stretch] - before_last * step
        life_of_stretch = fleet.row_life[begins]
        points_of_life = np.bincount(life_of_stretch, weights=counts, minlength=len(fleet.lives.unit))
        return cls(
            time=time,
            source=_last_known(fleet.time, time + _TOLERANCE * step, begins, ends, counts),
            first_point=np.repeat(np.cumsum(counts) - counts, counts),
            offsets=np.concatenate([[0], np.cumsum(points_of_life)]).astype(np.int64),
            begin=begins[stretch],
            row_time=fleet.time,
            step=step,
            max_gap_steps=max_gap_steps,
        )

    def carried(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the fleet's rows at the points, and for how many steps each was carried there.

        Both float32 of shape (points, channels). The last value of each channel that had come in counts, for at most
        `max_gap_steps` steps; beyond them, and before the first, it is NaN and the steps are `max_gap_steps`.
        """
        shape = (len(self.time), values.shape[1])
        placed, steps_ago = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
        rows = np.arange(len(values))
        # Channel by channel: the rows at which values were seen take more memory than the values.
        for channel, column in enumerate(values.T):
            seen = np.maximum.accumulate(np.where(np.isnan(column), -1, rows))[self.source]
            ago = np.maximum((self.time - self.row_time[seen]) / self.step, 0.0)
            is_there = (seen >= self.begin) & (ago <= self.max_gap_steps * (1 + _TOLERANCE))
            placed[:, channel] = np.where(is_there, column[seen], np.nan)
            steps_ago[:, channel] = np.where(
                is_there, np.where(ago > _TOLERANCE, ago, 0.0), self.max_gap_steps
            )
        return placed, steps_ago

    def fleet(self, original: Fleet, values: np.ndarray, channels: tuple[Channel, ...]) -> Fleet:
        """The fleet with its rows at the points, and other values of its rows, carried there."""
        placed, steps_ago = self.carried(values)
        return replace(
            original,
            values=placed,
            time=self.time,
            offsets=self.offsets,
            first_row=self.first_point,
            channels=channels,
            taken_at=None if original.taken_at is None else original.taken_at[self.source],
            steps_ago=steps_ago if steps_ago.any() else None,
        )


def _stretch_starts(fleet: Fleet, longest_gap: float) -> np.ndarray:
    """Rows at which a life, or the time after a long gap in it, begins."""
    is_start = np.diff(fleet.row_life, prepend=-1) != 0
    is_start[1:] |= np.diff(fleet.time) > longest_gap * (1 + _TOLERANCE)
    return np.flatnonzero(is_start)


def _last_known(
    times: np.ndarray, moments: np.ndarray, begins: np.ndarray, ends: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """The last row at or before each moment, stretch by stretch: `counts` moments for the rows begin to end - 1."""
    last_moments = np.cumsum(counts)
    rows = [
        begin + np.searchsorted(times[begin:end], moments[last - count : last], side="right") - 1
        for begin, end, last, count in zip(begins, ends, last_moments, counts, strict=True)
    ]
    return np.concatenate(rows)
