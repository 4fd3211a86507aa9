"""One id is one text, however a file spells it, and what is no id is left for the contract to judge."""

import polars as pl
import pytest

from shared.data.identifiers import ids_as_text


@pytest.mark.parametrize(
    "ids",
    [
        pl.Series([7, 8, None], dtype=pl.UInt8),
        pl.Series([7.0, 8.0, float("nan")]),
        pl.Series(["7", " 8 ", None]),
        pl.Series(["7", "8", None], dtype=pl.Categorical),
    ],
    ids=["integers", "floats of pandas", "text with blanks", "categorical"],
)
def test_ids_of_any_kind_are_one_text_and_missing_ones_stay_missing(ids):
    assert ids_as_text(ids).to_list() == ["7", "8", None]


def test_codes_with_leading_zeros_stay_apart():
    assert ids_as_text(pl.Series(["007", "7"])).to_list() == ["007", "7"]


@pytest.mark.parametrize(
    "values",
    [pl.Series([1.5, 2.0]), pl.Series([2.0**60]), pl.Series([[1]])],
    ids=["fraction", "inexact", "list"],
)
def test_what_is_no_id_is_left_as_it_is(values):
    assert ids_as_text(values).equals(values)
