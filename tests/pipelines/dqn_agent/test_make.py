"""Environments by id, and one meaning of the end of an episode whatever the mode."""

from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.make import Stepper, make_one, make_vector, require_spaces, seeds_of
from shared.errors import RequestError

LIMIT, NUM_ENVS = 20, 3
CONFIG = EnvironmentConfig(horizon=LIMIT)


def sync(mode: AutoresetMode) -> Stepper:
    return Stepper(SyncVectorEnv([lambda: make_one("CartPole-v1", CONFIG)] * NUM_ENVS, autoreset_mode=mode))


@settings(max_examples=15, deadline=None)
@given(
    mode=st.sampled_from([AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]),
    seed=st.integers(0, 2**31 - 1),
    lean=st.floats(0, 1),
)
def test_every_valid_step_is_the_step_of_the_scalar_environment(mode, seed, lean):
    """Random actions end episodes by themselves, actions that follow the pole (`lean` of 1) run into the limit."""
    stepper, generator = sync(mode), np.random.default_rng(seed)
    seen = stepper.reset(seed)
    alone = [make_one("CartPole-v1", CONFIG) for _ in range(NUM_ENVS)]
    here = [env.reset(seed=each)[0] for env, each in zip(alone, seeds_of(seed, NUM_ENVS), strict=True)]
    for _ in range(60):
        np.testing.assert_array_equal(seen, here)
        follow = (seen[:, 2] + 0.3 * seen[:, 3] > 0).astype(np.int64)
        actions = np.where(generator.random(NUM_ENVS) < lean, follow, generator.integers(2, size=NUM_ENVS))
        step = stepper.step(actions)
        for number, env in enumerate(alone):
            if not step.valid[number]:
                here[number] = env.reset()[0]
                assert step.reward[number] == 0
                assert not step.terminated[number]
                assert not step.truncated[number]
                continue
            final, reward, terminated, truncated, _ = env.step(actions[number])
            np.testing.assert_array_equal(step.final_observation[number], final)
            assert step.reward[number] == reward
            assert step.terminated[number] == terminated
            assert step.truncated[number] == (truncated and not terminated)
            starts_anew = mode is AutoresetMode.SAME_STEP and (terminated or truncated)
            here[number] = env.reset()[0] if starts_anew else final
        seen = step.observation


@pytest.mark.parametrize(
    "make", [lambda: sync(AutoresetMode.NEXT_STEP), lambda: sync(AutoresetMode.SAME_STEP)]
)
def test_time_limit_truncates_and_does_not_terminate(make):
    stepper = make()
    seen, ends, num_valid = stepper.reset(0), [], 0
    for _ in range(2 * LIMIT + 1):
        step = stepper.step((seen[:, 2] + 0.3 * seen[:, 3] > 0).astype(np.int64))
        seen = step.observation
        num_valid += int(step.valid[0])
        assert not step.terminated.any()
        if step.truncated[0]:
            ends.append(num_valid)
    assert ends == [LIMIT, 2 * LIMIT]


def test_vectorised_form_is_used_where_there_is_one_and_says_how_it_begins_anew():
    assert isinstance(make_vector("MountainCar-v0", 2, CONFIG), SyncVectorEnv)
    cartpole = make_vector("CartPole-v1", 4, CONFIG)
    assert not isinstance(cartpole, SyncVectorEnv)
    stepper = Stepper(cartpole)
    assert stepper.horizon == LIMIT
    stepper.reset(0)
    steps = [stepper.step(np.zeros(4, dtype=np.int64)) for _ in range(40)]
    for before, step in pairwise(steps):
        np.testing.assert_array_equal(step.valid, ~(before.terminated | before.truncated))


def test_costs_of_the_last_step_are_those_of_the_episode_that_ended():
    config = EnvironmentConfig(horizon=3, parameters={"max_lots": 4})
    terms = ("ordering", "lost_sales")
    stepper = Stepper(make_vector(INVENTORY, 2, config), terms)
    stepper.reset(0)
    steps = [stepper.step(np.ones(2, dtype=np.int64)) for _ in range(6)]
    assert [step.truncated.tolist() for step in steps] == [[number % 3 == 2] * 2 for number in range(6)]
    assert all((step.costs[:, 0] == 15).all() for step in steps)
    assert stepper.seen_terms == set(terms)


def test_scalar_costs_of_the_last_step_are_found_in_the_final_info():
    stepper = Stepper(
        SyncVectorEnv(
            [lambda: make_one(INVENTORY, EnvironmentConfig(horizon=2))] * 2,
            autoreset_mode=AutoresetMode.SAME_STEP,
        ),
        ("ordering",),
    )
    stepper.reset(0)
    assert [stepper.step(np.array([1, 0])).costs[:, 0].tolist() for _ in range(4)] == [[15, 0]] * 4


def test_atari_gives_single_grey_frames_and_is_cut_by_the_horizon():
    stepper = Stepper(make_vector("ALE/Pong-v5", 2, EnvironmentConfig(horizon=5)))
    first = stepper.reset(3)
    assert stepper.shape == (1, 84, 84)
    assert (first.shape, first.dtype, stepper.horizon) == ((2, 1, 84, 84), np.uint8, 5)
    np.testing.assert_array_equal(first, stepper.reset(3))
    steps = [stepper.step(np.array([2, 3])) for _ in range(6)]
    cut = [step.truncated.any() for step in steps]
    assert cut.count(True) == 1
    assert not any(step.terminated.any() for step in steps)
    end = steps[cut.index(True)]
    assert (end.final_observation != end.observation).any()
    stepper.close()


class Silent(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A vectorised form that does not say how it begins anew."""


def test_vectorised_form_that_hides_its_mode_is_not_used_even_after_atari():
    spec = gymnasium.spec("CartPole-v1")
    make_vector("ALE/Pong-v5", 1, CONFIG).close()
    gymnasium.register("Silent-v0", entry_point=spec.entry_point, vector_entry_point=Silent)
    assert isinstance(make_vector("Silent-v0", 2, EnvironmentConfig()), SyncVectorEnv)
    gymnasium.registry.pop("Silent-v0")


def test_frames_of_earlier_steps_are_not_overwritten():
    stepper = Stepper(make_vector("ALE/Pong-v5", 1, EnvironmentConfig()))
    first = stepper.reset(0)
    kept = first.copy()
    for _ in range(3):
        stepper.step(np.array([2]))
    np.testing.assert_array_equal(first, kept)
    stepper.close()


class Picture(gymnasium.Env[np.ndarray, Any]):
    """Colours last, and actions that do not begin at 0."""

    observation_space = Box(0, 255, (48, 40, 3), dtype=np.uint8)
    action_space = Discrete(3, start=5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._frame(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        return self._frame(), float(action), False, False, {}

    def _frame(self) -> np.ndarray:
        frame = np.zeros((48, 40, 3), dtype=np.uint8)
        frame[..., 2] = 7
        return frame


def test_channels_come_first_and_actions_count_from_0():
    stepper = Stepper(SyncVectorEnv([Picture] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    assert (stepper.shape, stepper.num_actions) == ((3, 48, 40), 3)
    assert (stepper.reset(0)[:, 2] == 7).all()
    assert stepper.step(np.array([0, 2])).reward.tolist() == [5, 7]


@pytest.mark.parametrize(
    ("env_id", "received"),
    [
        ("Pendulum-v1", r"Received actions of Box\("),
        ("FrozenLake-v1", "Received observations of Discrete"),
        ("Blackjack-v1", "Received observations of Tuple"),
    ],
)
def test_spaces_that_no_agent_here_can_use_are_refused_with_those_that_one_can(env_id, received):
    with pytest.raises(RequestError, match=f"Supported are discrete actions.*{received}"):
        make_vector(env_id, 1, EnvironmentConfig())


@pytest.mark.parametrize(
    ("space", "received"),
    [
        (gymnasium.spaces.Dict({"x": Box(0, 1)}), "Dict"),
        (Box(0, 1, (84, 84), dtype=np.float32), r"shape \(84, 84\), float32"),
        (Box(0, 255, (20, 84, 3), dtype=np.uint8), "20 x 84"),
        (Box(0, 255, (2, 3, 84, 84), dtype=np.uint8), r"\(2, 3, 84, 84\)"),
    ],
    ids=["dict", "float_image", "too_small", "four_axes"],
)
def test_observations_that_no_network_here_reads_are_refused(space, received):
    with pytest.raises(RequestError, match=received):
        require_spaces("Own-v0", space, Discrete(2))


@pytest.mark.parametrize(
    ("env_id", "parameters", "message"),
    [
        ("CartPol-v1", {}, "Did you mean CartPole-v"),
        ("os:system-v0", {}, "environment.module"),
        ("CartPole-v1", {"gravity": 2}, "gravity"),
        (INVENTORY, {"lead_time_days": -1}, "lead_time_days"),
        (INVENTORY, {"shelf_live_days": 3}, "shelf_live_days"),
    ],
    ids=["unknown", "with_module", "unknown_parameter", "wrong_value", "misspelt"],
)
def test_wrong_requests_say_what_to_change(env_id, parameters, message):
    with pytest.raises(RequestError, match=message):
        make_vector(env_id, 1, EnvironmentConfig(parameters=parameters))


def test_neighbouring_seeds_share_no_environment():
    assert not set(seeds_of(0, 64)) & set(seeds_of(1, 64))


def test_environments_that_do_not_begin_anew_are_refused():
    env = SyncVectorEnv([lambda: make_one("CartPole-v1", CONFIG)], autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(RequestError, match="NEXT_STEP or SAME_STEP"):
        Stepper(env)
