"""A simulator that steps many worlds at once, as an environment of Gymnasium and as a vectorised one.

Both call the same simulator, and every chance is a number from 0 to 1 that is handed in: the same numbers make the
same world, alone or among thousands, and rules are compared on the same luck.

Shapes: N worlds, W numbers of a state, D draws of a step, F features, C cost terms.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from pipelines.dqn_agent.cards import Feature


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a step led to. state: float64 (N, W). income: (N,) and costs: (N, C), in the unit of the reward."""

    state: np.ndarray
    income: np.ndarray
    costs: np.ndarray

    @property
    def reward(self) -> np.ndarray:
        """Income less all costs, float64 (N,)."""
        reward: np.ndarray = self.income - self.costs.sum(1)
        return reward


class Simulator(Protocol):
    """N worlds in a matrix, none of which ever touches another."""

    features: tuple[Feature, ...]
    actions: tuple[str, ...]
    cost_terms: tuple[str, ...]
    reward_unit: str
    num_draws: int

    def first(self, draws: np.ndarray) -> np.ndarray:
        """States that episodes begin with, (N, D) -> (N, W)."""

    def after(self, state: np.ndarray, action: np.ndarray, draws: np.ndarray) -> Outcome:
        """One step; the state that is given stays as it is."""

    def observe(self, state: np.ndarray) -> np.ndarray:
        """What the planner sees, float32 (N, F)."""


class SimulatedEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One world. It never ends by itself: the time limit truncates it. `info` has each cost term of the step."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.observation_space = _observation_space(simulator)
        self.action_space = Discrete(len(simulator.actions))
        self._state = np.zeros((1, 0))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new world; with a seed, always the same one."""
        super().reset(seed=seed)
        self._state = self.simulator.first(self._draws())
        return self.simulator.observe(self._state)[0], {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of the world."""
        assert self.action_space.contains(action), f"action {action!r} of {len(self.simulator.actions)}"
        outcome = self.simulator.after(self._state, np.array([action]), self._draws())
        self._state = outcome.state
        info = dict(zip(self.simulator.cost_terms, outcome.costs[0].tolist(), strict=True))
        return self.simulator.observe(self._state)[0], float(outcome.reward[0]), False, False, info

    def _draws(self) -> np.ndarray:
        return self.np_random.random((1, self.simulator.num_draws))


class SimulatedVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N worlds at once, truncated after `max_episode_steps`. Like any vectorised environment of Gymnasium: with
    NEXT_STEP the step after an end begins anew and ignores its action, with SAME_STEP the ending step does, and
    `info["final_obs"]` and `info["final_info"]` have what it ended with."""

    def __init__(
        self,
        simulator: Simulator,
        num_envs: int,
        max_episode_steps: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        mode = AutoresetMode(autoreset_mode)
        if mode is AutoresetMode.DISABLED:
            raise ValueError("Expected autoreset_mode NEXT_STEP or SAME_STEP. Received DISABLED.")
        self.simulator, self.num_envs, self.max_episode_steps = simulator, num_envs, max_episode_steps
        self.autoreset_mode = mode
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self.single_observation_space = _observation_space(simulator)
        self.single_action_space = Discrete(len(simulator.actions))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state = np.zeros((num_envs, 0))
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New worlds; with a seed, always the same ones."""
        super().reset(seed=seed)
        self._state = self.simulator.first(self._draws())
        self._steps[:], self._ended[:] = 0, False
        return self.simulator.observe(self._state), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of all worlds."""
        num_actions = len(self.simulator.actions)
        assert ((actions >= 0) & (actions < num_actions)).all(), f"actions beyond {num_actions}"
        draws = self._draws()
        outcome = self.simulator.after(self._state, actions, draws)
        reward, costs = outcome.reward, outcome.costs
        self._state = outcome.state
        self._steps += 1
        if self._ended.any():
            self._begin(self._ended, draws)
            reward[self._ended], costs[self._ended] = 0.0, 0.0
        truncated = self._steps >= self.max_episode_steps
        info: dict[str, Any] = dict(zip(self.simulator.cost_terms, costs.T, strict=True))
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            self._ended = truncated
        elif truncated.any():
            final = self.simulator.observe(self._state)
            info |= {"final_obs": final, "_final_obs": truncated, "final_info": dict(info)}
            self._begin(truncated, self._draws())
        return self.simulator.observe(self._state), reward, np.zeros_like(truncated), truncated, info

    def snapshot(self) -> dict[str, Any]:
        """Everything that the next steps depend on, as arrays and plain values."""
        return {
            "state": self._state.copy(),
            "steps": self._steps.copy(),
            "ended": self._ended.copy(),
            "random": self.np_random.bit_generator.state,
        }

    def restore(self, snapshot: dict[str, Any]) -> np.ndarray:
        """Go on from a snapshot, step by step the same. Returns the observations at that point."""
        self._state = snapshot["state"].copy()
        self._steps, self._ended = snapshot["steps"].copy(), snapshot["ended"].copy()
        self.np_random.bit_generator.state = snapshot["random"]
        return self.simulator.observe(self._state)

    def _begin(self, which: np.ndarray, draws: np.ndarray) -> None:
        self._state[which] = self.simulator.first(draws[which])
        self._steps[which] = 0

    def _draws(self) -> np.ndarray:
        return self.np_random.random((self.num_envs, self.simulator.num_draws))


def _observation_space(simulator: Simulator) -> Box:
    low = [-np.inf if feature.low is None else feature.low for feature in simulator.features]
    high = [np.inf if feature.high is None else feature.high for feature in simulator.features]
    return Box(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32), dtype=np.float32)
