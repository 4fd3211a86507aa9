"""What an action leads to can be tried out in our simulators, and explanations are held against it."""

import numpy as np
import pytest

from pipelines.dqn_agent.environments.inventory import InventorySettings, InventorySimulator
from pipelines.dqn_agent.environments.maintenance import (
    OVERHAUL,
    RUN,
    STANDING,
    WEAR,
    MaintenanceSettings,
    MaintenanceSimulator,
)
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.explainer import Explainer
from pipelines.dqn_agent.truth import _tried_out, _visited, against_truth


@pytest.fixture(scope="module")
def maintenance(random_policy) -> Explainer:
    return Explainer.of(random_policy(MAINTENANCE)[0])


@pytest.fixture(scope="module")
def inventory(random_policy) -> Explainer:
    return Explainer.of(random_policy(INVENTORY)[0])


def test_the_same_action_makes_no_difference(inventory):
    simulator, random = InventorySimulator(InventorySettings()), np.random.default_rng(0)
    states = _visited(inventory, simulator, random)
    assert not _tried_out(inventory, simulator, states, (3, 3), 4, 20, random).any()


def test_an_overhaul_pays_on_a_machine_about_to_fail_and_not_on_a_new_one(maintenance):
    simulator, random = MaintenanceSimulator(MaintenanceSettings()), np.random.default_rng(0)
    states = simulator.first(random.random((20, simulator.num_draws)))
    worn = states.copy()
    worn[:, WEAR] = 0.97
    for machines, sign in ((states, -1), (worn, 1)):
        gain = _tried_out(maintenance, simulator, machines, (OVERHAUL, RUN), 16, 30, random)
        assert np.sign(gain.mean()) == sign


def test_states_that_are_tried_out_are_of_machines_that_run(maintenance):
    simulator = MaintenanceSimulator(MaintenanceSettings())
    assert (_visited(maintenance, simulator, np.random.default_rng(0))[:, STANDING] == 0).all()


def test_stock_that_is_changed_in_the_world_is_held_against_its_contributions(inventory):
    document = against_truth(inventory, InventorySimulator(InventorySettings()), (5, 0), seed=0)
    assert document["pair"] == ["order 5 lots", "order 0 lots"]
    assert document["wear"] is None
    assert document["changes"]["features"] == 5
    for found in (document["changes"]["spearman"], document["advantage"]["spearman"]):
        assert -1 <= found["low"] <= found["high"] <= 1


def test_contributions_that_follow_the_wear_are_found_to_do_so(linear_scorer, random_policy):
    _, seen = random_policy(MAINTENANCE)
    scorer, _ = random_policy(MAINTENANCE)
    # overhauls by the trend of the vibration alone
    slopes = np.zeros((3, 7))
    slopes[OVERHAUL, 2] = 1.0
    linear = linear_scorer(scorer.card, slopes, seen, [0.0, -9.0, -2.0])
    document = against_truth(
        Explainer.of(linear), MaintenanceSimulator(MaintenanceSettings()), (OVERHAUL, RUN), seed=0
    )
    assert document["changes"] is None
    assert document["wear"]["features"]["vibration_trend"]["value"] > 0.6
    assert document["wear"]["features"]["load"]["value"] == 0


def test_the_same_seed_tries_out_the_same(maintenance):
    simulator = MaintenanceSimulator(MaintenanceSettings())
    first, again = (
        _tried_out(
            maintenance, simulator, _visited(maintenance, simulator, random), (OVERHAUL, RUN), 2, 5, random
        )
        for random in (np.random.default_rng(3), np.random.default_rng(3))
    )
    np.testing.assert_array_equal(first, again)


def test_of_other_simulators_nobody_knows_the_truth(maintenance):
    assert against_truth(maintenance, object(), (0, 1), seed=0) is None
