"""Columns as they come -> the contract's types, without losing or inventing anything.

Converted: text that holds a number ("1", " 1.0 ", "1e3"), an ISO date or timestamp, true/false in any case;
whole floats to integers; integers 0/1 and booleans to each other; integers and booleans to text (ids).
Not converted: "" (missing is null), "1,5", 1.5 as an integer, floats to text (1.0 or 1?). Timestamps become
UTC microseconds: one without an offset is UTC, and digits beyond the microsecond are cut.
"""

from typing import NamedTuple

import polars as pl

from shared.contracts.properties import LogicalType

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
CANONICAL_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": UTC_MICROSECONDS,
    "time": pl.Time(),
}
# Above this a float no longer tells neighbouring integers apart.
MAX_EXACT_FLOAT = 2.0**53

_ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ISO_TIMESTAMP = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?$"
_ISO_TIME = r"^\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$"


class Converted(NamedTuple):
    """A column in its canonical type: null where the original was null or did not convert."""

    values: pl.Series
    not_finite: pl.Series | None = None


def convertible(dtype: pl.DataType, logical_type: LogicalType) -> bool:
    """Whether values of this Polars type can convert at all; if not, the whole column is wrong."""
    if logical_type == "array":
        return dtype.base_type() in (pl.List, pl.Array)
    if logical_type == "object":
        return dtype.base_type() is pl.Struct
    text = dtype.base_type() in (pl.String, pl.Categorical, pl.Enum)
    if dtype == pl.Null or text:
        return True
    if logical_type == "string":
        return dtype.is_integer() or dtype == pl.Boolean
    if logical_type == "integer":
        return dtype.is_numeric() or dtype == pl.Boolean
    if logical_type == "number":
        return dtype.is_numeric()
    if logical_type == "boolean":
        return dtype == pl.Boolean or dtype.is_integer()
    if logical_type == "time":
        return dtype == pl.Time
    return dtype.base_type() in (pl.Date, pl.Datetime)


def converted(column: pl.Series, logical_type: LogicalType) -> Converted:
    """The column in its canonical type. It must be `convertible`."""
    target = CANONICAL_TYPES.get(logical_type)
    if target is None or (column.dtype == target and logical_type != "number"):
        return Converted(column)
    if column.dtype == pl.Null:
        return Converted(column.cast(target))
    if column.dtype.base_type() in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if logical_type == "number":
        return _to_number(column)
    if logical_type == "integer":
        return _to_integer(column)
    if column.dtype == pl.String:
        return Converted(
            _from_text(column.str.strip_chars(), logical_type) if logical_type != "string" else column
        )
    if logical_type == "boolean":
        return Converted(pl.select(pl.when(column.is_in([0, 1])).then(column.cast(pl.Boolean))).to_series())
    if logical_type == "date":
        return Converted(_datetime_to_date(column))
    if logical_type == "timestamp":
        return Converted(_to_utc(column))
    return Converted(column.cast(pl.String))


def _to_number(column: pl.Series) -> Converted:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    numbers = column.cast(pl.Float64, strict=False)
    could_be_infinite = column.dtype.is_float() or column.dtype == pl.String
    return Converted(numbers, numbers.is_finite().not_() if could_be_infinite else None)


def _to_integer(column: pl.Series) -> Converted:
    if column.dtype.is_integer() or column.dtype in (pl.Boolean, pl.Int64):
        return Converted(column.cast(pl.Int64, strict=False))
    direct = None
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        direct = column.cast(pl.Int64, strict=False)
        if direct.null_count() == column.null_count():
            return Converted(direct)
    numbers = column.cast(pl.Float64, strict=False)
    whole = (numbers == numbers.floor()) & (numbers.abs() <= MAX_EXACT_FLOAT)
    values = pl.select(pl.when(whole).then(numbers.cast(pl.Int64, strict=False))).to_series()
    if direct is not None:
        values = pl.select(pl.coalesce(direct, values)).to_series()
    return Converted(values, numbers.is_finite().not_())


def _from_text(column: pl.Series, logical_type: LogicalType) -> pl.Series:
    if logical_type == "boolean":
        known = {"true": True, "false": False, "1": True, "0": False}
        return column.str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Boolean)
    if logical_type == "date":
        dates = _matching(column, _ISO_DATE).str.to_date("%Y-%m-%d", strict=False)
        return _from_year_one(dates)
    if logical_type == "timestamp":
        text = _matching(column, _ISO_TIMESTAMP).str.replace(" ", "T", literal=True)
        has_offset = text.str.contains(r"(Z|[+-]\d{2}:?\d{2})$")
        text = pl.select(pl.when(has_offset).then(text).otherwise(text + "Z")).to_series()
        return _from_year_one(text.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC"))
    text = _matching(column, _ISO_TIME)
    text = pl.select(pl.when(text.str.len_chars() == 5).then(text + ":00").otherwise(text)).to_series()
    return text.str.to_time("%H:%M:%S%.f", strict=False)


def _matching(column: pl.Series, pattern: str) -> pl.Series:
    return pl.select(pl.when(column.str.contains(pattern)).then(column)).to_series()


def _from_year_one(moments: pl.Series) -> pl.Series:
    """Polars reads the year 0000, Python's own dates cannot hold it."""
    return pl.select(pl.when(moments.dt.year() >= 1).then(moments)).to_series()


def _datetime_to_date(column: pl.Series) -> pl.Series:
    """A date only where the time of day is midnight: anything else would be cut off."""
    dates = column.dt.date()
    return pl.select(pl.when(column.dt.time() == pl.time(0, 0)).then(dates)).to_series()


def _to_utc(column: pl.Series) -> pl.Series:
    moments = column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
    if moments.dtype.time_zone is None:  # type: ignore[attr-defined]
        return moments.dt.replace_time_zone("UTC")
    return moments.dt.convert_time_zone("UTC")
