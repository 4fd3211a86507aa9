"""Playing: each world once, from its beginning to its end, the same for every policy."""

import numpy as np
import pytest

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.make import make_one, seeds_of
from pipelines.dqn_agent.play import play, record


def _push_left(observations: np.ndarray) -> np.ndarray:
    return np.zeros(len(observations), dtype=np.int64)


def _with_motion(observations: np.ndarray) -> np.ndarray:
    return np.where(observations[:, 1] < 0, 0, 2)


def test_returns_are_those_of_single_environments_stepped_by_hand() -> None:
    config = EnvironmentConfig()
    card = card_of("MountainCar-v0", config)
    found = play(_with_motion, card, config, 4, 11)
    for place, seed in enumerate(seeds_of(11, 4)):
        env = make_one("MountainCar-v0", config)
        observation, _ = env.reset(seed=seed)
        total, length, done = 0.0, 0, False
        while not done:
            action = _with_motion(observation[None])[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, done = total + float(reward), length + 1, terminated or truncated
        assert (found.returns[place], found.lengths[place]) == (total, length)
        assert (found.terminated[place], found.truncated[place]) == (terminated, truncated)


def test_short_episodes_count_once() -> None:
    config = EnvironmentConfig()
    found = play(_push_left, card_of("CartPole-v1", config), config, 30, 5)
    assert np.array_equal(found.returns, found.lengths)
    assert found.terminated.all()
    assert found.lengths.max() < 15


def test_every_policy_meets_the_same_worlds() -> None:
    config = EnvironmentConfig(horizon=20)
    card = card_of(INVENTORY, config)
    first, again = (play(_push_left, card, config, 5, 3) for _ in range(2))
    other = play(_push_left, card, config, 5, 4)
    assert np.array_equal(first.returns, again.returns)
    assert not np.array_equal(first.returns, other.returns)
    assert first.truncated.all()


def test_costs_and_income_make_the_return_of_an_episode() -> None:
    config = EnvironmentConfig(horizon=20)
    card = card_of(INVENTORY, config)
    found = play(_push_left, card, config, 5, 3)
    frame = found.to_frame("nothing", card)
    assert {f"cost_{term}" for term in card.cost_terms} <= set(frame.columns)
    assert frame["episode"].to_list() == [1, 2, 3, 4, 5]
    assert np.allclose(frame["return"], found.returns)
    assert (found.costs.sum(0) > 0).any()


@pytest.mark.parametrize(("env_id", "drawn"), [("CartPole-v1", True), (INVENTORY, False)])
def test_one_episode_is_recorded_step_by_step(env_id: str, drawn: bool) -> None:
    config = EnvironmentConfig(horizon=20)
    card = card_of(env_id, config)
    found = record(_push_left, lambda shown: np.zeros((len(shown), 2)), card, config, 3, 15)
    num = len(found.actions)
    assert num <= 15
    assert found.observations.shape == (num, len(card.observation))
    assert found.values is not None
    assert found.values.shape == (num, 2)
    assert len(found.frames) == (num if drawn else 0)
    assert np.allclose(found.rewards.sum(), play(_push_left, card, config, 1, 3).returns[0]) or num == 15
