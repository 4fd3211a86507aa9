"""The machine: wear is hidden, grows faster and faster, and what is decided has the effect that is documented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dqn_agent.environments.maintenance import (
    ADJUST,
    AGE,
    LOAD,
    OVERHAUL,
    RATE,
    RUN,
    STANDING,
    TRENDS,
    WEAR,
    MaintenanceSettings,
    MaintenanceSimulator,
)

SIMULATOR = MaintenanceSimulator(MaintenanceSettings())
MEDIAN = np.full((1, SIMULATOR.num_draws), 0.5)


def machine(**columns: float) -> np.ndarray:
    state = SIMULATOR.first(MEDIAN)
    for name, value in columns.items():
        state[0, {"wear": WEAR, "rate": RATE, "load": LOAD, "standing": STANDING, "age": AGE}[name]] = value
    return state


def after(state: np.ndarray, action: int, draws: np.ndarray = MEDIAN):
    return SIMULATOR.after(state, np.array([action]), draws)


def test_wear_grows_faster_the_further_it_is_and_the_higher_the_load():
    def growth(wear: float, load: int) -> float:
        state = machine(wear=wear, load=load)
        return float(after(state, RUN).state[0, WEAR] - wear)

    assert 0 < growth(0.1, 1) < growth(0.4, 1) < growth(0.8, 1)
    assert growth(0.4, 0) < growth(0.4, 1) < growth(0.4, 2)


def test_failure_costs_a_repair_and_days_in_which_nothing_has_an_effect():
    config = SIMULATOR.settings
    outcome = after(machine(wear=0.999, load=1), RUN)
    assert outcome.costs[0].tolist() == [0, 0, config.failure_cost_keur, config.margin_keur]
    standing = []
    for action in [ADJUST, OVERHAUL, RUN, ADJUST, OVERHAUL, RUN, RUN]:
        standing.append(outcome.state[0, STANDING])
        outcome = after(outcome.state, action)
        assert outcome.costs[0, :3].tolist() == [0, 0, 0]
        assert outcome.reward[0] == 0
    assert standing == [7, 6, 5, 4, 3, 2, 1] == list(range(config.failure_days - 1, 0, -1))
    assert outcome.state[0, [WEAR, AGE, STANDING]].tolist() == [0, 0, 0]
    assert after(outcome.state, RUN).costs.sum() == 0


def test_overhaul_begins_a_new_life_and_costs_less_than_a_failure():
    config = SIMULATOR.settings
    draws = MEDIAN.copy()
    draws[0, 5] = 0.9
    outcome = after(machine(wear=0.7, load=1, age=50), OVERHAUL, draws)
    assert outcome.state[0, [WEAR, AGE, STANDING]].tolist() == [0, 0, config.overhaul_days - 1]
    assert outcome.state[0, RATE] > config.wear_rate
    assert (outcome.state[0, TRENDS] == 0).all()
    assert outcome.costs[0].tolist() == [0, config.overhaul_cost_keur, 0, config.margin_keur]


@pytest.mark.parametrize(("draw", "left"), [(0.0, 0.8), (0.999999, 0.4)], ids=["least", "most"])
def test_adjustment_takes_20_to_60_percent_of_the_wear_and_a_day(draw, left):
    draws = MEDIAN.copy()
    draws[0, 3] = draw
    outcome = after(machine(wear=0.5, load=1, age=9), ADJUST, draws)
    assert outcome.state[0, WEAR] == pytest.approx(0.5 * left, rel=1e-5)
    assert outcome.state[0, [AGE, STANDING]].tolist() == [9, 0]
    assert outcome.costs[0].tolist() == [0.5, 0, 0, 1.0]


def test_wear_and_rate_are_hidden_but_both_sensors_rise_with_wear():
    fresh, worn = (SIMULATOR.observe(after(machine(wear=wear, load=1), RUN).state)[0] for wear in (0.0, 0.8))
    assert len(fresh) == len(SIMULATOR.features) == 7
    assert (worn[:4] > fresh[:4]).all()
    assert (worn[4:] == fresh[4:]).all()


def test_trends_do_not_follow_the_load():
    """At the median there is no noise: a machine without wear is at its usual level at any load."""
    for load in range(3):
        seen = SIMULATOR.observe(after(machine(load=load, rate=0.0), RUN).state)[0]
        np.testing.assert_allclose(seen[2:4], 0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 5), st.integers(1, 5))
def test_reward_is_the_margin_of_the_days_that_were_run_less_what_was_paid(seed, shocks, overhaul, failure):
    simulator = MaintenanceSimulator(
        MaintenanceSettings(shock_chance=shocks, overhaul_days=overhaul, failure_days=failure)
    )
    generator = np.random.default_rng(seed)
    state = simulator.first(generator.random((8, simulator.num_draws)))
    for _ in range(30):
        action = generator.integers(3, size=8)
        load = simulator.observe(state)[:, 4]
        outcome = simulator.after(state, action, generator.random((8, simulator.num_draws)))
        failed = outcome.costs[:, 2] > 0
        ran = (state[:, STANDING] == 0) & (action == RUN) & ~failed
        np.testing.assert_allclose(
            outcome.reward, load * ran - outcome.costs[:, :3].sum(1), rtol=1e-5, atol=1e-6
        )
        assert (outcome.state[:, WEAR] < 1).all()
        assert (simulator.observe(outcome.state)[:, 6] <= simulator.features[6].high).all()
        state = outcome.state


def test_a_random_number_of_zero_gives_finite_sensors():
    state = SIMULATOR.first(np.zeros((1, SIMULATOR.num_draws)))
    outcome = SIMULATOR.after(state, np.array([RUN]), np.zeros((1, SIMULATOR.num_draws)))
    assert np.isfinite(SIMULATOR.observe(outcome.state)).all()
    assert np.isfinite(outcome.reward).all()
