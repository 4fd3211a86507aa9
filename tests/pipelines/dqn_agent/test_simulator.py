"""The vectorised form of an environment is the scalar one, many times."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from pipelines.dqn_agent.environments.inventory import InventoryEnv, InventoryVectorEnv
from pipelines.dqn_agent.environments.maintenance import MaintenanceEnv, MaintenanceVectorEnv

NUM_ENVS, HORIZON, NUM_STEPS = 5, 7, 30
PAIRS = {
    "inventory": (InventoryEnv, InventoryVectorEnv),
    "maintenance": (MaintenanceEnv, MaintenanceVectorEnv),
}


class Recorded:
    """Random numbers as a generator gives them, kept; `row` plays those of one world again."""

    def __init__(self, seed: int) -> None:
        self.generator, self.kept = np.random.default_rng(seed), []

    def random(self, shape: tuple[int, int]) -> np.ndarray:
        self.kept.append(self.generator.random(shape))
        return self.kept[-1]


class Row:
    def __init__(self, kept: list[np.ndarray], number: int) -> None:
        self.rows = iter([draws[number : number + 1] for draws in kept])

    def random(self, shape: tuple[int, int]) -> np.ndarray:
        row = next(self.rows)
        assert row.shape == shape
        return row


def played(name: str, mode: AutoresetMode) -> tuple[list[tuple[Any, ...]], np.ndarray, Recorded]:
    env = PAIRS[name][1](NUM_ENVS, HORIZON, mode)
    recorded = Recorded(3)
    env.np_random = recorded
    steps: list[tuple[Any, ...]] = [(env.reset()[0],)]
    actions = np.random.default_rng(4).integers(env.single_action_space.n, size=(NUM_STEPS, NUM_ENVS))
    steps += [env.step(row) for row in actions]
    return steps, actions, recorded


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("number", [0, NUM_ENVS - 1])
def test_each_world_of_many_is_the_one_that_the_scalar_environment_steps(name, number):
    """With NEXT_STEP every step draws once, whether it goes on or begins anew: as the scalar environment does."""
    steps, actions, recorded = played(name, AutoresetMode.NEXT_STEP)
    env = PAIRS[name][0]()
    env.np_random = Row(recorded.kept, number)
    np.testing.assert_array_equal(env.reset()[0], steps[0][0][number])
    lived = 0
    for row, (seen, reward, terminated, truncated, info) in zip(actions[:, number], steps[1:], strict=True):
        if lived == HORIZON:
            np.testing.assert_array_equal(env.reset()[0], seen[number])
            assert reward[number] == 0
            lived = 0
            continue
        expected, gained, _, _, costs = env.step(row)
        lived += 1
        np.testing.assert_array_equal(expected, seen[number])
        assert gained == reward[number]
        assert costs == {term: info[term][number] for term in costs}
        assert truncated[number] == (lived == HORIZON)
        assert not terminated[number]


@pytest.mark.parametrize("name", PAIRS)
def test_with_same_step_an_end_gives_the_final_observation_and_the_first_of_the_next_episode(name):
    steps, actions, recorded = played(name, AutoresetMode.SAME_STEP)
    env = PAIRS[name][0]()
    env.np_random = Row(recorded.kept, 1)
    env.reset()
    for lived, (row, (seen, reward, _, truncated, info)) in enumerate(
        zip(actions[:, 1], steps[1:], strict=True), start=1
    ):
        expected, gained, *_ = env.step(row)
        assert gained == reward[1]
        if truncated[1]:
            assert lived % HORIZON == 0
            np.testing.assert_array_equal(info["final_obs"][1], expected)
            np.testing.assert_array_equal(seen[1], env.reset()[0])
        else:
            np.testing.assert_array_equal(seen[1], expected)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("error")
def test_environment_passes_the_checker_of_gymnasium_without_a_warning(name):
    check_env(PAIRS[name][0](), skip_render_check=True)


@pytest.mark.parametrize("name", PAIRS)
def test_observations_stay_inside_their_space(name):
    steps, _, _ = played(name, AutoresetMode.NEXT_STEP)
    env = PAIRS[name][1](NUM_ENVS, HORIZON)
    assert all(step[0] in env.observation_space for step in steps)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=["next", "same"])
def test_restored_snapshot_goes_on_as_if_nothing_had_happened(name, mode):
    env, other = (PAIRS[name][1](NUM_ENVS, HORIZON, mode) for _ in range(2))
    env.reset(seed=1)
    other.reset(seed=2)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(12, NUM_ENVS))
    for row in actions:
        env.step(row)
    restored = other.restore(env.snapshot())
    np.testing.assert_array_equal(restored, env.restore(env.snapshot()))
    for row in actions:
        for one, two in zip(env.step(row)[:4], other.step(row)[:4], strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", PAIRS)
def test_actions_beyond_the_last_one_are_refused(name):
    env = PAIRS[name][1](2, HORIZON)
    env.reset(seed=0)
    with pytest.raises(AssertionError, match="actions beyond"):
        env.step(np.array([0, env.single_action_space.n]))
