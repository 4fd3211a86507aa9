"""Rules are computed on training seeds alone, are the best of their kind, and hold what dynamic programming says."""

import functools

import numpy as np
import pytest

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments import rules_inventory
from pipelines.dqn_agent.environments.inventory import InventorySettings, InventorySimulator
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.environments.rules import RandomRule, Rule, fit_rules
from pipelines.dqn_agent.environments.rules_inventory import ForecastCover, ReorderPoint
from pipelines.dqn_agent.environments.search import best, mean_rewards
from pipelines.dqn_agent.environments.simulator import Outcome
from pipelines.dqn_agent.make import Stepper, make_vector

CONFIG = EnvironmentConfig(horizon=60)
# One product without weekday, season, lead time or expiry: what the theory of (s, S) is about.
CLASSIC = InventorySettings(
    mean_demand=4.0,
    weekday_factors=(1.0,) * 7,
    levels=(1.0,),
    dispersion=1.5,
    lead_time_days=0,
    shelf_life_days=None,
    lot_units=1,
    max_lots=40,
    order_cost_eur=12.0,
    holding_cost_eur=0.5,
    lost_cost_eur=6.0,
)


def optimal(settings: InventorySettings, largest: int) -> tuple[int, int, float]:
    """s, S and the mean daily cost of the optimal policy with stock up to `largest`, by relative value iteration."""
    probability = InventorySimulator(settings).demand_probabilities[0]
    units = np.arange(largest + 1)
    demand = np.arange(len(probability))
    left = np.maximum(units[:, None] - demand, 0)
    short = np.maximum(demand - units[:, None], 0)
    daily = (settings.holding_cost_eur * left + settings.lost_cost_eur * short) @ probability
    value = np.zeros(largest + 1)
    for _ in range(3000):
        after = daily + value[left] @ probability
        orders = settings.order_cost_eur + np.array([after[stock:].min() for stock in units])
        new = np.minimum(after, orders)
        gain, value = new[0] - value[0], new - new[0]
    stops = np.flatnonzero(orders < after)
    return int(stops.max()), int(after.argmin()), float(gain)


@functools.cache
def fitted(env_id: str) -> tuple[Rule, ...]:
    return fit_rules(env_id, CONFIG, seed=0)


def returns(env_id: str, rule: Rule, num_envs: int, horizon: int | None = None) -> np.ndarray:
    """Return of the first episode of each environment."""
    stepper = Stepper(make_vector(env_id, num_envs, EnvironmentConfig(horizon=horizon)))
    seen, alive, total = stepper.reset(11), np.ones(num_envs, dtype=bool), np.zeros(num_envs)
    while alive.any():
        step = stepper.step(rule.act(seen))
        total += step.reward * alive
        alive &= ~(step.terminated | step.truncated)
        seen = step.observation
    stepper.close()
    return total


def test_simulated_best_reorder_point_is_the_optimum_of_dynamic_programming():
    reorder, target, cost = optimal(CLASSIC, largest=60)
    simulator = InventorySimulator(CLASSIC)
    found = rules_inventory.fit(simulator, 60, seed=0)[1]
    exact = ReorderPoint(reorder, target, CLASSIC)
    played = [-mean_rewards(simulator, rule.act, 1, 400, 300, seed=5).mean() for rule in (exact, found)]
    assert played[0] == pytest.approx(cost, rel=0.02)
    assert played[1] == pytest.approx(cost, rel=0.03)


def test_rules_that_know_more_cost_less_on_seeds_that_they_were_not_fitted_on():
    simulator = InventorySimulator(InventorySettings())
    cost = {
        rule.name: -mean_rewards(simulator, rule.act, 1, 150, 60, seed=99).mean()
        for rule in fitted(INVENTORY)
    }
    assert list(cost) == ["random", "order_up_to", "reorder_point", "forecast_cover", "forecast_cover_by_age"]
    assert sorted(cost.values(), reverse=True) == list(cost.values())


def test_rules_of_maintenance_beat_waiting_for_the_failure():
    rules = fitted(MAINTENANCE)
    assert [rule.name for rule in rules[:4]] == [
        "random",
        "run_to_failure",
        "fixed_interval",
        "condition_limit",
    ]
    gained = [returns(MAINTENANCE, rule, 150).mean() for rule in rules]
    assert gained[0] < gained[1] < gained[2] < gained[3]


@pytest.mark.parametrize("env_id", [INVENTORY, MAINTENANCE])
def test_fitting_again_with_the_same_seed_gives_the_same_numbers(env_id):
    again = fit_rules(env_id, CONFIG, seed=0)
    assert [rule.describe() for rule in again] == [rule.describe() for rule in fitted(env_id)]


@pytest.mark.parametrize("env_id", [INVENTORY, MAINTENANCE])
def test_rules_act_on_each_observation_alone_and_only_as_the_environment_allows(env_id):
    stepper = Stepper(make_vector(env_id, 16, CONFIG))
    stepper.reset(1)
    seen = [stepper.step(np.zeros(16, dtype=np.int64)).observation for _ in range(20)][-1]
    for rule in fitted(env_id)[1:]:
        actions = rule.act(seen)
        assert (actions >= 0).all()
        assert (actions < stepper.num_actions).all()
        assert actions.tolist() == [rule.act(seen[row : row + 1])[0] for row in range(16)]


def test_units_that_expire_before_the_next_delivery_do_not_count():
    settings = InventorySettings(lead_time_days=2, shelf_life_days=3, lot_units=1, max_lots=200)
    # 20 units expire tonight, of which 6 will be sold; 5 of the next day's and the 6 under way will be sold
    seen = np.array([[20, 5, 0, 6, 6, 6, 6, 6]], dtype=np.float32)
    counted, by_age = (ForecastCover(10.0, 3.0, settings, flag).act(seen)[0] for flag in (False, True))
    assert counted == np.ceil(3 * 18 - 31)
    assert by_age - counted == 14


def test_order_is_rounded_up_to_whole_lots_and_cut_at_the_most():
    settings = InventorySettings(lead_time_days=0, shelf_life_days=1, lot_units=6, max_lots=3)
    rule = ReorderPoint(reorder=10, target=13, settings=settings)
    seen = np.array([[11], [10], [7], [0]], dtype=np.float32)
    assert rule.act(seen).tolist() == [0, 1, 1, 3]
    assert ReorderPoint(10, 40, settings).act(seen).tolist() == [0, 3, 3, 3]


def test_search_finds_the_best_of_the_grid_and_then_between_its_points():
    class Peak:
        num_draws = 1

        def first(self, draws):
            return draws

        def observe(self, state):
            return state

        def after(self, state, action, draws):
            return Outcome(state, -np.square(action - 4.3), np.zeros((len(state), 1)))

    (found,) = best(Peak(), lambda value: lambda _: value, [np.linspace(0, 10, 11)], 1, 0)
    assert found == pytest.approx(4.3, abs=0.2)


def test_random_rule_repeats_itself_by_seed_and_uses_every_action():
    seen = np.zeros((300, 4))
    one, two, other = (RandomRule(3, seed).act(seen) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    assert set(one) == {0, 1, 2}


@pytest.mark.parametrize(
    ("env_id", "num_envs", "least"),
    [("CartPole-v1", 100, 475.0), ("MountainCar-v0", 5, -150.0), ("LunarLander-v3", 4, 150.0)],
)
def test_heuristic_of_a_known_environment_does_what_it_is_known_for(env_id, num_envs, least):
    rules = fit_rules(env_id, EnvironmentConfig(), seed=0)
    assert [rule.name for rule in rules] == ["random", rules[-1].name]
    assert returns(env_id, rules[-1], num_envs).mean() >= least


def test_environment_without_a_known_rule_has_the_random_one():
    assert [rule.name for rule in fit_rules("Acrobot-v1", EnvironmentConfig(), seed=0)] == ["random"]


def test_rules_say_the_numbers_that_they_act_by():
    order_up_to, reorder_point = fitted(INVENTORY)[1:3]
    assert f"up to {order_up_to.target:.0f} units" in order_up_to.describe()
    assert f"below {reorder_point.reorder:.0f} units" in reorder_point.describe()
    assert reorder_point.reorder == int(reorder_point.reorder)
