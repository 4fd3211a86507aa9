"""Repeated keys: contradictory rows are all suspect, exact copies are one record sent more than once."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from shared.contracts.consistency import RESERVED_NAMES
from shared.contracts.rules import RowRule


def duplicate_rules(
    frame: pl.DataFrame, values: Mapping[str, pl.Series], keys: Sequence[tuple[str, ...]]
) -> Iterator[RowRule]:
    """The `unique` rule of each key, and `duplicate_row` once for all keys.

    Keys are compared as converted values ("7" and 7 are one key); a key with a null is no key. Rows are
    copies when they are equal as given, in all columns; only rows whose key repeats are compared.
    """
    copies = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    for key in keys:
        if not set(key) <= values.keys():
            continue
        repeated, first_of_its_kind, num_kinds = _repeated_rows(frame, [values[name] for name in key])
        copies = _marked(copies, repeated.filter((num_kinds == 1) & first_of_its_kind.not_()))
        clashing = repeated.filter(num_kinds > 1)
        if len(clashing):
            broken = _marked(pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True), clashing)
            received = key[0] if len(key) == 1 else None
            yield RowRule("unique", ", ".join(key), "a value that no other row has", broken, received)
    if copies.any():
        yield RowRule("duplicate_row", "all columns", "a row that copies no earlier row", copies, None)


def _repeated_rows(frame: pl.DataFrame, key: Sequence[pl.Series]) -> tuple[pl.Series, pl.Series, pl.Series]:
    """For rows whose key repeats: position, whether first of its copies, distinct rows of the key."""
    parts = pl.DataFrame([part.alias(str(position)) for position, part in enumerate(key)])
    complete = parts.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    repeated = parts.to_struct().is_duplicated() if len(key) > 1 else parts.to_series().is_duplicated()
    mask = repeated & complete
    comparable = [
        name for name, dtype in frame.schema.items() if dtype != pl.Object and name not in RESERVED_NAMES
    ]
    first = frame.select(comparable).filter(mask).to_struct().is_first_distinct()
    kinds = (
        parts.filter(mask)
        .with_columns(first.alias("first"))
        .select(pl.col("first").sum().over(parts.columns))
    )
    return mask.arg_true(), first, kinds.to_series()


def _marked(mask: pl.Series, positions: pl.Series) -> pl.Series:
    return mask.scatter(positions, True) if len(positions) else mask
