"""Intervals that keep their promise on new machines, open ends, and probabilities."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance.calibrate import STAGES, Calibrated, stage_of
from pipelines.predictive_maintenance.metrics import covered
from pipelines.predictive_maintenance.protocol import EARLIEST_SHARE, LATEST_SHARE
from pipelines.predictive_maintenance.targets import Scale

SCALE = Scale(cap=90.0, horizon=20.0)
LIFE = 160.0


def simulated(num_machines: int, seed: int, *, width: float = 5.0) -> pl.DataFrame:
    """Forecasts of machines that are each off in their own way, most near the cap, with ends that are too narrow."""
    rng = np.random.default_rng(seed)
    machine = np.repeat(np.arange(num_machines), 40)
    remaining = np.tile(np.linspace(0, 156, 40), num_machines)
    noise = rng.normal(0, 4, len(machine)) + rng.normal(0, 12, num_machines)[machine] * remaining / 150
    forecast = np.clip(np.minimum(remaining, SCALE.cap) + noise, 0, SCALE.cap)
    return pl.DataFrame(
        {
            "unit_id": [f"m{one}" for one in machine],
            "age": LIFE - remaining,
            "remaining": remaining,
            "is_censored": np.zeros(len(machine), dtype=bool),
            "forecast": forecast,
            "forecast_low": forecast - width,
            "forecast_high": forecast + width,
            "log_odds": (SCALE.horizon - remaining) / 4 + rng.normal(0, 2, len(machine)),
        }
    )


def in_use(table: pl.DataFrame) -> pl.DataFrame:
    """The readings that intervals make their promise for."""
    return table.filter((pl.col("age") / LIFE).is_between(EARLIEST_SHARE, LATEST_SHARE))


def coverage(table: pl.DataFrame, calibrated: Calibrated) -> np.ndarray:
    return covered(np.minimum(table["remaining"].to_numpy(), SCALE.cap), *calibrated.interval(table))


@pytest.mark.parametrize("width", [0.0, 5.0, 60.0], ids=["no width", "too narrow", "too wide"])
def test_intervals_hold_the_promised_share_of_new_machines_whatever_the_network_said(width):
    shares = []
    for seed in range(5):
        calibrated = Calibrated.fit(simulated(60, seed, width=width), SCALE, 0.9, 0)
        shares.append(coverage(in_use(simulated(200, 1000 + seed, width=width)), calibrated).mean())
    assert np.mean(shares) >= 0.895
    assert width == 60.0 or np.mean(shares) < 0.95


def test_the_promise_holds_near_failure_too():
    found = [[] for _ in STAGES]
    for seed in range(5):
        calibrated = Calibrated.fit(simulated(60, seed), SCALE, 0.9, 0)
        new = in_use(simulated(200, 1000 + seed))
        stage = stage_of(new["forecast"].to_numpy(), SCALE)
        inside = coverage(new, calibrated)
        for number in range(len(STAGES)):
            found[number].append(inside[stage == number].mean())
    assert all(np.mean(shares) > 0.88 for shares in found), found


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    return Calibrated.fit(simulated(20, 0), SCALE, 0.9, 0)


@settings(max_examples=50, deadline=None)
@given(forecast=st.floats(0, 90), below=st.floats(0, 200), above=st.floats(0, 200))
def test_ends_are_in_order_from_zero_on_and_open_at_the_cap(calibrated, forecast, below, above):
    row = {"forecast": [forecast], "forecast_low": [forecast - below], "forecast_high": [forecast + above]}
    [low], [high] = calibrated.interval(pl.DataFrame(row))
    assert 0 <= low <= SCALE.cap
    assert np.isnan(high) or low <= high < SCALE.cap


def test_too_few_machines_promise_nothing_rather_than_something_false():
    calibrated = Calibrated.fit(simulated(5, 0), SCALE, 0.9, 0)
    low, high = calibrated.interval(simulated(5, 1))
    assert (low == 0).all()
    assert np.isnan(high).all()


def test_a_machine_that_still_runs_moves_no_interval():
    table = simulated(40, 0)
    running = simulated(40, 1).with_columns(
        unit_id="r" + pl.col("unit_id"), is_censored=pl.lit(True), remaining=pl.col("remaining") / 2
    )
    both = Calibrated.fit(pl.concat([table, running]), SCALE, 0.9, 0)
    assert both.widening == Calibrated.fit(table, SCALE, 0.9, 0).widening


def test_probabilities_rise_with_the_log_odds_and_are_right_on_average():
    calibrated = Calibrated.fit(simulated(100, 0), SCALE, 0.9, 0)
    new = simulated(300, 1)
    probability = calibrated.failure_probability(new)
    assert probability.mean() == pytest.approx((new["remaining"] <= SCALE.horizon).mean(), abs=0.02)
    order = np.argsort(new["log_odds"].to_numpy())
    assert (np.diff(probability[order]) >= 0).all()


@pytest.mark.parametrize("num_machines", [5, 40])
def test_what_was_calibrated_survives_json(num_machines):
    calibrated = Calibrated.fit(simulated(num_machines, 0), SCALE, 0.9, 0)
    assert Calibrated.from_json(json.loads(json.dumps(calibrated.to_json(), allow_nan=False))) == calibrated


def test_stages_are_thirds_of_the_cap():
    assert stage_of(np.array([0, 29.9, 30, 59.9, 60, 90, 500]), SCALE).tolist() == [0, 0, 1, 1, 2, 2, 2]
