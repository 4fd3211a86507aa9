"""What was lived through: n-step transitions of many seeds in tensors that are allocated once.

Each seed has a ring of its own. Transitions come in as they end, with the return of their n steps and the discount
of what follows: 0 after a termination, and the usual one after a truncation, which ends an episode and not the world.
Prioritised sampling (Schaul et al. 2016) draws in proportion to the last error, in strata, by cumulative sums.

Shapes: S seeds, N transitions added of each seed, B drawn of each.
"""

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

_SMALLEST_PRIORITY = 1e-3


@dataclass(frozen=True, slots=True)
class Drawn:
    """A batch of each seed. observation, next_observation: (S, B, ...). action: int64, reward: sum of n discounted
    rewards, discount: of what follows, place: in the ring, all (S, B). weight: of the loss; None: all weigh 1."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    discount: Tensor
    weight: Tensor | None
    place: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One step of all environments. E environments of each of S seeds.

    observation: what was acted on, (S, E, ...). final: where the step led to, before any reset. action: int64, reward:
    float32, terminated, truncated, valid: bool, as in `Step`; all (S, E). begins: `observation` is the first of an
    episode.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    final: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray
    begins: np.ndarray


class Memory(Protocol):
    """What an agent learns from."""

    def push(self, moment: Moment) -> None:
        """Remember a step."""

    def draw(self, uniform: np.ndarray, weight_power: float = 0.0) -> Drawn:
        """A batch of each seed. uniform: float32 (S, B), at least 0 and below 1, that decides which transitions."""

    def learnt(self, drawn: Drawn, error: Tensor) -> None:
        """How far the network was off, (S, B): what is drawn more often from now on."""

    def state(self) -> dict[str, Any]:
        """All content, as tensors and plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""

    def forget_open(self) -> None:
        """The environments begin anew: what is not complete never will be."""


class Priorities:
    """How often each place of the rings is to be drawn. power: 0 draws all alike."""

    def __init__(self, num_seeds: int, capacity: int, power: float, device: torch.device | str) -> None:
        self.power = power
        self.values = torch.zeros(num_seeds, capacity, device=device)
        self.largest = torch.ones(num_seeds, 1, device=device)
        self._seeds = torch.arange(num_seeds, device=device)[:, None]

    def draw(self, uniform: Tensor, sizes: Tensor, weight_power: float) -> tuple[Tensor, Tensor]:
        """Places and weights of the loss, (S, B). sizes: places in use, (S, 1)."""
        sums = self.values[:, : int(sizes.max())].cumsum(1)
        total, num_strata = sums[:, -1:], uniform.shape[1]
        strata = (torch.arange(num_strata, device=sums.device) + uniform) / num_strata
        place = torch.minimum(torch.searchsorted(sums, strata * total), sizes - 1)
        share = self.values[self._seeds, place] / total
        weight = (share * sizes).pow(-weight_power)
        return place, weight / weight.amax(1, keepdim=True)

    def learnt(self, place: Tensor, error: Tensor) -> None:
        """New errors of some places, (S, B)."""
        found = (error.abs() + _SMALLEST_PRIORITY).pow(self.power)
        self.values[self._seeds, place] = found
        self.largest = torch.maximum(self.largest, found.amax(1, keepdim=True))

    def state(self) -> dict[str, Tensor]:
        """All content."""
        return {"values": self.values, "largest": self.largest}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.values.copy_(state["values"])
        self.largest.copy_(state["largest"])


class Replay:
    """Rings of `capacity` transitions of features for each seed.

    num_steps: rewards that a transition sums. priority_power: 0 draws all alike. Content lies on the CPU, where small
    networks learn fastest.
    """

    def __init__(
        self,
        num_seeds: int,
        capacity: int,
        shape: tuple[int, ...],
        *,
        num_steps: int = 1,
        discount: float,
        priority_power: float = 0.0,
    ) -> None:
        (self.num_features,) = shape
        self.num_seeds, self.capacity = num_seeds, capacity
        # a transition is one row, so that a batch is one gather: observation, next observation, reward, discount
        self._numbers = torch.zeros(num_seeds * capacity, 2 * self.num_features + 2)
        self._actions = torch.zeros(num_seeds * capacity, dtype=torch.int64)
        # the same memory: small writes cost numpy a fraction of what they cost torch
        self._number_array, self._action_array = self._numbers.numpy(), self._actions.numpy()
        self.added = np.zeros(num_seeds, dtype=np.int64)
        self.priorities = Priorities(num_seeds, capacity, priority_power, "cpu") if priority_power else None
        self._first = np.arange(num_seeds)[:, None] * capacity
        self._open = OpenSteps(num_steps, discount)

    @property
    def sizes(self) -> np.ndarray:
        """Transitions in each ring, int64 (S,)."""
        return np.minimum(self.added, self.capacity)

    def push(self, moment: Moment) -> None:
        """Remember the transitions that a step completes."""
        for closed in self._open.push(moment):
            self.add(*closed)

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        next_observation: np.ndarray,
        discount: np.ndarray,
        valid: np.ndarray,
    ) -> None:
        """Put in those transitions of each seed, (S, N, ...), that are valid, bool (S, N)."""
        seed, column = valid.nonzero()
        order = valid.cumsum(1)[seed, column] - 1
        place = (self.added[seed] + order) % self.capacity
        flat = seed * self.capacity + place
        num = self.num_features
        self._number_array[flat, :num] = observation[seed, column]
        self._number_array[flat, num : 2 * num] = next_observation[seed, column]
        self._number_array[flat, -2] = reward[seed, column]
        self._number_array[flat, -1] = discount[seed, column]
        self._action_array[flat] = action[seed, column]
        if self.priorities is not None:
            at = torch.from_numpy(seed), torch.from_numpy(place)
            self.priorities.values[at] = self.priorities.largest[at[0], 0]
        self.added += valid.sum(1)

    def draw(self, uniform: np.ndarray, weight_power: float = 0.0) -> Drawn:
        """A batch of each seed. uniform: float32 (S, B), at least 0 and below 1, that decides which transitions.

        weight_power: how far weights undo what priorities prefer, 1 is fully.
        """
        sizes, weight = self.sizes[:, None], None
        if self.priorities is None:
            place = evenly(uniform, sizes)
        else:
            drawn, weight = self.priorities.draw(
                torch.from_numpy(uniform), torch.from_numpy(sizes), weight_power
            )
            place = drawn.numpy()
        flat = torch.from_numpy((place + self._first).ravel())
        shape, num = place.shape, self.num_features
        rows = self._numbers.index_select(0, flat).view(*shape, -1)
        return Drawn(
            observation=rows[..., :num],
            action=self._actions.index_select(0, flat).view(shape),
            reward=rows[..., -2],
            next_observation=rows[..., num : 2 * num],
            discount=rows[..., -1],
            weight=weight,
            place=torch.from_numpy(place),
        )

    def learnt(self, drawn: Drawn, error: Tensor) -> None:
        """How far the network was off, (S, B): what is drawn more often from now on."""
        if self.priorities is not None:
            self.priorities.learnt(drawn.place, error)

    def state(self) -> dict[str, Any]:
        """All content, as tensors and plain values."""
        state: dict[str, Any] = {
            "numbers": self._numbers,
            "actions": self._actions,
            "added": torch.from_numpy(self.added),
            "open": self._open.state(),
        }
        return state if self.priorities is None else state | {"priorities": self.priorities.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self._numbers.copy_(state["numbers"])
        self._actions.copy_(state["actions"])
        self.added[:] = state["added"].numpy()
        self._open.restore(state["open"])
        if self.priorities is not None:
            self.priorities.restore(state["priorities"])

    def forget_open(self) -> None:
        """The environments begin anew: what is not complete never will be."""
        self._open.clear()


Transitions = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class OpenSteps:
    """Collects n steps of each environment into one transition.

    Episodes never mix: an episode that ends closes all its open transitions, with fewer steps.
    """

    def __init__(self, num_steps: int, discount: float) -> None:
        self.num_steps, self.discount = num_steps, discount
        # of the latest steps: what was acted on, and whose transition is not closed yet
        self._latest: list[tuple[Moment, np.ndarray]] = []

    def push(self, moment: Moment) -> list[Transitions]:
        """One step of all environments: the transitions that it completes, as `Replay.add` takes them."""
        ended = (moment.terminated | moment.truncated) & moment.valid
        alive = np.where(moment.terminated, np.float32(0), np.float32(1))
        self._latest.append((moment, moment.valid))
        returned = np.zeros_like(moment.reward)
        closed: list[Transitions] = []
        for age, (start, open_) in enumerate(reversed(self._latest), start=1):
            returned = np.where(start.valid, start.reward, 0) + np.float32(self.discount) * returned
            closes = open_ & moment.valid & (ended if age < self.num_steps else True)
            if closes.any():
                later = alive * np.float32(self.discount**age)
                closed.append((start.observation, start.action, returned, moment.final, later, closes))
        kept = self.num_steps - 1
        latest = self._latest[len(self._latest) - kept :] if kept else []
        self._latest = [(start, open_ & moment.valid & ~ended) for start, open_ in latest]
        return closed

    def clear(self) -> None:
        """Drop what is open."""
        self._latest = []

    def state(self) -> list[dict[str, Tensor]]:
        """All content."""
        return [
            {field.name: torch.from_numpy(getattr(moment, field.name)) for field in fields(Moment)}
            | {"open": torch.from_numpy(open_)}
            for moment, open_ in self._latest
        ]

    def restore(self, state: list[dict[str, Tensor]]) -> None:
        """Put back what `state` gave."""
        self._latest = [
            (Moment(**{field.name: one[field.name].numpy() for field in fields(Moment)}), one["open"].numpy())
            for one in state
        ]


def evenly(uniform: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Places from 0 on, int64 (S, B), all with the same chance. sizes: how many there are, (S, 1)."""
    return np.minimum((uniform * sizes).astype(np.int64), sizes - 1)
