"""Challenger and champion are compared in the same worlds, in a unit that fits every environment."""

import numpy as np
import pytest

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.config import AgentConfig, EnvironmentConfig
from pipelines.dqn_agent.held_out import comparable, compare

CARD = Card(id="Own-v0", observation=(Feature(name="wear", unit="1"),), actions=("run", "stop"), horizon=100)
CONFIG = AgentConfig()


def test_difference_is_a_share_of_what_the_champion_gains_over_random():
    random = np.random.default_rng(0).normal(-500, 1, 200)
    champion = random + 400
    found = compare(champion + 4, champion, random, CONFIG)
    assert found["difference"] == pytest.approx(0.01)
    assert found["low"] == pytest.approx(0.01), "the same worlds: nothing but the difference varies"
    assert found["higher_is_better"] is True
    assert found["n"] == 200


def test_champion_no_better_than_random_divides_by_no_zero():
    same = np.full(50, 3.0)
    found = compare(same + 1, same, same, CONFIG)
    assert (found["difference"], found["low"]) == (1, 1)


@pytest.mark.parametrize(
    ("card", "environment", "alike"),
    [
        ({}, {}, True),
        ({"reward_scale": 10.0, "reward_unit": "EUR"}, {"frame_stack": 2, "num_envs": 3}, True),
        ({"id": "Other-v0"}, {}, False),
        ({"horizon": 50}, {"horizon": 50}, False),
        ({"actions": ("run", "stop", "wait")}, {}, False),
        ({}, {"parameters": {"lead_time_days": 3}}, False),
    ],
    ids=["same", "other-words", "other-id", "other-horizon", "other-actions", "other-parameters"],
)
def test_only_policies_of_one_environment_are_compared(card, environment, alike):
    theirs = AgentConfig(environment=EnvironmentConfig(**environment))
    assert comparable(CARD, CONFIG, CARD.model_copy(update=card), theirs) is alike
