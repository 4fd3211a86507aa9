"""Frames of images: the network sees the latest few at once, the memory keeps each of them once.

Shapes: S seeds, E environments of each, K frames that are stacked, frames of (C, H, W) bytes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.dqn_agent.replay import Drawn, Moment, Priorities, evenly


class FrameStack:
    """The latest frames of running episodes. An episode begins with its first frame repeated."""

    def __init__(self, frame_stack: int) -> None:
        self.frame_stack = frame_stack
        self.shown = np.zeros(0, dtype=np.uint8)

    def begin(self, frames: np.ndarray) -> None:
        """First frames of all episodes, (..., C, H, W); `shown` is (..., K * C, H, W) from now on, the newest last."""
        self.shown = np.concatenate([frames] * self.frame_stack, axis=-3)

    def push(self, frames: np.ndarray, begins: np.ndarray) -> None:
        """The next frames, and which of them begin an episode, (...)."""
        channels = frames.shape[-3]
        self.shown = np.concatenate([self.shown[..., channels:, :, :], frames], axis=-3)
        if begins.any():
            self.shown[begins] = np.concatenate([frames[begins]] * self.frame_stack, axis=-3)

    def state(self) -> Tensor:
        """All content."""
        return torch.from_numpy(self.shown)

    def restore(self, state: Tensor) -> None:
        """Put back what `state` gave."""
        self.shown = state.numpy()


class FrameReplay:
    """The latest `capacity` steps of each seed, whole steps of all its environments one after the other.

    Stacks and n-step returns are put together when they are drawn. What crosses a truncation has weight 0: the frame
    that such a step led to is not kept. priority_power: 0 draws all alike.
    """

    def __init__(
        self,
        num_seeds: int,
        num_envs: int,
        capacity: int,
        shape: tuple[int, ...],
        *,
        frame_stack: int,
        num_steps: int,
        discount: float,
        priority_power: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.num_envs, self.frame_stack = num_envs, frame_stack
        self.num_steps, self.discount = num_steps, discount
        self.num_slots = max(capacity // num_envs, frame_stack + num_steps + 1)
        self.device = torch.device(device)

        def ring(kind: torch.dtype, *inner: int) -> Tensor:
            return torch.zeros(num_seeds, self.num_slots, num_envs, *inner, dtype=kind, device=device)

        self._rings = {
            "frame": ring(torch.uint8, *shape),
            "action": ring(torch.int64),
            "reward": ring(torch.float32),
            "terminated": ring(torch.bool),
            "ended": ring(torch.bool),
            "valid": ring(torch.bool),
            "begins": ring(torch.bool),
        }
        self.pushed = 0
        self.priorities = (
            Priorities(num_seeds, self.num_slots * num_envs, priority_power, device)
            if priority_power
            else None
        )
        self._seeds = torch.arange(num_seeds, device=device)[:, None]

    def push(self, moment: Moment) -> None:
        """Remember a step."""
        slot = self.pushed % self.num_slots
        found = {
            "frame": moment.observation,
            "action": moment.action,
            "reward": moment.reward,
            "terminated": moment.terminated,
            "ended": moment.terminated | moment.truncated,
            "valid": moment.valid,
            "begins": moment.begins,
        }
        for name, values in found.items():
            self._rings[name][:, slot] = torch.from_numpy(values).to(self.device)
        self.pushed += 1
        if self.priorities is not None:
            self._prioritise()

    def draw(self, uniform: np.ndarray, weight_power: float = 0.0) -> Drawn:
        """A batch of each seed. uniform: float32 (S, B), at least 0 and below 1, that decides which transitions."""
        first, last = self._complete()
        if self.priorities is None:
            drawn = evenly(uniform, np.full((len(uniform), 1), (last - first) * self.num_envs))
            at = first * self.num_envs + drawn
            place = torch.from_numpy(at % (self.num_slots * self.num_envs)).to(self.device)
            weight = torch.ones(place.shape, device=self.device)
        else:
            everywhere = torch.full((len(uniform), 1), self.num_slots * self.num_envs, device=self.device)
            given = torch.from_numpy(uniform).to(self.device)
            place, weight = self.priorities.draw(given, everywhere, weight_power)
        slot, env = place // self.num_envs, place % self.num_envs
        reward, discount, steps, known = self._returns(slot, env)
        return Drawn(
            observation=self._stacks(slot, env),
            action=self._at("action", slot, env),
            reward=reward,
            next_observation=self._stacks(slot + steps, env),
            discount=discount,
            weight=weight * known,
            place=place,
        )

    def learnt(self, drawn: Drawn, error: Tensor) -> None:
        """How far the network was off, (S, B): what is drawn more often from now on."""
        if self.priorities is not None:
            self.priorities.learnt(drawn.place, error)

    def state(self) -> dict[str, Any]:
        """All content, as tensors and plain values."""
        state: dict[str, Any] = {"rings": self._rings, "pushed": self.pushed}
        return state if self.priorities is None else state | {"priorities": self.priorities.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, ring in self._rings.items():
            ring.copy_(state["rings"][name])
        self.pushed = state["pushed"]
        if self.priorities is not None:
            self.priorities.restore(state["priorities"])

    def forget_open(self) -> None:
        """The environments begin anew: what the last step led to is not known."""
        slot = (self.pushed - 1) % self.num_slots
        self._rings["ended"][:, slot] = True

    def _complete(self) -> tuple[int, int]:
        """From which step on, and before which, all frames and rewards are there; steps count from the start."""
        first = max(0, self.pushed - self.num_slots + self.frame_stack - 1)
        last = self.pushed - self.num_steps
        assert last > first, "learning starts after the first steps"
        return first, last

    def _prioritise(self) -> None:
        assert self.priorities is not None
        slots = self.priorities.values.unflatten(1, (self.num_slots, self.num_envs))
        # the newest have no return yet, the oldest no history any more
        for ahead in range(-1, self.frame_stack - 1):
            slots[:, (self.pushed + ahead) % self.num_slots] = 0
        if self.pushed > self.num_steps:
            done = (self.pushed - 1 - self.num_steps) % self.num_slots
            slots[:, done] = self.priorities.largest * self._rings["valid"][:, done]

    def _at(self, name: str, slot: Tensor, env: Tensor) -> Tensor:
        return self._rings[name][self._seeds, slot % self.num_slots, env]

    def _stacks(self, slot: Tensor, env: Tensor) -> Tensor:
        frames = [self._at("frame", slot, env)]
        for _ in range(self.frame_stack - 1):
            slot = slot - (~self._at("begins", slot, env)).long()
            frames.append(self._at("frame", slot, env))
        return torch.cat(frames[::-1], dim=2)

    def _returns(self, slot: Tensor, env: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sum of rewards, discount of what follows, steps until there, and 1 where that is known; all (S, B)."""
        reward = torch.zeros_like(slot, dtype=torch.float32)
        running = torch.ones_like(reward)
        terminated = torch.zeros_like(slot, dtype=torch.bool)
        cut = ~self._at("valid", slot, env)
        for step in range(self.num_steps):
            at = slot + step
            going = running > 0
            reward = reward + running * self.discount**step * self._at("reward", at, env)
            ended, final = self._at("ended", at, env) & going, self._at("terminated", at, env) & going
            terminated, cut = terminated | final, cut | (ended & ~final)
            running = running * (~ended).float()
        follows = (~terminated).float() * self.discount**self.num_steps
        return reward, follows, torch.full_like(slot, self.num_steps), (~cut).float()
