"""A moment is the same however it is written; what cannot be read stays visible, what is ambiguous is refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.moments import as_moments
from shared.errors import RequestError

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (pl.Series([int(NOON.timestamp())]), "s"),
        (pl.Series([int(NOON.timestamp()) * 1000]), "ms"),
        (pl.Series([int(NOON.timestamp()) * 10**9]), "ns"),
        (pl.Series([f" {int(NOON.timestamp())} "]), "s"),
        (pl.Series(["2024-01-31T12:00:00Z"]), "s"),
        (pl.Series(["2024-01-31 12:00:00"], dtype=pl.Categorical), "s"),
        (pl.Series(["2024-01-31T14:00:00+02:00"]), "s"),
        (pl.Series([NOON.replace(tzinfo=None)]), "s"),
        (pl.Series([NOON.astimezone(timezone(timedelta(hours=2)))]), "s"),
    ],
    ids=["s", "ms", "ns", "text s", "iso Z", "categorical", "iso +02", "naive", "aware"],
)
def test_times_of_every_form_are_the_same_moment_in_utc(times, unit):
    assert as_moments(times, unit).to_list() == [NOON]


def test_one_column_may_hold_every_form_of_text():
    times = pl.Series(["2024-01-31T12:00:00Z", None, str(int(NOON.timestamp())), "2024-01-31"])
    assert as_moments(times, "s").to_list() == [NOON, None, NOON, datetime(2024, 1, 31, tzinfo=UTC)]


@given(moments=st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)) | st.none(), min_size=1))
def test_iso_text_is_read_to_the_microsecond(moments):
    text = pl.Series([None if one is None else one.isoformat() for one in moments], dtype=pl.String)
    expected = [None if one is None else one.replace(tzinfo=UTC) for one in moments]
    assert as_moments(text, "s").to_list() == expected


def test_what_cannot_be_read_stays_as_it_was_given_among_the_others_in_iso():
    found = as_moments(pl.Series(["2024-01-31 12:00:00", "soon", None]), "s")
    assert found.to_list() == ["2024-01-31T12:00:00.000000Z", "soon", None]


def test_values_that_are_no_times_are_left_as_they_are():
    flags = pl.Series([True, False])
    assert as_moments(flags, "s").equals(flags)
    assert as_moments(pl.Series([date(2024, 1, 31)]), "s").to_list() == [datetime(2024, 1, 31, tzinfo=UTC)]


def test_numbers_in_another_unit_are_refused_by_the_name_of_the_column():
    with pytest.raises(RequestError, match=r"Expected paid_at in seconds.*data.time_unit=ms"):
        as_moments(pl.Series("paid_at", [int(NOON.timestamp() * 1000)]), "s")


def test_dates_without_hyphens_are_refused_by_the_name_of_the_column():
    with pytest.raises(RequestError, match=r"Expected paid_at as dates .* 20240131"):
        as_moments(pl.Series("paid_at", [20240131, 20240201]), "s")
