"""Times as people write them, in the form in which a contract can judge every cell."""

from typing import Literal

import polars as pl

from shared.contracts.convert import UTC_MICROSECONDS, converted
from shared.errors import RequestError

TimeUnit = Literal["s", "ms", "us", "ns"]

_MICROSECONDS: dict[str, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Times of data that people have now: what falls into these years in another unit was meant in that unit.
_LIKELY_START, _LIKELY_END = 946_684_800e6, 4_102_444_800e6  # the years 2000 to 2100, in microseconds
_NUMBER = r"^[+-]?\d+(\.\d+)?$"
_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)


def as_moments(times: pl.Series, unit: TimeUnit) -> pl.Series:
    """Dates, times, ISO text and numbers in `unit` since 1970 as UTC; without an offset they are UTC.

    When a cell cannot be read the whole column is text, ISO where it was read and as given where it was not, so that
    the contract puts just these rows into quarantine. Raises RequestError, which calls the column by the name of the
    series, for numbers that are plainly meant in another unit (the setting `data.time_unit`), or as dates without
    hyphens.
    """
    if times.dtype.base_type() in (pl.Date, pl.Datetime):
        return converted(times, "timestamp").values
    if times.dtype.is_numeric():
        read = _from_numbers(times, unit)
    elif times.dtype.base_type() in _TEXT_TYPES:
        times = times.cast(pl.String).str.strip_chars()
        read = _from_text(times, unit)
    else:
        return times
    unread = read.is_null() & times.is_not_null()
    if not unread.any():
        return read
    text = read.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return text.zip_with(unread.not_(), times.cast(pl.String))


def _from_text(text: pl.Series, unit: TimeUnit) -> pl.Series:
    read = converted(text, "timestamp").values
    rest = text.set(read.is_not_null(), None)
    if rest.null_count() == len(rest):
        return read  # of a million cells all alike, two more attempts would take as long again
    is_number = rest.str.contains(_NUMBER)
    candidates = [
        read,
        _from_numbers(rest.set(is_number.not_(), None).cast(pl.Float64), unit),
        converted(rest, "date").values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    ]
    return pl.select(pl.coalesce(candidates)).to_series().alias(text.name)


def _from_numbers(numbers: pl.Series, unit: TimeUnit) -> pl.Series:
    exact = numbers.cast(pl.Float64)
    exact = exact.set(exact.is_finite().not_(), None)
    _require_unit(exact, unit)
    _require_no_calendar_numbers(exact)
    microseconds = exact * _MICROSECONDS[unit]
    # beyond this a 64-bit count of microseconds overflows
    held = microseconds.set(microseconds.abs() >= 2.0**63, None)
    return held.round().cast(pl.Int64).cast(UTC_MICROSECONDS)


def _require_unit(numbers: pl.Series, unit: TimeUnit) -> None:
    middle = numbers.drop_nulls().median()
    if not isinstance(middle, float):
        return
    likely = [
        name for name, factor in _MICROSECONDS.items() if _LIKELY_START <= middle * factor < _LIKELY_END
    ]
    if likely and unit not in likely:
        raise RequestError(
            f"Expected {numbers.name} in {_UNIT_NAMES[unit]} since 1970. Received {middle:.0f} as the middle value, "
            f"which must be {_UNIT_NAMES[likely[0]]}: set data.time_unit={likely[0]}."
        )


def _require_no_calendar_numbers(numbers: pl.Series) -> None:
    """20240131 read as seconds would be a day of August 1970, without any other sign that something is wrong."""
    given = numbers.drop_nulls()
    if not len(given) or not given.is_between(19_700_101, 21_000_101).all() or (given.floor() != given).any():
        return
    if given.unique().cast(pl.Int64).cast(pl.String).str.to_date("%Y%m%d", strict=False).null_count() == 0:
        raise RequestError(
            f"Expected {numbers.name} as dates such as 2024-01-31 or as numbers. Received {given[0]:.0f}, which looks "
            "like a date without hyphens: write them with hyphens."
        )
