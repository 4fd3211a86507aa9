"""Environments by id, stepped together, with one meaning of the end of an episode.

Where an environment has a vectorised form it is used, as CartPole, Atari and our own have; else copies are stepped
one after the other. What is supported: discrete actions, and observations that are a vector of numbers or an image.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from pydantic import ValidationError

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import ATARI, registered
from shared.errors import RequestError
from shared.orchestration.overrides import validation_message

# The convolutions of the network make nothing of smaller frames.
_SMALLEST_FRAME = 36
_MOST_CHANNELS = 4
_SUPPORTED = (
    "Supported are discrete actions, and observations that are a vector of numbers or an image of bytes"
)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of N environments.

    observation: what the next action answers, (N, ...). reward: float32 (N,). terminated: the world ended, no reward
    follows; truncated: only the episode was cut; never both. final_observation: where the step led to, before any
    reset: what a target is computed from. valid: False for the dummy step that begins an episode, which nothing is
    learnt from and which counts as no step. begins: `observation` is the first of an episode. costs: float64 (N, cost
    terms).
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observation: np.ndarray
    valid: np.ndarray
    begins: np.ndarray
    costs: np.ndarray


class Stepper:
    """Steps a vectorised environment of either autoreset mode with one contract, that of `Step`.

    NEXT_STEP: after an end the observation stays the final one for one dummy step, whose action is ignored.
    SAME_STEP: the observation after an end is the first of the next episode. Actions count from 0. Frames come as
    (channels, height, width), single ones: the agent stacks `environment.frame_stack` of them.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], cost_terms: tuple[str, ...] = ()) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise RequestError(
                f"Expected an environment that begins anew by itself, NEXT_STEP or SAME_STEP. Received {mode}."
            )
        self.env, self.cost_terms = env, cost_terms
        self.seen_terms: set[str] = set()
        self.num_envs = env.num_envs
        self.same_step = mode is AutoresetMode.SAME_STEP
        observations, actions = env.single_observation_space, env.single_action_space
        assert isinstance(observations, Box), "spaces were checked"
        assert isinstance(actions, Discrete), "spaces were checked"
        self.num_actions = int(actions.n)
        self._first_action = int(actions.start)
        self._channels_last = _is_channels_last(observations.shape)
        self.shape = self._frames(np.zeros((1, *observations.shape), dtype=np.uint8)).shape[1:]
        self.dtype = np.dtype(np.uint8 if len(self.shape) == 3 else np.float32)
        self.ended = np.zeros(self.num_envs, dtype=np.bool_)

    def reset(self, seed: int) -> np.ndarray:
        """First observations; the same ones for the same seed. Copies of a scalar environment get `seeds_of(seed)`."""
        given: Any = seeds_of(seed, self.num_envs) if isinstance(self.env, SyncVectorEnv) else seed
        observation, _ = self.env.reset(seed=given)
        self.ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._frames(observation)

    def step(self, actions: np.ndarray) -> Step:
        """One step. actions: int64 (N,), from 0."""
        observation, reward, terminated, truncated, info = self.env.step(actions + self._first_action)
        seen = self._frames(observation)
        ended = terminated | truncated
        valid, final = np.ones(self.num_envs, dtype=np.bool_), seen
        if self.same_step:
            if ended.any():
                final = seen.copy()
                final[ended] = self._frames(np.stack(list(info["final_obs"][ended])))
        else:
            valid = ~self.ended
            self.ended = ended
        return Step(
            observation=seen,
            reward=np.asarray(reward, dtype=np.float32),
            terminated=np.asarray(terminated),
            truncated=truncated & ~terminated,
            final_observation=final,
            valid=valid,
            begins=ended if self.same_step else ~valid,
            costs=self._costs(info, ended),
        )

    def close(self) -> None:
        """Free what the environment holds."""
        self.env.close()

    @property
    def horizon(self) -> int | None:
        """Steps after which an episode is truncated; None where nothing says so."""
        spec = self.env.spec
        assert spec is not None, "environments are made from a specification"
        if spec.id.startswith(ATARI):
            return int(spec.kwargs["max_num_frames_per_episode"]) // int(spec.kwargs["frameskip"])
        steps = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
        return None if steps is None else int(steps)

    def _frames(self, observation: np.ndarray) -> np.ndarray:
        if observation.ndim == 2:
            return np.ascontiguousarray(observation, dtype=np.float32)
        if observation.ndim == 3:
            return observation[:, None]
        return np.moveaxis(observation, 3, 1) if self._channels_last else observation

    def _costs(self, info: dict[str, Any], ended: np.ndarray) -> np.ndarray:
        costs = np.zeros((self.num_envs, len(self.cost_terms)))
        last = info.get("final_info", {})
        for column, term in enumerate(self.cost_terms):
            if term in info:
                costs[:, column] = info[term]
            if self.same_step and term in last:
                costs[ended, column] = last[term][ended]
            if term in info or term in last:
                self.seen_terms.add(term)
        return costs


def make_vector(
    env_id: str, num_envs: int, config: EnvironmentConfig, **more: Any
) -> VectorEnv[Any, Any, Any]:
    """Environments of an id, stepped together. more: arguments of the constructor, such as render_mode.

    Atari frames are grey, 84 x 84, the larger of the last two of each four, and single; rewards are not clipped. Raises
    RequestError for an unknown id, for spaces that no agent here can use, and for parameters that the environment
    refuses.
    """
    spec = registered(env_id, config.module)
    kwargs = _parameters(spec, config) | more
    creator = _vector_creator(spec)
    env: VectorEnv[Any, Any, Any]
    try:
        if creator is not None:
            if "autoreset_mode" in _arguments(creator):
                kwargs["autoreset_mode"] = AutoresetMode.SAME_STEP
            env = gymnasium.make_vec(spec, num_envs, vectorization_mode="vector_entry_point", **kwargs)
        else:
            env = gymnasium.make_vec(
                spec,
                num_envs,
                vectorization_mode="sync",
                vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
                disable_env_checker=True,
                **kwargs,
            )
    except Exception as error:
        raise _refused(env_id, error) from error
    require_spaces(env_id, env.single_observation_space, env.single_action_space)
    return env


def make_one(env_id: str, config: EnvironmentConfig, **more: Any) -> gymnasium.Env[Any, Any]:
    """A single environment, with its time limit. more: arguments of its constructor, such as render_mode."""
    spec = registered(env_id, config.module)
    try:
        env = gymnasium.make(spec, **_one_parameters(spec, config), **more)
    except Exception as error:
        raise _refused(env_id, error) from error
    return env


def seeds_of(seed: int, num_envs: int) -> list[int]:
    """Seeds for copies of an environment: spread out, so that neighbouring seeds share no copy."""
    return [int(each) for each in np.random.SeedSequence(seed).generate_state(num_envs)]


def require_spaces(env_id: str, observations: Any, actions: Any) -> None:
    """Raises RequestError for spaces that no agent here can use, naming those that one can."""
    if not isinstance(actions, Discrete):
        raise RequestError(f"{env_id}: {_SUPPORTED}. Received actions of {actions}.")
    if not isinstance(observations, Box):
        raise RequestError(f"{env_id}: {_SUPPORTED}. Received observations of {type(observations).__name__}.")
    shape = observations.shape
    if len(shape) == 1 and shape[0]:
        return
    if len(shape) not in (2, 3) or observations.dtype != np.uint8:
        raise RequestError(
            f"{env_id}: {_SUPPORTED}. Received observations of shape {shape}, {observations.dtype}."
        )
    height, width = shape[:2] if len(shape) == 2 or _is_channels_last(shape) else shape[1:]
    if min(height, width) < _SMALLEST_FRAME:
        raise RequestError(
            f"{env_id}: Expected frames of at least {_SMALLEST_FRAME} x {_SMALLEST_FRAME}. Received {height} x {width}."
        )


def _parameters(spec: EnvSpec, config: EnvironmentConfig) -> dict[str, Any]:
    if not spec.id.startswith(ATARI):
        return _one_parameters(spec, config)
    given = {"stack_num": 1, "reward_clipping": False, **config.parameters}
    if config.horizon is not None:
        given["max_num_frames_per_episode"] = config.horizon * int(
            given.get("frameskip", spec.kwargs["frameskip"])
        )
    return given


def _one_parameters(spec: EnvSpec, config: EnvironmentConfig) -> dict[str, Any]:
    limit = {} if config.horizon is None else {"max_episode_steps": config.horizon}
    return {**config.parameters, **limit}


def _vector_creator(spec: EnvSpec) -> Any:
    """What makes the vectorised form; None where there is none, or where it does not say how it begins anew."""
    entry = spec.vector_entry_point
    if entry is None or spec.additional_wrappers:
        return None
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    metadata = getattr(creator, "metadata", VectorEnv.metadata)
    # ale-py 0.12 writes its own mode into the dictionary of the base class: what is only inherited says nothing.
    says_mode = metadata is not VectorEnv.metadata and "autoreset_mode" in metadata
    return creator if says_mode or "autoreset_mode" in _arguments(creator) else None


def _arguments(creator: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(creator).parameters)


def _is_channels_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] <= _MOST_CHANNELS


def _refused(env_id: str, error: Exception) -> RequestError:
    reason = (
        validation_message(error)
        if isinstance(error, ValidationError)
        else f"{type(error).__name__}: {error}"
    )
    return RequestError(
        f"{env_id}: Expected an environment that can be made. Received: {reason:.300} "
        "Correct environment.parameters, or install what it needs."
    )
