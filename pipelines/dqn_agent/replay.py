"""What was lived through: n-step transitions of many seeds in tensors that are allocated once.

Each seed has a ring of its own. Transitions come in as they end, with the return of their n steps and the discount
of what follows: 0 after a termination, and the usual one after a truncation, which ends an episode and not the world.
Prioritised sampling (Schaul et al. 2016) draws in proportion to the last error, in strata, by cumulative sums.

Shapes: S seeds, N transitions added of each seed, B drawn of each.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SMALLEST_PRIORITY = 1e-3


@dataclass(frozen=True, slots=True)
class Drawn:
    """A batch of each seed. observation, next_observation: (S, B, ...). action: int64, reward: sum of n discounted
    rewards, discount: of what follows, weight: of the loss, place: in the ring, all (S, B)."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    discount: Tensor
    weight: Tensor
    place: Tensor


class Replay:
    """Rings of `capacity` transitions for each seed. Observations keep their type: frames stay bytes.

    priority_power: 0 draws all alike.
    """

    def __init__(
        self,
        num_seeds: int,
        capacity: int,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        *,
        priority_power: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        def ring(*inner: int, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(num_seeds, capacity, *inner, dtype=kind, device=device)

        self.capacity, self.priority_power = capacity, priority_power
        self.observation, self.next_observation = ring(*shape, kind=dtype), ring(*shape, kind=dtype)
        self.action, self.reward, self.discount = ring(kind=torch.int64), ring(), ring()
        self.priority = ring() if priority_power else None
        self.largest = torch.ones(num_seeds, 1, device=device)
        self.added = torch.zeros(num_seeds, dtype=torch.int64, device=device)
        self._seeds = torch.arange(num_seeds, device=device)[:, None]

    @property
    def sizes(self) -> Tensor:
        """Transitions in each ring, int64 (S,)."""
        return self.added.clamp(max=self.capacity)

    def add(
        self,
        observation: Tensor,
        action: Tensor,
        reward: Tensor,
        next_observation: Tensor,
        discount: Tensor,
        valid: Tensor,
    ) -> None:
        """Put in those transitions of each seed, (S, N, ...), that are valid, bool (S, N)."""
        seed, column = valid.nonzero(as_tuple=True)
        place = (self.added[seed] + (valid.cumsum(1) - 1)[seed, column]) % self.capacity
        self.observation[seed, place] = observation[seed, column]
        self.next_observation[seed, place] = next_observation[seed, column]
        self.action[seed, place] = action[seed, column]
        self.reward[seed, place] = reward[seed, column]
        self.discount[seed, place] = discount[seed, column]
        if self.priority is not None:
            self.priority[seed, place] = self.largest[seed, 0]
        self.added += valid.sum(1)

    def draw(self, uniform: Tensor, weight_power: float = 0.0) -> Drawn:
        """A batch of each seed. uniform: float32 (S, B), at least 0 and below 1, that decides which transitions.

        weight_power: how far weights undo what priorities prefer, 1 is fully.
        """
        place, weight = (
            self._evenly(uniform) if self.priority is None else self._by_priority(uniform, weight_power)
        )
        at = (self._seeds, place)
        return Drawn(
            self.observation[at],
            self.action[at],
            self.reward[at],
            self.next_observation[at],
            self.discount[at],
            weight,
            place,
        )

    def learnt(self, drawn: Drawn, error: Tensor) -> None:
        """How far the network was off, (S, B): what is drawn more often from now on."""
        if self.priority is None:
            return
        found = (error.abs() + _SMALLEST_PRIORITY).pow(self.priority_power)
        self.priority[self._seeds, drawn.place] = found
        self.largest = torch.maximum(self.largest, found.amax(1, keepdim=True))

    def state(self) -> dict[str, Any]:
        """All content, as tensors."""
        names = ["observation", "next_observation", "action", "reward", "discount", "largest", "added"]
        found = {name: getattr(self, name) for name in names}
        return found if self.priority is None else found | {"priority": self.priority}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, value in state.items():
            getattr(self, name).copy_(value)

    def _evenly(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.minimum((uniform * self.sizes[:, None]).long(), self.sizes[:, None] - 1)
        return place, torch.ones_like(uniform)

    def _by_priority(self, uniform: Tensor, weight_power: float) -> tuple[Tensor, Tensor]:
        assert self.priority is not None
        sums = self.priority.cumsum(1)
        total, num_strata = sums[:, -1:], uniform.shape[1]
        strata = (torch.arange(num_strata, device=sums.device) + uniform) / num_strata
        place = torch.searchsorted(sums, strata * total)
        place = torch.minimum(place, self.sizes[:, None] - 1)
        share = self.priority[self._seeds, place] / total
        weight = (share * self.sizes[:, None]).pow(-weight_power)
        return place, weight / weight.amax(1, keepdim=True)


class Steps:
    """Collects n steps of each environment into one transition. E environments of each of S seeds.

    Frames of episodes never mix: an episode that ends closes all its open transitions, with fewer steps.
    """

    def __init__(self, num_steps: int, discount: float) -> None:
        self.num_steps, self.discount = num_steps, discount
        # of the latest steps: observation, action, and whose transition is not closed yet
        self._open: list[tuple[Tensor, Tensor, Tensor]] = []
        self._rewards: list[Tensor] = []

    def push(
        self,
        replay: Replay,
        observation: Tensor,
        action: Tensor,
        reward: Tensor,
        final: Tensor,
        terminated: Tensor,
        truncated: Tensor,
        valid: Tensor,
    ) -> None:
        """One step of all environments, (S, E, ...). final: the observation that the step led to, before any reset."""
        self._open.append((observation, action, valid))
        self._rewards.append(torch.where(valid, reward, 0.0))
        ended = (terminated | truncated) & valid
        alive = torch.where(terminated, 0.0, 1.0)
        returned = torch.zeros_like(reward)
        for age, (start, taken, open_) in enumerate(reversed(self._open), start=1):
            returned = self._rewards[-age] + self.discount * returned
            closes = open_ & valid & (ended | (age == self.num_steps))
            if bool(closes.any()):
                replay.add(start, taken, returned, final, alive * self.discount**age, closes)
        kept = self.num_steps - 1
        latest = self._open[len(self._open) - kept :] if len(self._open) > kept else self._open
        self._open = [(start, taken, open_ & valid & ~ended) for start, taken, open_ in latest]
        self._rewards = self._rewards[len(self._rewards) - len(latest) :]
