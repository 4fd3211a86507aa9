"""Ids as people write them, in the form in which a contract can judge every cell."""

import polars as pl

from shared.contracts.convert import MAX_EXACT_FLOAT

_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)


def ids_as_text(ids: pl.Series) -> pl.Series:
    """Ids as text without blanks around them; 7 and 7.0 are both written 7. What is no id is left to the contract."""
    if ids.dtype.base_type() in _TEXT_TYPES:
        return ids.cast(pl.String).str.strip_chars()
    if ids.dtype.is_integer():
        return ids.cast(pl.String)
    if ids.dtype.is_float():
        numbers = ids.fill_nan(None)
        whole = (numbers.floor() == numbers) & (numbers.abs() <= MAX_EXACT_FLOAT)
        # Integers with gaps leave pandas as floats; 1.5 is no id, and the contract says so.
        return numbers.cast(pl.Int64).cast(pl.String) if whole.drop_nulls().all() else ids
    return ids
