"""The checked table as arrays: readings in the order of unit, life and time, and what is known of each life's end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.schema import Channel, ReadingsSchema, Role
from shared.errors import RequestError


@dataclass(frozen=True, slots=True, eq=False)
class Lives:
    """One entry per life, in the order of the readings: arrays of shape (lives,).

    unit: position in `Fleet.unit_names`. number: 1 for the first life of a unit, 2 after its first repair, ...
    start: time at which the life began, 0 for the first, the failure before for a later one. failed: whether it
    ended with a failure that was seen. given_rul: remaining life after its last reading as published, NaN otherwise.
    """

    unit: np.ndarray
    number: np.ndarray
    start: np.ndarray
    failed: np.ndarray
    given_rul: np.ndarray

    def taken(self, chosen: np.ndarray) -> "Lives":
        return Lives(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Readings of a fleet.

    values: float32 of shape (rows, channels), NaN where a reading did not arrive. time: float64 of shape (rows,).
    offsets: int64 of shape (lives + 1,); life i has the rows offsets[i] to offsets[i + 1] - 1. first_row: int64 of
    shape (rows,), the earliest row that a window ending in this row may reach: never another life, nor beyond a long
    gap (`Grid`). taken_at: datetime64[us] of shape (rows,), or None. is_test: bool of shape (units,), or None
    where the table gives no division. steps_ago: float32 of shape (rows, channels), how many steps before its row a
    value was seen (`Grid.carried`); None where all are fresh.
    """

    values: np.ndarray
    time: np.ndarray
    offsets: np.ndarray
    first_row: np.ndarray
    lives: Lives
    unit_names: tuple[str, ...]
    channels: tuple[Channel, ...]
    time_unit: str
    taken_at: np.ndarray | None = None
    is_test: np.ndarray | None = None
    steps_ago: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, frame: pl.DataFrame, schema: ReadingsSchema, given_rul: Mapping[str, float] | None = None
    ) -> Self:
        """A table that keeps the schema's contract, in any order of rows.

        given_rul: see `Readings`. Raises RequestError for a unit that is in both parts of a given division.
        """
        ordered, notes = _ordered(frame)
        units = ordered["unit_id"].rle_id().to_numpy().astype(np.int64)
        is_new_unit = np.diff(units, prepend=-1) != 0
        failed = ordered["failed"].to_numpy()
        is_new_life = is_new_unit | np.concatenate([[True], failed[:-1]])
        starts = np.flatnonzero(is_new_life)
        offsets = np.append(starts, len(units))
        time = ordered["time"].to_numpy()
        names = tuple(ordered["unit_id"].to_numpy()[is_new_unit].tolist())
        before = time[np.maximum(starts - 1, 0)]
        given = np.array([(given_rul or {}).get(name, np.nan) for name in names], dtype=np.float64)
        lives = Lives(
            unit=units[starts],
            number=_numbers_within(is_new_unit[starts]),
            start=np.where(is_new_unit[starts], 0.0, before),
            failed=failed[offsets[1:] - 1],
            given_rul=np.where(failed[offsets[1:] - 1], np.nan, given[units[starts]]),
        )
        return cls(
            values=_as_float32(ordered, [channel.name for channel in schema.channels]),
            time=time,
            offsets=offsets,
            first_row=np.repeat(starts, np.diff(offsets)),
            lives=lives,
            unit_names=names,
            channels=schema.channels,
            time_unit=schema.time_unit,
            taken_at=_moments(ordered),
            is_test=_given_division(ordered, units, is_new_unit),
            notes=notes,
        )

    @property
    def num_rows(self) -> int:
        return len(self.time)

    @property
    def num_units(self) -> int:
        return len(self.unit_names)

    @property
    def row_life(self) -> np.ndarray:
        """Number of the life of each row, int64."""
        return np.repeat(np.arange(len(self.lives.unit)), np.diff(self.offsets))

    @property
    def row_unit(self) -> np.ndarray:
        """Number of the unit of each row, int64."""
        unit: np.ndarray = self.lives.unit[self.row_life]
        return unit

    @property
    def last_rows(self) -> np.ndarray:
        """The row of the last reading of each unit, of shape (units,): where a forecast is made from."""
        ends = self.offsets[1:] - 1
        return ends[np.append(np.diff(self.lives.unit) != 0, True)]

    @property
    def has_known_end(self) -> np.ndarray:
        """Whether the time of failure is known, of shape (lives,): it was seen, or published."""
        known: np.ndarray = self.lives.failed | ~np.isnan(self.lives.given_rul)
        return known

    def remaining(self) -> np.ndarray:
        """Time from each reading to the failure of its life, float64 of shape (rows,); 0 at the failing reading.

        Where the failure is not known (`is_censored`) it is what the machine has run for since: a lower bound.
        """
        ends = self.time[self.offsets[1:] - 1] + np.nan_to_num(self.lives.given_rul)
        remaining: np.ndarray = ends[self.row_life] - self.time
        return remaining

    def is_censored(self) -> np.ndarray:
        """Rows whose remaining life is only known to be at least `remaining()`, bool of shape (rows,)."""
        censored: np.ndarray = ~self.has_known_end[self.row_life]
        return censored

    def age(self) -> np.ndarray:
        """Time since the life of each reading began, float64 of shape (rows,)."""
        age: np.ndarray = self.time - self.lives.start[self.row_life]
        return age

    def columns_of(self, role: Role) -> np.ndarray:
        """Positions of the channels of a role in `values`."""
        return np.flatnonzero([channel.role == role for channel in self.channels])

    def rows_of(self, units: np.ndarray) -> np.ndarray:
        """All rows of some units, ascending."""
        return np.flatnonzero(np.isin(self.row_unit, units))

    def of_units(self, units: np.ndarray) -> "Fleet":
        """The readings of some units alone, in the same order."""
        chosen = np.isin(np.arange(self.num_units), units)
        lives, rows = chosen[self.lives.unit], np.flatnonzero(chosen[self.row_unit])
        new_row = np.cumsum(chosen[self.row_unit]) - 1
        new_unit = np.cumsum(chosen) - 1
        taken = self.lives.taken(lives)
        return replace(
            self,
            values=self.values[rows],
            time=self.time[rows],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[lives])]),
            first_row=new_row[self.first_row[rows]],
            lives=replace(taken, unit=new_unit[taken.unit]),
            unit_names=tuple(self.unit_names[unit] for unit in np.flatnonzero(chosen)),
            taken_at=None if self.taken_at is None else self.taken_at[rows],
            is_test=None if self.is_test is None else self.is_test[chosen],
            steps_ago=None if self.steps_ago is None else self.steps_ago[rows],
        )


def _ordered(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows by unit and time with `failed` as bool, without those at which a machine that had failed still stood."""
    if "failed" not in frame.columns:
        frame = frame.with_columns(failed=pl.lit(0))
    # By length first: unit 10 comes after unit 9, whatever the order of rows.
    ordered = frame.sort(pl.col("unit_id").str.len_chars(), "unit_id", "time").with_columns(
        failed=(pl.col("failed") == 1).fill_null(False)
    )
    stands = pl.col("failed") & pl.col("failed").shift(1).over("unit_id").fill_null(False)
    running = ordered.filter(stands.not_())
    left_out = ordered.height - running.height
    if not left_out:
        return ordered, ()
    return running, (
        f"{left_out:,} readings directly after a failure say that the machine failed again: they count as standstill "
        "and are left out.",
    )


def _numbers_within(is_first: np.ndarray) -> np.ndarray:
    """1, 2, ... from each True on."""
    places = np.arange(len(is_first))
    return places - np.maximum.accumulate(np.where(is_first, places, 0)) + 1


def _as_float32(ordered: pl.DataFrame, names: list[str]) -> np.ndarray:
    columns = [ordered[name].cast(pl.Float32).fill_null(np.nan).to_numpy() for name in names]
    return np.stack(columns, axis=1)


def _moments(ordered: pl.DataFrame) -> np.ndarray | None:
    if "taken_at" not in ordered.columns:
        return None
    return ordered["taken_at"].dt.replace_time_zone(None).to_numpy()


def _given_division(ordered: pl.DataFrame, units: np.ndarray, is_new_unit: np.ndarray) -> np.ndarray | None:
    if "part" not in ordered.columns:
        return None
    is_test = (ordered["part"] == "test").to_numpy()
    by_unit: np.ndarray = is_test[is_new_unit]
    straddling = np.flatnonzero(is_test != by_unit[units])
    if len(straddling):
        raise RequestError(
            f"Expected all readings of a unit in one part. Received unit {ordered['unit_id'][int(straddling[0])]} in "
            "train and in test: divide by unit, or leave out the column part."
        )
    return by_unit
