"""Policies played on lives small enough to count by hand."""

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.config import DecisionConfig
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.policy import (
    Decision,
    RecordedLives,
    best_interval,
    best_threshold,
    decide,
    play,
)
from pipelines.predictive_maintenance.targets import Scale

COSTS = DecisionConfig(cost_failure=10, cost_service=1, lead_time=2)


def table_of(*lives: tuple[str, list[float], bool]) -> pl.DataFrame:
    """Lives as (machine, forecast at age 1, 2, ..., whether the last of these readings failed)."""
    frames = [
        pl.DataFrame(
            {
                "unit_id": unit,
                "life": number,
                "age": np.arange(1.0, len(signal) + 1),
                "remaining": np.arange(len(signal) - 1.0, -1, -1),
                "is_censored": not failed,
                FORECAST: np.array(signal, dtype=np.float64),
            }
        )
        for number, (unit, signal, failed) in enumerate(lives)
    ]
    return pl.concat(frames)


def lives_of(*lives: tuple[str, list[float], bool]) -> RecordedLives:
    table = table_of(*lives)
    return RecordedLives.of(table, table[FORECAST].to_numpy())


WARNED = ("a", [9, 8, 7, 3, 2, 1, 0, 0], True)
SUDDEN = ("b", [9, 9, 9, 9, 1], True)
RUNNING = ("c", [9, 9, 9, 9, 9, 9], False)


def test_a_service_is_done_after_the_lead_time_and_too_late_for_what_failed_before():
    played = lives_of(WARNED, SUDDEN, RUNNING).by_forecast(3.0, COSTS)
    assert played.time.tolist() == [6, 5, 6]
    assert played.serviced.tolist() == [True, False, False]
    assert played.failed.tolist() == [False, True, False]
    assert played.rate(COSTS) == pytest.approx((1 + 10) / 17)


def test_running_to_failure_pays_for_every_failure_and_foresight_for_a_service_each():
    lives = lives_of(WARNED, SUDDEN, RUNNING)
    assert lives.run_to_failure().rate(COSTS) == pytest.approx(20 / 19)
    assert lives.with_foresight().rate(COSTS) == pytest.approx(2 / 19)


def test_a_fixed_interval_services_what_lives_longer():
    played = lives_of(WARNED, SUDDEN, RUNNING).by_age(5.0)
    assert played.serviced.tolist() == [True, False, True]
    assert played.failed.tolist() == [False, True, False]
    assert played.time.tolist() == [5, 5, 5]


def test_a_service_due_after_the_record_ends_costs_nothing_yet():
    played = lives_of(("c", [9, 9, 9, 1, 1], False)).by_forecast(1.0, COSTS)
    assert (played.time.tolist(), played.serviced.any(), played.failed.any()) == ([5], False, False)


def test_the_published_end_of_a_test_machine_counts_as_its_failure():
    table = table_of(("a", [5, 4, 3], True)).with_columns(remaining=pl.col("remaining") + 7)
    assert RecordedLives.of(table, table[FORECAST].to_numpy()).length.tolist() == [10]


def test_the_cheapest_threshold_warns_in_time_and_no_earlier():
    lives = lives_of(*[(f"m{number}", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], True) for number in range(4)])
    # ordered at age 7 it is done at 9, before the failure at 10; at age 8 it would come with the failure
    assert best_threshold(lives, COSTS) == pytest.approx(3.0, abs=0.2)
    assert best_interval(lives_of(WARNED, WARNED, RUNNING), COSTS) == pytest.approx(7.95, abs=0.1)


def test_lives_of_one_machine_are_kept_apart():
    lives = lives_of(("a", [3, 2, 1], True), ("a", [4, 3, 2, 1], True), ("b", [1, 0], True))
    assert lives.length.tolist() == [3, 4, 2]
    assert lives.unit.tolist() == [1, 1, 2]
    taken = lives.taken(np.array([1, 2]))
    assert taken.offsets.tolist() == [0, 4, 6]
    assert taken.signal.tolist() == [4, 3, 2, 1, 1, 0]


def test_a_fold_is_played_with_the_threshold_of_the_others():
    """Machines of fold 0 fail at a forecast of 100, those of fold 1 at 0: what is learnt on one is useless on the
    other, and would not be if a fold had chosen its own threshold."""
    high = [(f"h{number}", list(np.linspace(110, 100, 11)), True) for number in range(3)]
    low = [(f"l{number}", list(np.linspace(10, 0, 11)), True) for number in range(3)]
    played = play(lives_of(*high, *low), np.array([0] * 3 + [1] * 3), COSTS)["forecast"]
    assert played.failed[:3].all()
    assert played.serviced[3:].all()
    assert (played.time[3:] == 3.0).all(), "ordered at the first reading"


def test_what_may_fail_within_the_horizon_of_the_threshold_is_planned():
    decision = Decision(threshold=5.0, plan_by=15.0)
    found = decision.action(np.array([0.0, 5.0, 5.1, 15.0, 15.1]))
    assert found == ["service_now", "service_now", "plan_service", "plan_service", "run_on"]
    assert Decision.from_json(decision.to_json()) == decision
    made = decide(table_of(WARNED, SUDDEN), Scale(cap=9, horizon=4), COSTS)
    assert made.plan_by == made.threshold + 4
