"""Whole machines in one part, alike parts, and moments in mid-life from which test machines are forecast."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.protocol import divide, forecast_rows, unit_folds
from shared.errors import RequestError

TEST_SHARE, NUM_FOLDS = 0.2, 4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_every_unit_is_in_exactly_one_part_of_the_size_asked_for(fleet, seed):
    division = divide(fleet, TEST_SHARE, NUM_FOLDS, seed)
    parts = division.parts()
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(60))
    assert [len(units) for units in parts.values()] == pytest.approx([12] * 5, abs=3)
    assert np.array_equal(np.union1d(division.others(1), division.folds[1]), division.train)
    assert not set(division.others(1)) & set(division.folds[1])


def test_parts_have_short_and_long_lives_in_equal_shares(fleet):
    division = divide(fleet, TEST_SHARE, NUM_FOLDS, 0)
    ends = fleet.time[fleet.last_rows]
    assert np.median(ends[division.test]) == pytest.approx(np.median(ends[division.train]), rel=0.2)


def test_a_unit_keeps_its_part_whatever_the_order_of_rows(generated, fleet):
    shuffled = Fleet.of(generated.frame.sample(fraction=1.0, shuffle=True, seed=1), generated.schema)
    assert np.array_equal(
        divide(shuffled, TEST_SHARE, NUM_FOLDS, 3).test, divide(fleet, TEST_SHARE, NUM_FOLDS, 3).test
    )
    assert not np.array_equal(
        divide(fleet, TEST_SHARE, NUM_FOLDS, 4).test, divide(fleet, TEST_SHARE, NUM_FOLDS, 3).test
    )


def test_a_given_test_part_is_kept_and_the_rest_divided(generated):
    part = pl.when(pl.col("unit_id") > "pump-050").then(pl.lit("test")).otherwise(pl.lit("train"))
    fleet = Fleet.of(generated.frame.with_columns(part=part), generated.schema)
    division = divide(fleet, TEST_SHARE, NUM_FOLDS, 0)
    assert division.is_given
    assert division.test.tolist() == list(range(50, 60))
    assert np.array_equal(division.train, np.arange(50))


def test_a_fleet_without_failures_is_divided_too(generated):
    fleet = Fleet.of(generated.frame.drop("failed"), generated.schema)
    assert len(divide(fleet, TEST_SHARE, NUM_FOLDS, 0).test) == 12


@pytest.mark.parametrize(
    ("num_units", "part", "message"),
    [(1, None, "at least 5 units"), (4, None, "at least 5 units"), (8, "train", "1 for test"), (8, "test", "0 for")],
    ids=["one unit", "four units", "no test unit", "only test units"],
)  # fmt: skip
def test_too_few_units_are_refused_with_how_many_there_are(make_fleet, num_units, part, message):
    columns = {} if part is None else {"part": [part] * 3 * num_units}
    with pytest.raises(RequestError, match=message):
        divide(make_fleet([range(3)] * num_units, **columns), TEST_SHARE, NUM_FOLDS, 0)


def test_five_units_suffice(make_fleet):
    division = divide(make_fleet([range(3)] * 5), TEST_SHARE, 2, 0)
    assert [len(units) for units in division.parts().values()] == [2, 2, 1]


def test_folds_hold_every_unit_once_and_are_alike(fleet):
    units = divide(fleet, TEST_SHARE, NUM_FOLDS, 0).train
    folds = unit_folds(fleet, units, 4, 0)
    assert np.array_equal(np.sort(np.concatenate(folds)), units)
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    ends = fleet.time[fleet.last_rows]
    medians = [np.median(ends[fold]) for fold in folds]
    assert max(medians) < 1.3 * min(medians)
    with pytest.raises(RequestError, match=r"at least 4 units to train on.*Received 3.*protocol\.num_folds"):
        unit_folds(fleet, units[:3], 4, 0)


def test_machines_are_forecast_in_mid_life_at_a_moment_that_only_their_name_and_the_seed_decide(fleet):
    units = np.arange(60)
    rows = forecast_rows(fleet, units, 0)
    assert np.array_equal(fleet.row_unit[rows], units)
    assert np.array_equal(forecast_rows(fleet, units[::-1], 0), rows[::-1])
    assert not np.array_equal(forecast_rows(fleet, units, 1), rows)
    life = fleet.row_life[rows]
    share = (rows - fleet.offsets[life]) / (fleet.offsets[life + 1] - fleet.offsets[life] - 1)
    drawn = fleet.lives.failed[life]
    assert 0.28 <= share[drawn].min() < 0.45
    assert 0.85 < share[drawn].max() <= 0.98
    assert (share[~drawn] == 1.0).all()
    assert drawn.sum() > 40


def test_machines_cut_off_by_a_publisher_are_forecast_from_their_last_reading(generated):
    running = generated.frame.with_columns(failed=pl.lit(0))
    given_rul = dict.fromkeys(running["unit_id"].unique().to_list(), 10.0)
    fleet = Fleet.of(running, generated.schema, given_rul)
    rows = forecast_rows(fleet, np.arange(60), 0)
    assert np.array_equal(rows, fleet.last_rows)
    assert (fleet.remaining()[rows] == 10.0).all()
