"""A contract as a pandera schema, for code that already speaks pandera: it describes valid, converted rows.

`check_table` does not use it: pandera cannot convert row by row nor name every rule that a row breaks, and
slows down with the number of failures. In the tests it is the independent second opinion.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.contracts.consistency import typed_value
from shared.contracts.contract import Contract
from shared.contracts.properties import Property

if TYPE_CHECKING:
    import pandera.polars as pa


def frame_schema(contract: Contract) -> "pa.DataFrameSchema":
    """The `pandera.polars.DataFrameSchema` that `check_table(...).valid` satisfies."""
    import pandera.polars as pa

    from shared.contracts.convert import CANONICAL_TYPES

    # pandera counts a second null as a repeated key, where a key with a null is no key.
    required = {prop.name for prop in contract.properties if prop.required}
    required_keys = [key for key in contract.keys if required.issuperset(key)]
    columns = {
        prop.name: pa.Column(
            CANONICAL_TYPES[prop.logical_type],
            checks=_checks(prop),
            nullable=not prop.required,
            required=not prop.optional,
            unique=(prop.name,) in required_keys,
            description=prop.description or None,
        )
        for prop in contract.properties
        if prop.logical_type in CANONICAL_TYPES
    }
    composite = [list(key) for key in required_keys if len(key) > 1]
    return pa.DataFrameSchema(
        columns,
        name=contract.name,
        strict=not contract.open_columns,
        unique=composite[0] if composite else None,
    )


def _checks(prop: Property) -> list[Any]:
    """The value rules; none where special codes or NaN are exempt from them, which pandera cannot say."""
    import pandera.polars as pa

    from shared.contracts.rules import typed_values

    bounds: dict[str, Callable[[Any], Any]] = {
        "minimum": pa.Check.ge,
        "exclusive_minimum": pa.Check.gt,
        "maximum": pa.Check.le,
        "exclusive_maximum": pa.Check.lt,
    }
    if prop.special_codes or not prop.finite:
        return []
    checks = [
        check(typed_value(prop.logical_type, bound))
        for field, check in bounds.items()
        if (bound := getattr(prop, field)) is not None
    ]
    if prop.valid_values is not None:
        checks.append(pa.Check.isin(typed_values(prop, prop.valid_values)))
    if prop.pattern is not None:
        checks.append(pa.Check.str_contains(prop.pattern))
    if prop.min_length is not None or prop.max_length is not None:
        checks.append(pa.Check.str_length(prop.min_length, prop.max_length))
    return checks
