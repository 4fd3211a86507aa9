"""The states that a policy comes to: what explanations compare with, and where its decisions are known."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.dqn_agent.cards import Card

_MOST_STATES, _MOST_FRAMES = 2000, 200
# Observations are rounded when they are written as text.
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Visited:
    """states: some of those visited, float32 (M, F), or uint8 frames (M, channels, height, width).

    low, high: of each feature over all that were visited, float64 (F,); empty for frames.
    """

    states: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray) -> Self:
        """These states alone."""
        assert len(states), "somebody visited something"
        features = states.astype(np.float64) if states.ndim == 2 else np.zeros((1, 0))
        return cls(states, features.min(0), features.max(0))

    def outside(self, observations: np.ndarray) -> np.ndarray:
        """Whether a feature lies beyond all that was visited, bool (N,)."""
        if observations.ndim > 2:
            return np.zeros(len(observations), dtype=np.bool_)
        margin = _TOLERANCE * np.maximum(np.abs(self.low), np.abs(self.high))
        beyond = (observations < self.low - margin) | (observations > self.high + margin)
        return np.asarray(beyond.any(1))

    def joined(self, other: "Visited") -> "Visited":
        """The states of this one, within the limits of both."""
        return Visited(self.states, np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class Recorder:
    """Keeps some of the observations that a policy is asked about; evenly over time, in bounded memory."""

    def __init__(self, card: Card) -> None:
        self._most = _MOST_STATES if card.image is None else _MOST_FRAMES
        self._kept: list[np.ndarray] = []
        self._every, self._calls = 1, 0
        self._limits: tuple[np.ndarray, np.ndarray] | None = None

    def see(self, observations: np.ndarray) -> None:
        """Note a batch, (N, ...)."""
        if observations.ndim == 2:
            low, high = observations.min(0), observations.max(0)
            known = self._limits or (low, high)
            self._limits = np.minimum(known[0], low), np.maximum(known[1], high)
        if self._calls % self._every == 0:
            self._kept.append(observations.copy())
            if len(self._kept) > 2 * self._most:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._calls += 1

    def visited(self) -> Visited:
        """What was seen."""
        assert self._kept, "somebody visited something"
        states = np.concatenate(self._kept)
        chosen = np.linspace(0, len(states) - 1, min(self._most, len(states))).round().astype(np.int64)
        if self._limits is None:
            return Visited(states[chosen], np.zeros(0), np.zeros(0))
        low, high = (limit.astype(np.float64) for limit in self._limits)
        return Visited(states[chosen], low, high)
