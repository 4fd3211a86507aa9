"""Splits into training, validation and test part that stay put.

A split by the hash of a key never moves a row when the table grows; equal keys (a person, a machine, a
duplicate row) never straddle two parts; a split by time never trains on the future. All return row indices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from shared.data.hashing import hash_cells, hash_rows
from shared.errors import RequestError

Fractions = tuple[float, float, float]
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row indices of the three parts: int64, ascending, each of shape (rows of the part,)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def parts(self) -> dict[str, np.ndarray]:
        """The parts by name, in the order of use."""
        return {name: getattr(self, name) for name in PARTS}

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return {name: len(rows) for name, rows in self.parts().items()}


def row_keys(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> pl.Series:
    """Content key (UInt64) of each row over the given columns (default: all): exact duplicates share their
    key.

    The order of rows and columns does not matter. Two different rows share a key by chance once in 2^64
    pairs.
    """
    names = list(frame.columns if columns is None else columns)
    absent = [name for name in names if name not in frame.columns]
    if absent or not names:
        raise RequestError(f"Expected columns of the table to make keys from. Received {absent or names}.")
    return pl.Series("row_key", hash_rows(frame, names, "row"), dtype=pl.UInt64)


def split_by_hash(keys: pl.Series, fractions: Fractions = (0.6, 0.2, 0.2), salt: str = "") -> Split:
    """Split by the hash of the key: a key's part depends on the key and the salt alone.

    So it never changes when rows are added, removed or reordered, and the sizes are only near the fractions:
    off by about sqrt(f (1 - f) / number of keys). Use `split_stratified_by_hash` for small tables. Raises
    RequestError for missing keys and for a part that stays empty.
    """
    fractions = _checked_fractions(fractions)
    _refuse_missing(keys, "keys")
    edges = np.cumsum(fractions)[:2]
    uniform = (hash_cells(keys, salt) >> np.uint64(11)) * 2.0**-53
    return _split(np.searchsorted(edges, uniform, side="right"), fractions)


def split_stratified_by_hash(
    keys: pl.Series, target: pl.Series, fractions: Fractions = (0.6, 0.2, 0.2), salt: str = ""
) -> Split:
    """Split small data with the share of each class equal in all parts, to within one key.

    Within a class the keys are ordered by their hash and cut at the fractions. The trade: sizes are exact,
    but new rows shift the cut, so a key near it may change its part when the table grows. The order of rows
    does not matter, and equal keys stay together; a key with several labels counts to the rarest. Raises
    RequestError for missing values and for a class with too few keys to be in every part.
    """
    fractions = _checked_fractions(fractions)
    _refuse_missing(keys, "keys")
    _refuse_missing(target, "target")
    if len(keys) != len(target):
        raise RequestError(
            f"Expected one target for each key. Received {len(keys)} keys, {len(target)} targets."
        )
    hashed, key_of_row = np.unique(hash_cells(keys, salt), return_inverse=True)
    labels, label_of_row = np.unique(target.to_numpy(), return_inverse=True)
    rarest_first = np.argsort(np.bincount(label_of_row), kind="stable")
    rank_of_key = np.full(len(hashed), len(labels))
    np.minimum.at(rank_of_key, key_of_row, np.argsort(rarest_first)[label_of_row])
    rows_of_key = np.bincount(key_of_row, minlength=len(hashed))

    part_of_key = np.zeros(len(hashed), dtype=np.int64)
    edges = np.cumsum(fractions)[:2]
    for rank, label in enumerate(labels[rarest_first].tolist()):
        members = np.flatnonzero(rank_of_key == rank)  # np.unique has ordered the keys by hash
        rows = rows_of_key[members]
        middle = (np.cumsum(rows) - rows / 2) / max(rows.sum(), 1)
        part_of_key[members] = np.searchsorted(edges, middle, side="right")
        wanted = {part for part, fraction in enumerate(fractions) if fraction > 0}
        if not wanted <= set(part_of_key[members].tolist()):
            raise RequestError(
                f"Expected enough rows of class {label!r} for every part. Received {len(members)} distinct: "
                "use more data, or fewer or larger parts."
            )
    return _split(part_of_key[key_of_row], fractions)


def split_by_time(
    times: pl.Series, fractions: Fractions = (0.6, 0.2, 0.2), gap: timedelta | float = 0
) -> Split:
    """Split into past, then later, then latest, as close to the fractions as equal times, kept together,
    allow.

    `gap` is the time (same unit as `times`; a timedelta for dates) by which labels arrive late: rows of the
    earlier part that lie less than `gap` before the next part are left out of all parts, because their labels
    would not be known yet. The later parts do not depend on it. Raises RequestError for missing times, fewer
    distinct times than parts, and a part that the gap empties.
    """
    fractions = _checked_fractions(fractions)
    _refuse_missing(times, "times")
    moments, gap_units = _as_numbers(times, gap)
    distinct, counts = np.unique(moments, return_counts=True)
    wanted = [part for part in range(3) if fractions[part] > 0]
    if len(distinct) < len(wanted):
        raise RequestError(
            f"Expected at least {len(wanted)} distinct times to split by. Received {len(distinct)}: "
            "choose a finer time column or another split."
        )
    shares = np.cumsum(counts) / len(moments)
    starts: list[int] = []
    for order, part in enumerate(wanted[1:]):
        lowest = starts[-1] if starts else 0
        highest = len(distinct) - (len(wanted) - 1 - order)
        candidates = np.arange(lowest, highest)  # the last distinct time of the earlier part
        share = sum(fractions[:part])
        starts.append(int(candidates[np.argmin(np.abs(shares[candidates] - share))]) + 1)

    part_of_row = np.full(len(moments), wanted[0])
    for start, part in zip(starts, wanted[1:], strict=True):
        first = distinct[start]
        part_of_row[(moments < first) & (moments > first - gap_units)] = -1
        part_of_row[moments >= first] = part
    return _split(part_of_row, fractions)


def _checked_fractions(fractions: Fractions) -> Fractions:
    good = len(fractions) == 3 and all(0 <= value <= 1 for value in fractions) and fractions[0] > 0
    if not good or abs(sum(fractions) - 1) > 1e-6:
        raise RequestError(f"Expected three fractions from 0 to 1 that sum to 1. Received {fractions}.")
    return fractions


def _refuse_missing(values: pl.Series, what: str) -> None:
    if values.len() == 0:
        raise RequestError(f"Expected rows to split. Received no {what}: the table is empty.")
    missing = values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
    if missing:
        raise RequestError(
            f"Expected complete {what} to split by. Received {missing} missing in {values.name or what!r}: "
            "fill or remove those rows."
        )


def _split(part_of_row: np.ndarray, fractions: Fractions) -> Split:
    """Row indices by part number; -1 is in no part."""
    rows = [np.flatnonzero(part_of_row == part).astype(np.int64) for part in range(3)]
    for name, part, fraction in zip(PARTS, rows, fractions, strict=True):
        if fraction > 0 and len(part) == 0:
            raise RequestError(
                f"Expected rows for each part. Received none for {name} (fraction {fraction:g}) "
                f"from {len(part_of_row)} rows: use more data or a larger part."
            )
    return Split(*rows)


def _as_numbers(times: pl.Series, gap: timedelta | float) -> tuple[np.ndarray, float]:
    """Times and gap in one unit: microseconds for dates, the column's own otherwise."""
    if times.dtype == pl.Date or isinstance(times.dtype, pl.Datetime):
        if not isinstance(gap, timedelta) and gap != 0:
            raise RequestError(f"Expected a timedelta as the gap between dates. Received {gap!r}.")
        microseconds = gap / timedelta(microseconds=1) if isinstance(gap, timedelta) else 0.0
        return times.cast(pl.Datetime("us")).to_physical().to_numpy(), _checked_gap(microseconds)
    if not times.dtype.is_numeric() or isinstance(gap, timedelta):
        raise RequestError(
            f"Expected dates, or numbers with a number as the gap. Received {times.dtype} and {gap!r}."
        )
    return times.to_numpy(), _checked_gap(float(gap))


def _checked_gap(gap: float) -> float:
    if not gap >= 0:
        raise RequestError(f"Expected a gap of 0 or more. Received {gap}.")
    return gap
