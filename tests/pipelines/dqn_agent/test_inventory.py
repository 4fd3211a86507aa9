"""Stock: every unit is accounted for, and demand is what planners are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.dqn_agent.environments.inventory import InventorySettings, InventorySimulator

# A draw of 0.5 is the median of demand.
MEDIAN = 0.5


def quiet(**changes) -> InventorySimulator:
    """One level, one weekday, and a demand of about 10 a day."""
    fields = {
        "mean_demand": 10.0,
        "weekday_factors": (1.0,) * 7,
        "levels": (1.0,),
        "dispersion": 1.0,
        "lot_units": 1,
    }
    return InventorySimulator(InventorySettings(**(fields | {"max_lots": 100} | changes)))


def day(simulator, state, lots, demand=MEDIAN, fresh=0.0):
    return simulator.after(
        np.array([state], dtype=float), np.array([lots]), np.array([[demand, fresh, MEDIAN]])
    )


@st.composite
def shops(draw):
    shelf_life = draw(st.none() | st.integers(1, 5))
    return InventorySimulator(
        InventorySettings(
            mean_demand=draw(st.floats(0.5, 30)),
            dispersion=draw(st.sampled_from([1.0, 1.7, 4.0])),
            lead_time_days=draw(st.integers(0, 4)),
            shelf_life_days=shelf_life,
            freshest_first=draw(st.floats(0, 1)),
            lot_units=draw(st.integers(1, 7)),
            max_lots=draw(st.integers(1, 9)),
            order_cost_eur=1.0,
            holding_cost_eur=1.0,
            waste_cost_eur=1.0,
            lost_cost_eur=1.0,
        )
    )


@settings(max_examples=40, deadline=None)
@given(shops(), st.integers(0, 2**32 - 1))
def test_no_unit_appears_or_vanishes(simulator, seed):
    """Ordered units are on the shelf, under way, sold or wasted; what is not sold of the demand is lost."""
    generator, config = np.random.default_rng(seed), simulator.settings
    state = simulator.first(generator.random((16, simulator.num_draws)))
    for _ in range(12):
        draws = generator.random((16, simulator.num_draws))
        lots = generator.integers(config.max_lots + 1, size=16)
        demand = simulator._demand(state, draws[:, 0])
        outcome = simulator.after(state, lots, draws)
        wasted, lost = outcome.costs[:, 2], outcome.costs[:, 3]
        units, before = outcome.state[:, :-2], state[:, :-2]
        assert (units >= 0).all()
        assert (outcome.costs >= 0).all()
        np.testing.assert_allclose(
            units.sum(1), before.sum(1) + lots * config.lot_units - (demand - lost) - wasted
        )
        state = outcome.state


@pytest.mark.parametrize("dispersion", [1.0, 2.0, 5.0], ids=["poisson", "twice", "five_times"])
def test_demand_has_the_mean_and_variance_that_are_documented(dispersion):
    simulator = InventorySimulator(InventorySettings(dispersion=dispersion))
    units = np.arange(simulator.demand_probabilities.shape[1])
    mean = simulator.demand_probabilities @ units
    variance = simulator.demand_probabilities @ units**2 - mean**2
    np.testing.assert_allclose(mean, simulator.means.ravel(), rtol=1e-5)
    np.testing.assert_allclose(variance, dispersion * simulator.means.ravel(), rtol=1e-4)


def test_drawn_demand_follows_its_probabilities():
    simulator = InventorySimulator(InventorySettings())
    state = simulator.first(np.full((1, 3), 0.9))
    draws = (np.arange(20_000) + 0.5) / 20_000
    demand = simulator._demand(np.repeat(state, len(draws), axis=0), draws)
    row = int(state[0, -1] * 7 + state[0, -2])
    shares = np.bincount(demand.astype(int), minlength=simulator.demand_probabilities.shape[1]) / len(draws)
    np.testing.assert_allclose(shares, simulator.demand_probabilities[row], atol=1e-4)


@pytest.mark.parametrize("lead_time", [0, 1, 2, 5])
def test_order_is_on_the_shelf_after_its_lead_time(lead_time):
    simulator = quiet(lead_time_days=lead_time, shelf_life_days=None)
    state = np.zeros(1 + simulator.settings.num_due + 2)
    arrived = []
    for number in range(8):
        outcome = day(simulator, state, 40 if number == 0 else 0, demand=0.0)
        state = outcome.state[0]
        arrived.append(state[0])
    # the order of day 0 can be sold on day `lead_time`: it is there the evening before, or on the same day for 0
    assert arrived == [0.0] * max(lead_time - 1, 0) + [40.0] * (8 - max(lead_time - 1, 0))


def test_oldest_units_go_first_and_the_last_day_ends_on_the_shelf():
    simulator = quiet(lead_time_days=1, shelf_life_days=3, freshest_first=0.0)
    outcome = day(simulator, [4, 9, 5, 0, 0], 7)  # demand of 10
    assert outcome.state[0, :3].tolist() == [3, 5, 7]
    outcome = day(simulator, [14, 0, 2, 0, 0], 0)
    assert outcome.costs[0, 2] == pytest.approx(4 * simulator.settings.waste_cost_eur)


def test_customers_who_look_for_the_freshest_leave_the_oldest():
    simulator = quiet(lead_time_days=1, shelf_life_days=3, freshest_first=1.0)
    outcome = day(simulator, [4, 9, 5, 0, 0], 0)
    assert outcome.costs[0, 2] == pytest.approx(4 * simulator.settings.waste_cost_eur)
    assert outcome.state[0, :3].tolist() == [4, 0, 0]


def test_costs_of_a_day_are_those_that_are_documented():
    simulator = quiet(lead_time_days=1, shelf_life_days=3, freshest_first=0.0)
    config = simulator.settings
    ordered = day(simulator, [4, 9, 5, 0, 0], 7)
    assert ordered.costs[0].tolist() == pytest.approx(
        [config.order_cost_eur, 8 * config.holding_cost_eur, 0, 0]
    )
    assert ordered.reward[0] == -ordered.costs.sum()
    short = day(simulator, [0, 3, 0, 0, 0], 0)
    assert short.costs[0].tolist() == pytest.approx([0, 0, 0, 7 * config.lost_cost_eur])


def test_forecast_is_the_mean_of_the_days_to_come_at_the_level_of_today():
    simulator = InventorySimulator(InventorySettings())
    state = np.zeros((1, 4 + 1 + 2))
    state[0, -2:] = 5, 2  # Saturday, busy
    seen = simulator.observe(state)[0]
    np.testing.assert_allclose(seen[-4:], 12 * 1.4 * np.array([1.7, 0.7, 0.7, 0.7]), rtol=1e-6)
    assert [feature.name for feature in simulator.features[-2:]] == [
        "forecast_in_2_days",
        "forecast_in_3_days",
    ]
    assert len(simulator.features) == len(seen)


def test_means_beyond_what_can_be_computed_are_refused():
    with pytest.raises(ValidationError, match="at most 500 units"):
        InventorySettings(mean_demand=1000.0)
