"""Flags in the spellings of CSV files become numbers, and nothing else does."""

import polars as pl
import pytest

from shared.data.flags import flags_as_numbers


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([" True", "false", "1", None], ["1", "0", "1", None]),
        (["maybe", "FALSE"], ["maybe", "0"]),
        ([1.0, float("nan"), 0.0], [1.0, None, 0.0]),
        ([1, 0, None], [1, 0, None]),
        ([True, False], [True, False]),
    ],
    ids=["spelled", "no-flag", "floats", "integers", "booleans"],
)
def test_what_pandas_writes_is_read_and_the_rest_is_left_to_the_contract(values, expected):
    assert flags_as_numbers(pl.Series(values)).to_list() == expected
