"""Episodes of a policy that acts greedily, in environments of its own: training returns are never a result.

Shapes: E episodes, T steps, A actions, C cost terms.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.frames import FrameStack
from pipelines.dqn_agent.make import Step, Stepper, make_vector

Act = Callable[[np.ndarray], np.ndarray]
"""Actions of a batch, (N, ...) -> int64 (N,); frames come stacked, (N, stack * C, H, W)."""
ValuesOf = Callable[[np.ndarray], np.ndarray]
"""Values of all actions, (N, ...) -> float64 (N, A)."""


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """What episodes came to. seed: of their environments. returns: float64 (E,), neither discounted nor clipped.
    lengths: int64 (E,). terminated, truncated: bool (E,). costs: float64 (E, C), summed over the episode."""

    seed: int
    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    costs: np.ndarray

    def to_frame(self, policy: str, card: Card) -> pl.DataFrame:
        """Rows of `agent_episodes`, without stamps."""
        threshold = card.success_threshold
        num = len(self.returns)
        return pl.DataFrame(
            {
                "policy": pl.Series([policy] * num, dtype=pl.String),
                "episode": np.arange(1, num + 1),
                "seed": pl.Series([self.seed] * num, dtype=pl.Int64),
                "return": self.returns,
                "length": self.lengths,
                "success": pl.Series(
                    [None] * num if threshold is None else self.returns >= threshold, dtype=pl.Boolean
                ),
                "terminated": self.terminated,
                "truncated": self.truncated,
                **{f"cost_{term}": self.costs[:, place] for place, term in enumerate(card.cost_terms)},
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One episode, step by step. observations: what was acted on, (T, ...). actions: int64 (T,). rewards: float64 (T,).
    costs: (T, C). values: (T, A), None where nobody said any. frames: RGB, (H, W, 3) of bytes each; empty where the
    environment draws nothing."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    values: np.ndarray | None
    frames: list[np.ndarray]


def play(act: Act, card: Card, config: EnvironmentConfig, num_episodes: int, seed: int) -> Episodes:
    """The first episode in each of so many environments, begun with `seed`: the same worlds for every policy.

    Exactly one episode of each: taking whatever ends first would count short episodes too often.
    """
    stepper = Stepper(make_vector(card.id, num_episodes, config), card.cost_terms)
    try:
        seen = _Seen(stepper, config.frame_stack, seed)
        returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, dtype=np.int64)
        costs = np.zeros((num_episodes, len(card.cost_terms)))
        terminated, truncated = np.zeros(num_episodes, dtype=np.bool_), np.zeros(num_episodes, dtype=np.bool_)
        running = np.ones(num_episodes, dtype=np.bool_)
        while running.any():
            step = seen.step(act(seen.shown))
            returns[running] += step.reward[running]
            lengths[running] += 1
            costs[running] += step.costs[running]
            terminated |= running & step.terminated
            truncated |= running & step.truncated
            running &= ~(step.terminated | step.truncated)
    finally:
        stepper.close()
    return Episodes(seed, returns, lengths, terminated, truncated, costs)


def record(
    act: Act,
    values_of: ValuesOf | None,
    card: Card,
    config: EnvironmentConfig,
    seed: int,
    max_steps: int,
) -> Trace:
    """One episode begun with `seed`, or its first `max_steps`, with pictures where the environment draws any."""
    stepper = Stepper(_drawing(card, config), card.cost_terms)
    seen = _Seen(stepper, config.frame_stack, seed)
    observations: list[np.ndarray] = []
    actions: list[int] = []
    steps: list[Step] = []
    frames: list[np.ndarray] = []
    try:
        for _ in range(max_steps):
            observations.append(seen.shown[0])
            frames += _picture(stepper, seen.shown)
            chosen = act(seen.shown)
            actions.append(int(chosen[0]))
            steps.append(seen.step(chosen))
            if steps[-1].terminated[0] or steps[-1].truncated[0]:
                break
    finally:
        stepper.close()
    stacked = np.stack(observations)
    return Trace(
        observations=stacked,
        actions=np.array(actions, dtype=np.int64),
        rewards=np.array([step.reward[0] for step in steps], dtype=np.float64),
        costs=np.stack([step.costs[0] for step in steps]),
        values=None if values_of is None else values_of(stacked),
        frames=frames,
    )


class _Seen:
    """A stepper, and what a policy sees of it."""

    def __init__(self, stepper: Stepper, frame_stack: int, seed: int) -> None:
        self._stepper = stepper
        self._frames = FrameStack(frame_stack) if len(stepper.shape) == 3 else None
        self.shown = stepper.reset(seed)
        if self._frames is not None:
            self._frames.begin(self.shown)
            self.shown = self._frames.shown

    def step(self, actions: np.ndarray) -> Step:
        step = self._stepper.step(actions)
        self.shown = step.observation
        if self._frames is not None:
            self._frames.push(step.observation, step.begins)
            self.shown = self._frames.shown
        return step


def _drawing(card: Card, config: EnvironmentConfig) -> Any:
    """One environment, that draws itself where it can."""
    env = make_vector(card.id, 1, config)
    if card.image is not None or "rgb_array" not in env.metadata.get("render_modes", ()):
        return env
    env.close()
    # pictures need no screen, and looking for one is said on stderr
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    return make_vector(card.id, 1, config, render_mode="rgb_array")


def _picture(stepper: Stepper, shown: np.ndarray) -> list[np.ndarray]:
    if len(stepper.shape) == 3:
        newest = shown[0, -stepper.shape[0] :]
        return [np.broadcast_to(np.moveaxis(newest, 0, 2), (*newest.shape[1:], 3)).copy()]
    if stepper.env.render_mode != "rgb_array":
        return []
    drawn = stepper.env.render()
    return [] if drawn is None else [np.asarray(drawn[0], dtype=np.uint8)]
