"""Whose random numbers are whose: no two of learning, choosing, fitting rules, testing and scoring share a world."""

from enum import IntEnum

import numpy as np

from pipelines.dqn_agent.config import AgentConfig

_FROM = 2**30


class Purpose(IntEnum):
    """What worlds are begun for, beside learning."""

    DEVELOPMENT = 1
    RULES = 2
    TEST = 3
    SCORING = 4
    LOOKING = 5


def seed_of(seed: int, purpose: Purpose, *which: int) -> int:
    """The seed of the worlds of one purpose, from 2**30 on and below 2**31, which is as far as Atari's seeds go.

    which: one of them, where a purpose has several.
    """
    drawn = int(np.random.SeedSequence([seed, purpose, *which]).generate_state(1)[0])
    return _FROM + drawn % _FROM


def are_apart(config: AgentConfig) -> bool:
    """Whether no purpose of a run has the seed of another, learning among them."""
    learning = range(config.seed, config.seed + config.num_seeds)
    others = [seed_of(config.seed, purpose) for purpose in Purpose]
    return len(set(others)) == len(others) and not any(one in learning for one in others)
