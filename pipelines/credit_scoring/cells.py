"""Cells as lenders write them, read by what was declared: missing values, outcomes, codes that look like numbers."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import polars as pl
import polars.selectors

from pipelines.credit_scoring.schema import ColumnMap, LenderSchema
from shared.contracts.convert import MAX_EXACT_FLOAT
from shared.errors import RequestError

# Cells that are empty in all but spelling; kept as text they would become a category or break a number.
_MISSING_MARKS = ("", "na", "n/a", "nan", "null", "none", "?")
# What must not become a number, as for the reader: codes such as 007, and more digits than a float holds.
_CODE = r"^\s*[+-]?(0\d|\d{16,}\s*$)"
# YAML 1.1 makes truth values of these words, so that a declared `yes` arrives as True.
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def without_missing_marks(frame: pl.DataFrame, declared: ColumnMap | LenderSchema) -> pl.DataFrame:
    """Text cells that only mark a missing value become missing; a column of numbers beside them becomes numeric.

    A declared level or outcome means what it says: `none` may be one.
    """
    frame = frame.with_columns(polars.selectors.float().fill_nan(None))
    stated = _stated_values(declared)
    columns = []
    for name in (name for name, dtype in frame.schema.items() if dtype == pl.String):
        cell = frame[name].str.strip_chars()
        marks = cell.str.to_lowercase().is_in(_MISSING_MARKS) & cell.is_in(list(stated.get(name, ()))).not_()
        if marks.any():
            cleaned = frame.select(pl.when(marks.not_()).then(pl.col(name)))[name]
            columns.append(_as_number_where_all_are(cleaned))
    return frame.with_columns(columns)


def missing_marks_note(given: pl.DataFrame, cleaned: pl.DataFrame) -> tuple[str, ...]:
    """What was read as missing, in words: nothing changes its meaning silently."""
    counts = {name: cleaned[name].null_count() - given[name].null_count() for name in given.columns}
    marked = [f"{name} ({count})" for name, count in counts.items() if count]
    return (f"Cells such as NA, nan or ? were read as missing: {', '.join(marked)}.",) if marked else ()


def _stated_values(declared: ColumnMap | LenderSchema) -> Mapping[str, Collection[str]]:
    stated = {column.name: set(column.levels) for column in declared.categorical}
    stated |= {column.name: set(column.levels) for column in declared.protected}
    if isinstance(declared, ColumnMap):
        stated[declared.defaulted or "defaulted"] = {str(declared.default_value), str(declared.repaid_value)}
    return stated


def _as_number_where_all_are(cells: pl.Series) -> pl.Series:
    numbers = cells.str.strip_chars().cast(pl.Float64, strict=False)
    all_are = cells.is_not_null().any() and numbers.null_count() == cells.null_count()
    return numbers if all_are and not cells.str.contains(_CODE).any() else cells


def outcomes_as_declared(values: pl.Series, columns: ColumnMap) -> pl.Series:
    """`defaulted` as 1 for default and 0 for repaid; any other value stays and breaks the contract by its own name.

    Raises RequestError for another value that the contract would take for one of the two.
    """
    text = values.cast(pl.String).str.strip_chars()
    bad, good = _equals(text, columns.default_value), _equals(text, columns.repaid_value)
    other = text.filter((bad | good).not_()).drop_nulls()
    confusing = other.filter(other.cast(pl.Float64, strict=False).is_in([0.0, 1.0]).fill_null(False))
    if len(confusing):
        raise RequestError(
            f"Expected {columns.default_value} (default) or {columns.repaid_value} (repaid) as the outcome. "
            f"Received {confusing[0]} in {len(confusing)} rows.\n"
            "Say what it means with default_value and repaid_value in data.columns, or empty those cells."
        )
    mapped = pl.when(bad).then(pl.lit("1")).when(good).then(pl.lit("0")).otherwise(text)
    return pl.select(mapped.alias("defaulted")).to_series()


def _equals(text: pl.Series, value: Any) -> pl.Series:
    """Where a cell has this value, however a number or a truth value is spelled; a missing cell never has."""
    word = str(value).strip().lower()
    found = text == str(value).strip()
    if word in ("true", "false"):
        found = text.str.to_lowercase().is_in(_TRUE if word == "true" else _FALSE)
        value = int(word == "true")
    with suppress(TypeError, ValueError):
        number = float(value)
        found = found | (text.cast(pl.Float64, strict=False) == number).fill_null(False)
        if number in (0.0, 1.0):
            found = found | (text.str.to_lowercase() == ("true" if number else "false"))
    return found.fill_null(False)


def codes_as_text(frame: pl.DataFrame, schema: LenderSchema) -> pl.DataFrame:
    """Codes and ids that a reader took for numbers are text all the same: 1 and 1.0 are written 1."""
    text = ["application_id", "group_id", *(column.name for column in schema.categorical)]
    text += [column.name for column in schema.protected if not column.upper_edges]
    columns = []
    for name in text:
        if name in frame.columns and frame[name].dtype.is_numeric():
            numbers = frame[name].drop_nulls().cast(pl.Float64)
            whole = bool(((numbers == numbers.round()) & (numbers.abs() <= MAX_EXACT_FLOAT)).all())
            exact = frame[name].dtype.is_integer() or not whole
            columns.append((frame[name] if exact else frame[name].cast(pl.Int64)).cast(pl.String))
    return frame.with_columns(columns)
