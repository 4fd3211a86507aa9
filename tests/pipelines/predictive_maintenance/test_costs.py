"""The cost curve gives at any costs what playing the policy at these costs gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.predictive_maintenance.config import DecisionConfig, tiny
from pipelines.predictive_maintenance.costs import CostCurve
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.policy import RecordedLives, best_threshold, policies_document

COSTS = st.floats(0.01, 1000.0)


@pytest.fixture(scope="module")
def played(small):
    """Policies of the small fleet at the costs of the configuration, and the lives that they were played on."""
    table = small.outcome.out_of_fold
    lives = RecordedLives.of(table, table[FORECAST].to_numpy())
    config = small.config.model_copy(update={"evaluation": tiny().evaluation})
    return policies_document(table, small.scorer.scale, config), lives, small.config.decision


@given(cost_failure=COSTS, cost_service=COSTS)
def test_the_cheapest_threshold_is_the_one_that_a_run_at_these_costs_would_serve(
    played, cost_failure, cost_service
):
    policies, lives, decision = played
    costs = DecisionConfig(cost_failure=cost_failure, cost_service=cost_service, lead_time=decision.lead_time)
    curve = CostCurve.of(policies)
    cheapest, expected = curve.cheapest(cost_failure, cost_service), best_threshold(lives, costs)
    # sums in another order: of two equally cheap thresholds rounding may prefer the other
    rates = [lives.by_forecast(threshold, costs).rate(costs) for threshold in (cheapest, expected)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)
    assert curve.rate_at(cheapest, cost_failure, cost_service) == pytest.approx(rates[0], rel=1e-9)


@given(cost_failure=COSTS, cost_service=COSTS)
def test_no_threshold_is_cheaper_than_foresight(played, cost_failure, cost_service):
    policies, lives, decision = played
    costs = DecisionConfig(
        cost_failure=max(cost_failure, cost_service), cost_service=cost_service, lead_time=decision.lead_time
    )
    curve = CostCurve.of(policies)
    given_costs = (costs.cost_failure, costs.cost_service)
    assert float(curve.run_to_failure.cost_rate(*given_costs)) == pytest.approx(
        lives.run_to_failure().rate(costs)
    )
    assert float(curve.perfect.cost_rate(*given_costs)) == pytest.approx(lives.with_foresight().rate(costs))


def test_the_curve_holds_the_served_threshold(played):
    policies, _, decision = played
    curve = CostCurve.of(policies)
    assert curve.cheapest(decision.cost_failure, decision.cost_service) == policies["decision"]["threshold"]
    assert (np.diff(curve.threshold) > 0).all()
    assert (curve.by_forecast.failures + curve.by_forecast.services <= policies["lives"]).all()
