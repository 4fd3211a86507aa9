"""The best numbers of a rule: all candidates are played at once, and all of them on the same luck."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from pipelines.dqn_agent.environments.simulator import Simulator

Act = Callable[[np.ndarray], np.ndarray]
_COARSE_EPISODES, _FINE_EPISODES, _FINE_POINTS = 24, 96, 5


def mean_rewards(
    simulator: Simulator, act: Act, num_candidates: int, num_episodes: int, num_steps: int, seed: int
) -> np.ndarray:
    """Mean reward of a step, float64 (candidates, episodes). Episode e has the same random numbers for all candidates.

    act: is given observations of candidates * episodes worlds, the episodes of a candidate one after the other.
    """
    generator = np.random.default_rng(seed)

    def draws() -> np.ndarray:
        return np.tile(generator.random((num_episodes, simulator.num_draws)), (num_candidates, 1))

    state = simulator.first(draws())
    total = np.zeros(len(state))
    for _ in range(num_steps):
        outcome = simulator.after(state, act(simulator.observe(state)), draws())
        state = outcome.state
        total += outcome.reward
    return total.reshape(num_candidates, num_episodes) / num_steps


def best(
    simulator: Simulator,
    act_of: Callable[..., Act],
    axes: Sequence[np.ndarray],
    num_steps: int,
    seed: int,
    *,
    rising: bool = False,
) -> tuple[float, ...]:
    """The numbers with the highest mean reward: on a grid first, then on a finer one around the best of it.

    act_of: is given one array of shape (worlds,) for each axis. axes: evenly spaced, ascending. rising: each number at
    least the one before.
    """
    found = _best_of(simulator, act_of, axes, _COARSE_EPISODES, num_steps, seed, rising)
    steps = [(axis[1] - axis[0]) * (_FINE_POINTS - 1) / (_FINE_POINTS + 1) for axis in axes]
    finer = [
        np.linspace(value - step, value + step, _FINE_POINTS)
        for value, step in zip(found, steps, strict=True)
    ]
    return _best_of(simulator, act_of, finer, _FINE_EPISODES, num_steps, seed + 1, rising)


def _best_of(
    simulator: Simulator,
    act_of: Callable[..., Act],
    axes: Sequence[np.ndarray],
    num_episodes: int,
    num_steps: int,
    seed: int,
    rising: bool,
) -> tuple[float, ...]:
    grid = np.array(list(product(*axes)))
    if rising:
        grid = grid[(np.diff(grid, axis=1) >= 0).all(1)]
    act = act_of(*np.repeat(grid, num_episodes, axis=0).T)
    rewards = mean_rewards(simulator, act, len(grid), num_episodes, num_steps, seed)
    return tuple(grid[rewards.mean(1).argmax()].tolist())
