"""Irregular readings on a grid: nothing from the future, nothing carried for too long, ends where they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.grid import Grid, typical_step
from shared.errors import RequestError


def on_grid(fleet: Fleet, step: float, max_gap_steps: float) -> Fleet:
    return Grid.of(fleet, step, max_gap_steps).fleet(fleet, fleet.values, fleet.channels)


def test_a_regular_fleet_stays_as_it_is(make_fleet):
    fleet = make_fleet([[1, 2, 3], [5, 6]])
    gridded = on_grid(fleet, typical_step(fleet), 3)
    np.testing.assert_array_equal(gridded.values, fleet.values)
    np.testing.assert_array_equal(gridded.time, fleet.time)
    np.testing.assert_array_equal(gridded.first_row, fleet.first_row)
    assert gridded.steps_ago is None


def test_the_step_is_the_median_within_lives(make_fleet):
    assert typical_step(make_fleet([[0, 2, 4, 9], [100, 102]])) == 2.0


def test_without_two_readings_of_a_life_there_is_no_step(make_fleet):
    with pytest.raises(RequestError, match="several readings each"):
        typical_step(make_fleet([[1], [2]]))


def test_a_lost_row_is_filled_with_the_last_values_and_says_how_old_they_are(make_fleet):
    gridded = on_grid(make_fleet([[1, 2, 4, 5]], sensor=[10, 20, 40, 50]), 1.0, 3)
    assert gridded.time.tolist() == [1, 2, 3, 4, 5]
    assert gridded.values[:, 1].tolist() == [10, 20, 20, 40, 50]
    assert gridded.steps_ago[:, 1].tolist() == [0, 0, 1, 0, 0]
    assert gridded.remaining().tolist() == [4, 3, 2, 1, 0]


def test_a_lost_value_is_carried_for_the_longest_gap_and_missing_afterwards(make_fleet):
    sensor = [None, 1.0, None, None, None, 5.0]
    gridded = on_grid(make_fleet([range(6)], sensor=sensor), 1.0, 2)
    np.testing.assert_array_equal(gridded.values[:, 1], [np.nan, 1, 1, 1, np.nan, 5])
    assert gridded.steps_ago[:, 1].tolist() == [2, 0, 1, 2, 2, 0]


def test_a_gap_begins_windows_anew_but_not_the_life(make_fleet):
    fleet = make_fleet([[0, 1, 2, 10, 11]])
    gridded = on_grid(fleet, 1.0, 3)
    assert gridded.time.tolist() == [0, 1, 2, 10, 11]
    assert gridded.first_row.tolist() == [0, 0, 0, 3, 3]
    assert gridded.remaining().tolist() == [11, 10, 9, 1, 0]
    assert gridded.row_life.tolist() == [0] * 5


def test_of_several_readings_within_a_step_the_last_that_holds_a_value_counts(make_fleet):
    fleet = make_fleet([[0.0, 0.4, 0.9, 1.0, 1.5, 2.0]], sensor=[0, 4, 9, None, 15, 20])
    assert on_grid(fleet, 1.0, 3).values[:, 1].tolist() == [0, 9, 20]


def test_a_year_without_readings_costs_no_memory(make_fleet):
    assert on_grid(make_fleet([[0.0, 1.0, 1e8, 1e8 + 1]]), 1e-3, 1e4).num_rows < 3000


lives = st.lists(
    st.lists(st.floats(0, 50).map(lambda time: round(time, 2)), min_size=1, max_size=12, unique=True).map(sorted),
    min_size=1,
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(lives, st.floats(0.1, 5), st.integers(1, 6))
def test_on_any_grid_only_the_past_is_seen_and_no_end_moves(make_fleet, times, step, max_gap):
    moments = [moment for own in times for moment in own]
    fleet = make_fleet(times, sensor=moments)
    gridded = on_grid(fleet, step, max_gap)
    seen, ago = gridded.values[:, 1].astype(np.float64), gridded.time
    tolerance = 1e-3
    assert (seen <= ago + tolerance).all()
    assert (ago - seen <= max_gap * step + tolerance).all()
    np.testing.assert_array_equal(gridded.time[gridded.last_rows], fleet.time[fleet.last_rows])
    np.testing.assert_array_equal(gridded.values[gridded.last_rows], fleet.values[fleet.last_rows])
    np.testing.assert_array_equal(gridded.lives.unit, fleet.lives.unit)
    assert (gridded.first_row >= gridded.offsets[gridded.row_life]).all()
    within = np.flatnonzero(gridded.first_row[1:] == gridded.first_row[:-1])
    np.testing.assert_allclose(np.diff(gridded.time)[within], step, atol=1e-6)
