"""Which machines train and which test; and from when on each test machine is forecast.

Whole units: no life of a test machine, and no earlier or later part of it, is seen in training. A division that comes
with the table is kept. Otherwise units are divided by the hash of their name, the long- and short-lived, and those
still running, in equal shares. The training machines lie in folds: what is fixed on forecasts of machines that a
network has not seen, such as intervals, is fixed on those of each fold by a network that was fitted to the others.

C-MAPSS cuts its test engines off in mid-life and asks once for each how long it will still run. For machines whose
whole life is there the same is done: a moment of their last life is drawn, so that a result on one's own fleet means
the same as one on C-MAPSS. All windows of the test machines are evaluated beside it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.fleet import Fleet
from shared.data.hashing import hash_cells
from shared.data.splits import split_stratified_by_hash
from shared.errors import RequestError

MIN_UNITS = 5
# Strata smaller than this would not reach every part.
_MIN_STRATUM = 10
_MAX_STRATA = 5
# How much of its life a test machine has run for when it is forecast; C-MAPSS cuts off at 0.2 to 0.98, most later.
EARLIEST_SHARE, LATEST_SHARE = 0.3, 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Ascending numbers of units, int64, each unit in one part. is_given: the test part came with the table."""

    folds: tuple[np.ndarray, ...]
    test: np.ndarray
    is_given: bool

    @property
    def train(self) -> np.ndarray:
        """The units of all folds."""
        return np.sort(np.concatenate(self.folds))

    def others(self, number: int) -> np.ndarray:
        """The units of all folds but one, to which a network that forecasts this one is fitted."""
        return np.sort(np.concatenate([*self.folds[:number], *self.folds[number + 1 :]]))

    def parts(self) -> dict[str, np.ndarray]:
        """The parts by name."""
        return {f"fold {number}": fold for number, fold in enumerate(self.folds, start=1)} | {
            "test": self.test
        }


def divide(fleet: Fleet, test_share: float, num_folds: int, seed: int) -> Division:
    """Units of a fleet for the folds of the training and for the test.

    test_share: of the units, where the table gives no division. Raises RequestError for too few units, and for a given
    division without a training or without a test unit.
    """
    _require_units(fleet)
    if fleet.is_test is None:
        train, test = _dealt(fleet, np.arange(fleet.num_units), test_share, seed)
    else:
        train, test = np.flatnonzero(~fleet.is_test), np.flatnonzero(fleet.is_test)
    folds = unit_folds(fleet, train, num_folds, seed)
    return Division(tuple(folds), test, is_given=fleet.is_test is not None)


def unit_folds(fleet: Fleet, units: np.ndarray, num_folds: int, seed: int) -> list[np.ndarray]:
    """Some units in parts of equal size, each with short- and long-lived ones and those still running.

    Ascending numbers of units, int64. Raises RequestError for fewer units than folds.
    """
    if len(units) < num_folds:
        raise RequestError(
            f"Expected at least {num_folds} units to train on, one for each fold. Received {len(units)}: give more, or "
            "choose fewer with protocol.num_folds."
        )
    hashed = hash_cells(_keys(fleet, units), f"folds {seed}")
    fold = np.empty(len(units), dtype=np.int64)
    # Dealt out stratum after stratum without a restart: the folds share the remainders evenly too.
    fold[np.lexsort((hashed, _strata(fleet, units)))] = np.arange(len(units)) % num_folds
    return [units[fold == number] for number in range(num_folds)]


def forecast_rows(fleet: Fleet, units: np.ndarray, seed: int) -> np.ndarray:
    """The row from which each of some units is forecast, int64 of shape (units,).

    Units of which the failure was seen: a row at a share of 30 to 98 % of their last life that failed, drawn by the
    unit's name and the seed. Others (cut off by whoever published them, or still running): their last reading.
    """
    uniform = (hash_cells(_keys(fleet, units), f"forecast {seed}") >> np.uint64(11)) * 2.0**-53
    share = EARLIEST_SHARE + (LATEST_SHARE - EARLIEST_SHARE) * uniform
    rows = fleet.last_rows[units].copy()
    last_failed = _last_failed_life(fleet)[units]
    is_drawn = (last_failed >= 0) & np.isnan(_given(fleet)[units])
    life = last_failed[is_drawn]
    begin, end = fleet.offsets[life], fleet.offsets[life + 1]
    rows[is_drawn] = begin + np.floor(share[is_drawn] * (end - begin - 1)).astype(np.int64)
    return rows


def _require_units(fleet: Fleet) -> None:
    free = fleet.num_units if fleet.is_test is None else int((~fleet.is_test).sum())
    if free < MIN_UNITS or (fleet.is_test is not None and free == fleet.num_units):
        wanted = (
            f"at least {MIN_UNITS} units"
            if fleet.is_test is None
            else f"{MIN_UNITS} units for train, 1 for test"
        )
        raise RequestError(
            f"Expected {wanted}, to train and test on different machines. "
            f"Received {fleet.num_units}{'' if fleet.is_test is None else f', of which {free} for train'}."
        )


def _dealt(fleet: Fleet, units: np.ndarray, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Units for training and for the test."""
    split = split_stratified_by_hash(
        _keys(fleet, units),
        pl.Series("stratum", _strata(fleet, units)),
        (1 - test_share, 0.0, test_share),
        salt=f"units {seed}",
    )
    return units[split.train], units[split.test]


def _keys(fleet: Fleet, units: np.ndarray) -> pl.Series:
    return pl.Series("unit", [fleet.unit_names[unit] for unit in units], dtype=pl.String)


def _strata(fleet: Fleet, units: np.ndarray) -> np.ndarray:
    """Units alike in how long they lived, as whole numbers; those of which no failure is known are a stratum too.

    Where these are few they count among the long-lived: that is all that is known of them.
    """
    lives = fleet.lives
    spans = fleet.time[fleet.offsets[1:] - 1] - lives.start + np.nan_to_num(lives.given_rul)
    longest = np.full(fleet.num_units, -np.inf)
    np.maximum.at(longest, lives.unit[fleet.has_known_end], spans[fleet.has_known_end])
    spans = longest[units]
    has_failed = np.isfinite(spans)
    num_strata = int(np.clip(has_failed.sum() // _MIN_STRATUM, 1, _MAX_STRATA))
    is_stratum = (~has_failed).sum() >= _MIN_STRATUM and has_failed.sum() >= _MIN_STRATUM
    strata = np.full(len(units), num_strata if is_stratum else num_strata - 1)
    ranks = np.argsort(np.argsort(spans[has_failed], kind="stable"), kind="stable")
    strata[has_failed] = ranks * num_strata // max(len(ranks), 1)
    return strata


def _last_failed_life(fleet: Fleet) -> np.ndarray:
    """Number of the last life of each unit that ended with a seen failure; -1 where there is none."""
    last = np.full(fleet.num_units, -1)
    failed = np.flatnonzero(fleet.lives.failed)
    np.maximum.at(last, fleet.lives.unit[failed], failed)
    return last


def _given(fleet: Fleet) -> np.ndarray:
    """Published remaining life of each unit, NaN where there is none."""
    given = np.full(fleet.num_units, np.nan)
    stated = np.flatnonzero(~np.isnan(fleet.lives.given_rul))
    given[fleet.lives.unit[stated]] = fleet.lives.given_rul[stated]
    return given
