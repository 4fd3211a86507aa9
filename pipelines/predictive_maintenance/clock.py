"""The age of units: numbers as they are, moments as hours since the unit's first reading."""

import polars as pl

from shared.contracts.convert import converted
from shared.data.moments import as_moments
from shared.errors import RequestError

_HOUR_US = 3.6e9
_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)
# Seconds since 1970 of the year 2000, which no machine has run for.
_LIKELY_SINCE_1970 = 946_684_800.0


def are_moments(times: pl.Series) -> bool:
    """Whether a column of times holds dates or moments rather than numbers; by most of its cells where it is text."""
    if times.dtype.base_type() in (pl.Date, pl.Datetime):
        return True
    if times.dtype.base_type() not in _TEXT_TYPES:
        return False
    text = times.cast(pl.String).str.strip_chars()
    moments = sum(converted(text, kind).values.count() for kind in ("timestamp", "date"))
    return moments > text.cast(pl.Float64, strict=False).count()


def ages(times: pl.Series, units: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Hours since the first reading of the unit, and the moments themselves in UTC.

    What cannot be read is null in the one and as given in the other, so that the contract sees and names it. The
    earliest reading of a unit counts as its beginning even where the contract then refuses that row.
    """
    moments = as_moments(times, "s").alias("taken_at")
    read = converted(moments, "timestamp").values
    table = pl.DataFrame({"unit": units, "moment": read})
    elapsed = pl.col("moment") - pl.col("moment").min().over("unit")
    hours = table.select(time=elapsed.dt.total_microseconds() / _HOUR_US).to_series()
    return hours, moments


def require_ages(times: pl.Series) -> None:
    """Raises RequestError for numbers that are plainly seconds (or less) since 1970 and no age of a machine."""
    numbers = times.cast(pl.Float64, strict=False).drop_nulls()
    middle = numbers.median()
    if isinstance(middle, float) and middle >= _LIKELY_SINCE_1970:
        raise RequestError(
            f"Expected {times.name} as cycles or hours of operation, or as moments such as 2024-01-31T12:00:00Z. "
            f"Received {middle:.0f} as the middle value, which looks like a time since 1970: write it as moments."
        )
