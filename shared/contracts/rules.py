"""The rules on the rows of one column, as vectorised masks: what a row breaks is named in the quarantine."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from shared.contracts.consistency import typed_value
from shared.contracts.convert import Converted
from shared.contracts.properties import Property

MAX_VALUES_SHOWN = 8


class RowRule(NamedTuple):
    """A rule, what it is about in words, the rows that break it, and the column whose values show why."""

    rule: str
    column: str
    expected: str
    broken: pl.Series
    received: str | None


def row_rules(prop: Property, original: pl.Series, column: Converted) -> Iterator[RowRule]:
    """The rules of the property that at least one row breaks. Nulls break only `required`."""
    for rule, expected, broken in _masks(prop, original, column):
        broken = broken.fill_null(False)
        if broken.any():
            yield RowRule(rule, prop.name, expected, broken, prop.name)


def _masks(prop: Property, original: pl.Series, column: Converted) -> Iterator[tuple[str, str, pl.Series]]:
    values, not_finite = column
    if prop.required and original.null_count():
        yield "required", "a value", original.is_null()
    unconverted = values.null_count() - original.null_count()
    if unconverted:
        failed = values.is_null() & original.is_not_null()
        yield (
            "type",
            type_text(prop),
            failed & not_finite.fill_null(False).not_() if not_finite is not None else failed,
        )
    exempt = [values.is_in(typed_values(prop, prop.special_codes))] if prop.special_codes else []
    if not_finite is not None and (prop.finite or prop.logical_type == "integer"):
        yield "finite", "a finite number", not_finite
        exempt.append(not_finite)
    for rule, expected, broken in _value_masks(prop, values):
        for exemption in exempt:
            broken = broken & exemption.not_()
        yield rule, expected, broken


def _value_masks(prop: Property, values: pl.Series) -> Iterator[tuple[str, str, pl.Series]]:
    if range_text(prop) and prop.logical_type not in ("array", "object"):
        yield "range", range_text(prop), _outside(prop, values)
    if prop.valid_values is not None and prop.logical_type not in ("array", "object"):
        yield "valid_values", values_text(prop), values.is_in(typed_values(prop, prop.valid_values)).not_()
    if prop.pattern is not None:
        yield "pattern", f"text that matches {prop.pattern}", values.str.contains(prop.pattern).not_()
    if length_text(prop):
        yield "length", length_text(prop), _wrong_length(prop, values)


def _outside(prop: Property, values: pl.Series) -> pl.Series:
    """NaN is larger than every number for Polars: where it is allowed it must not count as out of range."""
    broken = pl.repeat(False, len(values), dtype=pl.Boolean, eager=True)
    if prop.minimum is not None:
        broken |= values < typed_value(prop.logical_type, prop.minimum)
    if prop.exclusive_minimum is not None:
        broken |= values <= typed_value(prop.logical_type, prop.exclusive_minimum)
    if prop.maximum is not None:
        broken |= values > typed_value(prop.logical_type, prop.maximum)
    if prop.exclusive_maximum is not None:
        broken |= values >= typed_value(prop.logical_type, prop.exclusive_maximum)
    return broken & values.is_not_nan() if values.dtype.is_float() else broken


def _wrong_length(prop: Property, values: pl.Series) -> pl.Series:
    lengths = values.str.len_chars()
    broken = pl.repeat(False, len(values), dtype=pl.Boolean, eager=True)
    if prop.min_length is not None:
        broken |= lengths < prop.min_length
    if prop.max_length is not None:
        broken |= lengths > prop.max_length
    return broken


def typed_values(prop: Property, values: tuple[Any, ...]) -> list[Any]:
    """Stated values in the column's own type."""
    return [typed_value(prop.logical_type, value) for value in values]


def type_text(prop: Property) -> str:
    """What a value of the type looks like, for messages."""
    return {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "date": "a date like 2026-01-31",
        "timestamp": "a time like 2026-01-31T12:00:00Z",
        "time": "a time of day like 12:00:00",
        "array": "a list",
        "object": "a struct",
    }[prop.logical_type]


def range_text(prop: Property) -> str:
    """The range with its unit, for example '>= 0 and < 120 months'; empty without one."""
    bounds = [
        (">=", prop.minimum),
        (">", prop.exclusive_minimum),
        ("<=", prop.maximum),
        ("<", prop.exclusive_maximum),
    ]
    text = " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
    return f"{text} {prop.unit}" if text and prop.unit not in ("", "1") else text


def values_text(prop: Property) -> str:
    """The valid values, the first few of many."""
    values = prop.valid_values or ()
    shown = ", ".join(str(value) for value in values[:MAX_VALUES_SHOWN])
    rest = len(values) - MAX_VALUES_SHOWN
    return f"one of {shown}" + (f" and {rest} more" if rest > 0 else "")


def length_text(prop: Property) -> str:
    """The lengths allowed, in characters; empty without a rule."""
    low, high = prop.min_length, prop.max_length
    if low is not None and high is not None:
        return f"{low} to {high} characters"
    if low is not None:
        return f"at least {low} characters"
    return f"at most {high} characters" if high is not None else ""
