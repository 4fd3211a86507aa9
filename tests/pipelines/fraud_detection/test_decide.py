"""Cut-offs by hand-made numbers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.fraud_detection.config import DecisionConfig
from pipelines.fraud_detection.decide import Decision, choose, cost_curve

START = datetime(2024, 1, 1, tzinfo=UTC)


def _frame(amounts, frauds, days=1):
    times = [START + timedelta(hours=number * 24 * days / len(amounts)) for number in range(len(amounts))]
    return pl.DataFrame(
        {"time": times, "amount": amounts, "is_fraud": frauds}, schema_overrides={"is_fraud": pl.Int64}
    )


def test_cost_of_a_cut_off_is_that_of_its_alerts_and_of_the_frauds_below_it():
    frame = _frame([100.0, 10.0, 50.0, 20.0], [1, 0, 1, 0])
    curve = cost_curve(frame, np.array([4.0, 3.0, 2.0, 1.0]), DecisionConfig(cost_per_alert=5))
    assert curve.alerts_per_day.tolist() == [0, 1, 2, 3, 4]
    assert curve.cost_per_day.tolist() == [150, 55, 60, 15, 20]
    assert curve.cut_off[curve.cheapest] == 2.0


def test_costs_are_for_a_day_and_for_the_share_that_is_lost():
    frame = _frame([100.0, 10.0], [1, 0], days=2)
    curve = cost_curve(frame, np.array([1.0, 2.0]), DecisionConfig(cost_per_alert=1, lost_share=0.5))
    assert curve.cost_per_day.tolist() == [25, 25.5, 1]


def test_equal_scores_are_taken_together():
    curve = cost_curve(_frame([1.0, 1.0, 1.0], [0, 1, 0]), np.array([2.0, 2.0, 1.0]), DecisionConfig())
    assert curve.alerts_per_day.tolist() == [0, 2, 3]


def test_budget_cut_off_lets_so_many_a_day_through():
    scores = np.arange(100.0)
    decision = choose(_frame([1.0] * 100, [None] * 100, days=5), scores, DecisionConfig(alerts_per_day=4))
    assert (scores >= decision.budget_cut_off).sum() == 20
    assert decision.cost_cut_off == -np.inf


def test_alerts_are_inside_the_budget_and_worth_looking_at():
    decision = Decision(alerts_per_day=2, budget_cut_off=5.0, cost_cut_off=7.0)
    alerts = decision.of_the_day(np.array([9.0, 6.0, 8.0]), np.array([1, 2, 3]))
    assert alerts.tolist() == [True, False, False]
    assert [decision.at_once(score) for score in (7.0, 6.0)] == [True, False]


def test_thinned_curve_keeps_ends_and_the_cheapest_point():
    rng = np.random.default_rng(0)
    frame = _frame(rng.uniform(1, 100, 5000), (rng.random(5000) < 0.05).astype(int), days=3)
    curve = cost_curve(frame, rng.normal(size=5000), DecisionConfig())
    thin = curve.thinned()
    assert len(thin.cut_off) <= 301
    assert thin.cost_per_day.min() == curve.cost_per_day.min()
    assert thin.alerts_per_day[[0, -1]].tolist() == curve.alerts_per_day[[0, -1]].tolist()


@pytest.mark.parametrize("cost", [3.0, -np.inf])
def test_decision_survives_json(cost):
    decision = Decision(10, 1.5, cost)
    assert Decision.from_json(decision.to_json()) == decision
