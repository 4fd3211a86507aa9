import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from apps.cli.console import duration, interval, number, plain, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.79, "0.790"),
        (0.0, "0"),
        (-0.0123456, "-0.0123"),
        (9.996, "10.0"),
        (0.99951, "1.00"),
        (999.6, "1,000"),
        (12345.6, "12,300"),
        (999_999.0, "1.00M"),
        (1.2e6, "1.20M"),
        (34.56e6, "34.6M"),
        (7.5e9, "7.50G"),
        (1e13, "1.00e+13"),
        (1e-6, "1.00e-06"),
        (0.00012345, "0.000123"),
        (12345, "12,345"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_three_digits_and_counts_are_exact(value, text):
    assert number(value) == text


@given(st.floats(1e-4, 9.99e5))
def test_shown_number_is_within_half_a_unit_of_its_third_digit(value):
    assert float(number(value).replace(",", "").replace("M", "e6")) == pytest.approx(value, rel=0.0051)


def test_interval_without_bounds_is_the_number_alone():
    assert interval({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert interval({}) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.1, "4.10 s"), (0, "0 s"), (119, "119 s"), (125, "2 min 5 s"), (3720, "1 h 2 min"), (None, "–")],
)
def test_duration_uses_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_control_characters_cannot_reach_the_terminal():
    assert plain("a\x1b]0;title\x07b\r") == "a\\x1b]0;title\\x07b\\r"
    assert plain("Überweisung 日本\n") == "Überweisung 日本\n"
    assert plain(None) == ""


def test_names_to_copy_stay_whole_where_the_terminal_is_narrow():
    stream = io.StringIO()
    rows = [("a_long_name_to_copy", "some words " * 20)]
    Console(file=stream, width=40).print(table(("name", "text"), rows, whole=("name",)))
    assert "a_long_name_to_copy" in stream.getvalue()


def test_table_shows_square_brackets_as_they_are_and_loses_no_text():
    stream = io.StringIO()
    cell = "[red]not markup[/red] " + "x" * 100
    Console(file=stream, width=40, markup=False, emoji=False).print(table(("column",), [(cell,)]))
    assert "".join(stream.getvalue().split()) == "column" + "".join(cell.split())
