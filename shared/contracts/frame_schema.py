"""A contract as a pandera schema, for code that already speaks pandera: it describes valid, converted rows.

`check_table` does not use it: pandera cannot convert row by row nor name every rule that a row breaks, and
slows down with the number of failures. In the tests it is the independent second opinion.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.contracts.contract import Contract
from shared.contracts.properties import Property, parse_bound

if TYPE_CHECKING:
    import pandera.polars as pa


def frame_schema(contract: Contract) -> "pa.DataFrameSchema":
    """The `pandera.polars.DataFrameSchema` that `check_table(...).valid` satisfies."""
    import pandera.polars as pa

    from shared.contracts.convert import CANONICAL_TYPES

    columns = {
        prop.name: pa.Column(
            CANONICAL_TYPES[prop.logical_type],
            checks=_checks(prop),
            nullable=not prop.required,
            required=not prop.optional,
            unique=prop.unique,
            description=prop.description or None,
        )
        for prop in contract.properties
        if prop.logical_type in CANONICAL_TYPES
    }
    composite = [list(key) for key in contract.keys if len(key) > 1]
    return pa.DataFrameSchema(
        columns,
        name=contract.name,
        strict=not contract.open_columns,
        unique=composite[0] if composite else None,
    )


def _checks(prop: Property) -> list[Any]:
    import pandera.polars as pa

    bounds: dict[str, Callable[[Any], Any]] = {
        "minimum": pa.Check.ge,
        "exclusive_minimum": pa.Check.gt,
        "maximum": pa.Check.le,
        "exclusive_maximum": pa.Check.lt,
    }
    checks = []
    if not prop.special_codes:
        for field, check in bounds.items():
            if (bound := getattr(prop, field)) is not None:
                checks.append(check(parse_bound(prop.logical_type, bound)))
        if prop.valid_values is not None:
            checks.append(
                pa.Check.isin([parse_bound(prop.logical_type, value) for value in prop.valid_values])
            )
    if prop.pattern is not None:
        checks.append(pa.Check.str_matches(prop.pattern))
    if prop.min_length is not None or prop.max_length is not None:
        checks.append(pa.Check.str_length(prop.min_length, prop.max_length))
    return checks
