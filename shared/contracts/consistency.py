"""Refuses a property that contradicts itself or states a rule that its type cannot have."""

import datetime
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.contracts.properties import Property

# Columns that the quarantine adds. An input that carries them is an earlier quarantine file.
RESERVED_NAMES = frozenset({"row_number", "broken_rules"})

# Numbers only: an object array is a pickle.
ARRAY_DTYPES = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def require_consistent(prop: "Property") -> None:
    """ValueError that says what contradicts what."""
    for check in (_check_name, _check_bounds, _check_values, _check_text_rules, _check_array_rules):
        check(prop)


def typed_value(logical_type: str, bound: Any) -> Any:
    """A stated value in the column's own type: Polars 2 does not look for the integer 1 among floats."""
    if logical_type == "number":
        return float(bound)
    if logical_type == "date":
        return datetime.date.fromisoformat(bound)
    if logical_type == "time":
        return datetime.time.fromisoformat(bound)
    if logical_type == "timestamp":
        moment = datetime.datetime.fromisoformat(bound)
        return (
            moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
        )
    return bound


def _check_name(prop: "Property") -> None:
    if prop.primary_key and not prop.required:
        raise ValueError("Expected a primary key to be required. Received one that may be null.")
    if prop.name in RESERVED_NAMES or not prop.name.isprintable():
        raise ValueError(
            f"Expected a printable name that is not kept for the quarantine. Received {prop.name!r}."
        )


def _check_bounds(prop: "Property") -> None:
    pairs = [(prop.minimum, prop.maximum), (prop.exclusive_minimum, prop.exclusive_maximum)]
    stated = [bound for pair in pairs for bound in pair if bound is not None]
    if stated and prop.logical_type in ("string", "boolean", "object"):
        raise ValueError(f"Expected a range on numbers, dates or times. Received one on {prop.logical_type}.")
    for bound in stated:
        _require_type(prop, bound, "bound")
    for low, high in pairs:
        both = low is not None and high is not None
        if both and typed_value(prop.logical_type, low) > typed_value(prop.logical_type, high):
            raise ValueError(f"Expected a minimum below the maximum. Received {low} and {high}.")


def _check_values(prop: "Property") -> None:
    for value in (*(prop.valid_values or ()), *prop.special_codes):
        _require_type(prop, value, "valid value or special code")
    if prop.valid_values == ():
        raise ValueError("Expected at least one valid value. Received none.")


def _require_type(prop: "Property", value: Any, role: str) -> None:
    numeric = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    kinds = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": numeric and value == int(value),
        "number": numeric,
        "array": numeric,
        "object": False,
    }
    if prop.logical_type in kinds:
        fits = kinds[prop.logical_type]
    else:
        try:
            fits = typed_value(prop.logical_type, value) is not None
        except (TypeError, ValueError):
            fits = False
    if not fits:
        hint = " Quote it." if prop.logical_type not in ("integer", "number", "array", "boolean") else ""
        raise ValueError(f"Expected a {role} of type {prop.logical_type}. Received {value!r}.{hint}")


def _check_text_rules(prop: "Property") -> None:
    stated = [rule for rule in (prop.pattern, prop.min_length, prop.max_length) if rule is not None]
    if stated and prop.logical_type != "string":
        raise ValueError(f"Expected pattern and lengths on text only. Received them on {prop.logical_type}.")
    if prop.min_length is not None and prop.max_length is not None and prop.min_length > prop.max_length:
        raise ValueError(
            f"Expected min_length <= max_length. Received {prop.min_length} and {prop.max_length}."
        )
    if prop.pattern is not None:
        require_pattern(prop.pattern)


def require_pattern(pattern: str) -> None:
    """ValueError unless the pattern compiles. The engine has no look-around and runs in linear time."""
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        raise ValueError(
            f"Expected a regular expression without look-around. Received {pattern!r}."
        ) from error


def _check_array_rules(prop: "Property") -> None:
    tensor_fields = (prop.tensor_shape, prop.dtype, prop.sampling_rate_hz, prop.layout)
    if prop.logical_type != "array":
        if any(field is not None for field in tensor_fields):
            raise ValueError(
                f"Expected shape, dtype and rate on arrays only. Received them on {prop.logical_type}."
            )
        return
    if prop.dtype is not None and prop.dtype not in ARRAY_DTYPES:
        raise ValueError(f"Expected a dtype of {', '.join(sorted(ARRAY_DTYPES))}. Received {prop.dtype}.")
    if (prop.tensor_shape is None) != (prop.dtype is None):
        raise ValueError("Expected tensorShape and dtype together. Received only one of them.")
    if prop.tensor_shape is None:
        return
    if any(isinstance(size, int) and size < 1 for size in prop.tensor_shape):
        raise ValueError(f"Expected sizes of at least 1, null or a name. Received {list(prop.tensor_shape)}.")
    if prop.layout is not None and len(prop.layout) != len(prop.tensor_shape):
        raise ValueError(f"Expected one layout letter per axis. Received '{prop.layout}'.")
    if not prop.unit:
        raise ValueError("Expected the unit of the array ('1' for none). Received none.")
