"""A machine over its time ends in the forecast that is served for it."""

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.timeline import MOST_READINGS, timeline, valid_readings


@pytest.fixture(scope="module", params=["small", "unfailed"])
def either(request):
    """With and without failures to learn from."""
    return request.getfixturevalue(request.param)


def test_the_last_moment_is_what_is_served(either):
    frame = either.test_frame()
    for row in either.scorer.score(frame)[:4].iter_rows(named=True):
        last = timeline(either.scorer, frame, row["unit_id"]).forecasts.row(-1, named=True)
        assert last["time"] == row["time"]
        assert last["anomaly_score"] == pytest.approx(row["anomaly_score"], abs=1e-9)
        if row["rul"] is not None:
            assert (last["forecast"], last["low"]) == pytest.approx((row["rul"], row["rul_low"]), abs=1e-9)


def test_of_many_readings_evenly_spaced_ones_are_forecast_with_the_first_and_the_last(small):
    unit = small.frame.group_by("unit_id").len().sort("len")["unit_id"][-1]
    own = small.frame.filter(unit_id=unit)
    life = timeline(small.scorer, small.frame, unit, most_readings=9)
    times = life.forecasts["time"].to_numpy()
    assert len(times) == 9 < MOST_READINGS
    assert (times[0], times[-1]) == (own["time"].min(), own["time"].max())
    assert np.ptp(np.diff(times)) <= 2
    assert life.deviations["time"].to_list() == times.tolist()


def test_deviations_are_means_of_the_last_ten_scaled_readings(small):
    unit = small.frame["unit_id"][0]
    life = timeline(small.scorer, small.frame, unit, most_readings=10**6)
    fleet = small.fleet.of_units(np.array([small.fleet.unit_names.index(unit)]))
    scaled = small.scorer.seen(fleet).prepared.values
    found = life.deviations.drop("time").to_numpy()
    assert found[0] == pytest.approx(scaled[0], abs=1e-6)
    assert found[-1] == pytest.approx(scaled[-10:].mean(0), abs=1e-5)


def test_failures_and_latest_readings_are_those_of_the_table(small):
    failed = small.frame.filter(pl.col("failed") == 1)
    unit = failed.group_by("unit_id").len().sort("len", "unit_id")["unit_id"][-1]
    life = timeline(small.scorer, small.frame, unit)
    assert list(life.failures) == failed.filter(unit_id=unit)["time"].to_list()
    last = small.frame.filter(unit_id=unit).row(-1, named=True)
    for row in life.latest.iter_rows(named=True):
        if last[row["name"]] is not None:
            assert row["value"] == pytest.approx(last[row["name"]], rel=1e-3)


def test_readings_that_break_the_contract_are_left_out(small, tmp_path):
    frame = small.test_frame()
    broken = frame.with_columns(time=pl.when(pl.int_range(pl.len()) == 3).then(-1.0).otherwise("time"))
    broken.write_parquet(tmp_path / "fleet.parquet")
    found = valid_readings(tmp_path / "fleet.parquet", small.scorer)
    assert found.height == frame.height - 1
