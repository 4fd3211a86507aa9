"""Learning by acting: as many networks as seeds, side by side in one batch, each in environments of its own.

What a seed lives through depends on nothing but the seed: it has its own environments, memory and random numbers, and
is only computed together with the others (up to the last bits, as sums of a batch are ordered otherwise).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipelines.dqn_agent.config import ExplorationConfig, LearningConfig, NetworkConfig
from pipelines.dqn_agent.losses import losses
from pipelines.dqn_agent.make import Stepper
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.replay import Replay, Steps
from shared.errors import FieldworkError
from shared.training.seeded import seeded

# Updates between looks at the loss: each look waits for the device.
_UPDATES_BETWEEN_LOOKS = 500


@dataclass(frozen=True, slots=True)
class Counts:
    """Of each seed: steps that were asked for, and updates. lived: valid steps of all seeds together.

    Dummy steps, which begin an episode, spend the budget: no seed's schedule depends on another's episodes.
    """

    steps: int
    updates: int
    lived: int


class Learner:
    """S seeds that learn. steppers: environments of each seed, alike. seeds: distinct."""

    def __init__(
        self,
        steppers: Sequence[Stepper],
        seeds: Sequence[int],
        network: NetworkConfig,
        learning: LearningConfig,
        exploration: ExplorationConfig,
    ) -> None:
        first = steppers[0]
        self.steppers, self.seeds = steppers, seeds
        self.learning, self.exploration, self.noisy = learning, exploration, network.noisy
        self.network = together(seeds, first.shape, first.num_actions, network)
        self.target = together(seeds, first.shape, first.num_actions, network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning.learning_rate, fused=True)
        kind = torch.uint8 if first.dtype == np.uint8 else torch.float32
        self.replay = Replay(
            len(seeds), learning.capacity, first.shape, kind, priority_power=learning.priority_power
        )
        self.open = Steps(learning.num_steps, learning.discount)
        self.random = [np.random.default_rng([seed, 1]) for seed in seeds]
        self.observation = np.stack([one.reset(seed) for one, seed in zip(steppers, seeds, strict=True)])
        self.counts = Counts(0, 0, 0)
        self._due = 0.0

    @property
    def random_share(self) -> float:
        """Share of actions that are random now."""
        if self.noisy:
            return 0.0
        knobs = self.exploration
        passed = min(1.0, self.counts.steps / (knobs.over * self.learning.steps))
        return knobs.first + (knobs.last - knobs.first) * passed

    def run(self, steps: int) -> None:
        """Act and learn until each seed has lived through so many steps. Raises FieldworkError on divergence."""
        while self.counts.steps < steps:
            self._act()
            if self.counts.steps >= self.learning.starts:
                self._due += len(self.observation[0]) / self.learning.steps_per_update
                while self._due >= 1:
                    self._due -= 1
                    self._update()

    def _act(self) -> None:
        before = torch.from_numpy(self.observation)
        actions = self._explored(self._greedy(before))
        found = [one.step(taken) for one, taken in zip(self.steppers, actions, strict=True)]
        parts = {
            name: torch.from_numpy(np.stack([getattr(step, name) for step in found]))
            for name in ("reward", "terminated", "truncated", "valid")
        }
        final = torch.from_numpy(np.stack([step.final_observation for step in found]))
        self.open.push(self.replay, before, torch.from_numpy(actions), final=final, **parts)
        self.observation = np.stack([step.observation for step in found])
        lived = self.counts.lived + int(parts["valid"].sum())
        self.counts = replace(self.counts, steps=self.counts.steps + actions.shape[1], lived=lived)

    def _greedy(self, observation: Tensor) -> np.ndarray:
        if self.noisy:
            self.network.draw_noise()
        with torch.inference_mode():
            return self.network.values(observation).argmax(-1).numpy()

    def _explored(self, actions: np.ndarray) -> np.ndarray:
        share, num_actions = self.random_share, self.steppers[0].num_actions
        if share == 0:
            return actions
        drawn = np.stack([each.random((2, actions.shape[1])) for each in self.random])
        return np.where(drawn[:, 0] < share, (drawn[:, 1] * num_actions).astype(np.int64), actions)

    def _update(self) -> None:
        knobs, number = self.learning, self.counts.updates
        uniform = np.stack([each.random(knobs.batch_size, dtype=np.float32) for each in self.random])
        passed = min(1.0, self.counts.steps / knobs.steps)
        weight_power = knobs.weight_power + (1 - knobs.weight_power) * passed
        drawn = self.replay.draw(torch.from_numpy(uniform), weight_power)
        if self.noisy:
            self.network.draw_noise()
            self.target.draw_noise()
        loss, error = losses(self.network, self.target, drawn, double=knobs.double)
        # a sum over seeds: each seed's weights get the gradient of its own mean
        total = (loss * drawn.weight).mean(1).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if knobs.clip_norm is not None:
            clip_by_seed(self.network, knobs.clip_norm)
        self.optimizer.step()
        self.replay.learnt(drawn, error)
        self._renew_target(number)
        self.counts = replace(self.counts, updates=number + 1)
        if number % _UPDATES_BETWEEN_LOOKS == 0 and not bool(torch.isfinite(total)):
            raise FieldworkError(
                f"Learning diverged at step {self.counts.steps:,}: the loss is {total.item()}. Lower "
                "learning.learning_rate, or set learning.clip_norm."
            )

    def _renew_target(self, number: int) -> None:
        knobs = self.learning
        if number % max(1, knobs.target_every // knobs.steps_per_update):
            return
        with torch.no_grad():
            pairs = zip(self.target.parameters(), self.network.parameters(), strict=True)
            for old, new in pairs:
                old.lerp_(new, knobs.target_share)


def together(
    seeds: Sequence[int], shape: tuple[int, ...], num_actions: int, config: NetworkConfig
) -> QNetwork:
    """A network for each seed, with the first weights that the seed alone would have."""
    whole = QNetwork(len(seeds), shape, num_actions, config)
    single = [seeded(seed, lambda: QNetwork(1, shape, num_actions, config)) for seed in seeds]
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            parameter.copy_(torch.cat([one.get_parameter(name) for one in single]))
    return whole


def clip_by_seed(network: QNetwork, largest: float) -> None:
    """Scale the gradients of each seed so that their norm is at most `largest`."""
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    norm = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))
