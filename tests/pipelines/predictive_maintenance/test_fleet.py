"""Lives and what is known of their ends: the convention of the labels, repairs, machines still running."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.schema import Channel, ReadingsSchema
from shared.errors import RequestError

SCHEMA = ReadingsSchema(name="hand", channels=(Channel(name="s"),))


def table(failed: list[int | None], unit: str = "a", **columns) -> pl.DataFrame:
    """Readings of one unit at times 1, 2, ..., the sensor showing the time."""
    time = [float(place) for place in range(1, len(failed) + 1)]
    return pl.DataFrame(
        {"unit_id": [unit] * len(failed), "time": time, "failed": failed, "s": time, **columns}
    )


def test_remaining_life_is_0_at_the_reading_that_failed_and_counts_up_backwards():
    fleet = Fleet.of(table([0, 0, None, 1]), SCHEMA)
    assert fleet.remaining().tolist() == [3.0, 2.0, 1.0, 0.0]
    assert not fleet.is_censored().any()


def test_a_machine_that_still_runs_has_a_lower_bound_and_says_so():
    fleet = Fleet.of(table([0, 0, 0]), SCHEMA)
    assert fleet.remaining().tolist() == [2.0, 1.0, 0.0]
    assert fleet.is_censored().all()
    assert not fleet.has_known_end.any()


def test_a_table_without_failures_has_only_machines_that_still_run():
    fleet = Fleet.of(table([0, 0, 0]).drop("failed"), SCHEMA)
    assert fleet.is_censored().all()


def test_after_a_failure_a_new_life_begins():
    fleet = Fleet.of(table([0, 1, 0, 0, 1, 0]), SCHEMA)
    assert fleet.remaining().tolist() == [1.0, 0.0, 2.0, 1.0, 0.0, 0.0]
    assert fleet.is_censored().tolist() == [False] * 5 + [True]
    assert fleet.lives.number.tolist() == [1, 2, 3]
    assert fleet.lives.start.tolist() == [0.0, 2.0, 5.0]
    assert fleet.age().tolist() == [1.0, 2.0, 1.0, 2.0, 3.0, 1.0]
    assert fleet.last_rows.tolist() == [5]


def test_a_published_remaining_life_counts_from_the_last_reading_of_the_last_life():
    frame = pl.concat([table([0, 1, 0, 0]), table([0, 0], unit="b")])
    fleet = Fleet.of(frame, SCHEMA, {"a": 10.0})
    assert fleet.remaining().tolist() == [1.0, 0.0, 11.0, 10.0, 1.0, 0.0]
    assert fleet.is_censored().tolist() == [False] * 4 + [True] * 2


def test_readings_of_a_machine_that_stands_still_after_its_failure_are_left_out_and_counted():
    fleet = Fleet.of(table([0, 1, 1, 1, 0]), SCHEMA)
    assert fleet.time.tolist() == [1.0, 2.0, 5.0]
    assert fleet.notes[0].startswith("2 readings directly after a failure")


def test_the_order_of_rows_does_not_matter_and_unit_10_comes_after_unit_9(generated, fleet):
    shuffled = Fleet.of(generated.frame.sample(fraction=1.0, shuffle=True, seed=1), generated.schema)
    assert shuffled.unit_names == fleet.unit_names
    np.testing.assert_array_equal(shuffled.values, fleet.values)
    names = pl.concat([table([1], unit=f"u{number}") for number in (10, 9, 1)])
    assert Fleet.of(names, SCHEMA).unit_names == ("u1", "u9", "u10")


def test_a_missing_packet_is_nan_and_values_are_float32(fleet):
    assert fleet.values.dtype == np.float32
    assert 0.005 < np.isnan(fleet.values[:, fleet.columns_of("sensor")]).mean() < 0.02


def test_a_unit_in_both_parts_is_refused_by_name():
    with pytest.raises(RequestError, match="Received unit a in train and in test"):
        Fleet.of(table([0, 0], part=["train", "test"]), SCHEMA)


def test_a_given_division_is_kept_by_unit():
    frame = pl.concat([table([0, 1], part=["train"] * 2), table([0], unit="b", part=["test"])])
    assert Fleet.of(frame, SCHEMA).is_test.tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 59), min_size=1))
def test_some_units_alone_keep_their_readings_lives_and_labels(fleet, chosen):
    units = np.array(sorted(chosen))
    part, rows = fleet.of_units(units), fleet.rows_of(units)
    assert part.unit_names == tuple(fleet.unit_names[unit] for unit in units)
    np.testing.assert_array_equal(part.values, fleet.values[rows])
    np.testing.assert_array_equal(part.remaining(), fleet.remaining()[rows])
    np.testing.assert_array_equal(part.is_censored(), fleet.is_censored()[rows])
    np.testing.assert_array_equal(units[part.row_unit], fleet.row_unit[rows])
    np.testing.assert_array_equal(rows[part.first_row], fleet.first_row[rows])
    np.testing.assert_array_equal(rows[part.last_rows], fleet.last_rows[units])
