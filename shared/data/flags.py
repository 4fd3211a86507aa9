"""Yes and no as people write them, in the form in which a contract can judge every cell."""

import polars as pl

_TRUTH_VALUES = {"true": "1", "false": "0"}


def flags_as_numbers(values: pl.Series) -> pl.Series:
    """True and False, as CSV files of pandas spell them, are 1 and 0; NaN is how it writes that none is there.

    What is no flag is left to the contract.
    """
    if values.dtype.is_float():
        return values.fill_nan(None)
    if values.dtype != pl.String:
        return values
    return values.str.strip_chars().str.to_lowercase().replace(_TRUTH_VALUES)
