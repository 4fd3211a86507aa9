"""Learning by acting: as many networks as seeds, side by side in one batch, each in environments of its own.

What a seed lives through depends on nothing but the seed: it has its own environments, memory and random numbers, and
is only computed together with the others (up to the last bits, as sums of a batch are ordered otherwise).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.dqn_agent.config import ExplorationConfig, LearningConfig, NetworkConfig
from pipelines.dqn_agent.flat import Flat
from pipelines.dqn_agent.frames import FrameReplay, FrameStack
from pipelines.dqn_agent.losses import losses
from pipelines.dqn_agent.make import Stepper
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.replay import Memory, Moment, Replay
from pipelines.dqn_agent.worlds import going_on, snapshot
from shared.errors import FieldworkError
from shared.training.seeded import seeded

# Updates between looks at the loss: each look waits for the device.
_UPDATES_BETWEEN_LOOKS = 500
# Parts of a seed's random numbers: what it does, what noise its layers have.
_ACTS, _NOISE = 1, 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Of each seed: steps that were asked for, and updates. lived: valid steps of all seeds together.

    Dummy steps, which begin an episode, spend the budget: no seed's schedule depends on another's episodes.
    """

    steps: int
    updates: int
    lived: int


class Learner:
    """S seeds that learn. steppers: environments of each seed, alike. seeds: distinct. discount: given in `learning`.

    reward_scale: rewards are divided by it, so values are too. frame_stack: frames that the network sees at once.
    """

    def __init__(
        self,
        steppers: Sequence[Stepper],
        seeds: Sequence[int],
        network: NetworkConfig,
        learning: LearningConfig,
        exploration: ExplorationConfig,
        *,
        reward_scale: float = 1.0,
        frame_stack: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        first = steppers[0]
        self.steppers, self.seeds, self.device = steppers, seeds, torch.device(device)
        self.learning, self.exploration, self.noisy = learning, exploration, network.noisy
        self.reward_scale = reward_scale
        self.frames = FrameStack(frame_stack) if len(first.shape) == 3 else None
        shape = first.shape if self.frames is None else (frame_stack * first.shape[0], *first.shape[1:])
        self.network = together(seeds, shape, first.num_actions, network).to(self.device)
        self.target = together(seeds, shape, first.num_actions, network).to(self.device)
        self.weights, self.older = Flat(self.network), Flat(self.target)
        self.optimizer = torch.optim.Adam([self.weights.weights], lr=learning.learning_rate, fused=True)
        self.memory = self._new_memory(first, frame_stack)
        self.random = [np.random.default_rng([seed, _ACTS]) for seed in seeds]
        self.noise = [torch.Generator().manual_seed(seed * 16 + _NOISE) for seed in seeds]
        self.counts = Counts(0, 0, 0)
        self._due = 0.0
        self._begin(seeds)

    @property
    def random_share(self) -> float:
        """Share of actions that are random now."""
        if self.noisy:
            return 0.0
        knobs = self.exploration
        passed = min(1.0, self.counts.steps / (knobs.over * self.learning.steps))
        return knobs.first + (knobs.last - knobs.first) * passed

    @property
    def passed(self) -> float:
        """Share of all steps that is behind."""
        return min(1.0, self.counts.steps / self.learning.steps)

    def scale_by(self, centre: Tensor, spread: Tensor) -> None:
        """How features are brought to one size, before anything is learnt."""
        for network in (self.network, self.target):
            network.scale_by(centre, spread)

    def run(self, steps: int) -> None:
        """Act and learn until each seed has lived through so many steps. Raises FieldworkError on divergence."""
        while self.counts.steps < steps:
            self.step()

    def step(self) -> None:
        """One step of all environments, and the updates that are due."""
        self._act()
        if self.counts.steps >= self.learning.starts:
            self._due += self.steppers[0].num_envs / self.learning.steps_per_update
            while self._due >= 1:
                self._due -= 1
                self._update()

    def state(self) -> dict[str, Any]:
        """Everything that the next steps depend on, as tensors and plain values."""
        return {
            "weights": self.weights.weights.data,
            "older": self.older.weights.data,
            "scaling": [self.network.scale, self.network.shift],
            "optimizer": self.optimizer.state_dict(),
            "memory": self.memory.state(),
            "random": [each.bit_generator.state for each in self.random],
            "noise": [each.get_state() for each in self.noise],
            "counts": asdict(self.counts),
            "due": self._due,
            "worlds": [snapshot(one) for one in self.steppers],
            "observation": torch.from_numpy(self.observation),
            "begins": torch.from_numpy(self.begins),
            "frames": None if self.frames is None else self.frames.state(),
        }

    def restore(self, state: dict[str, Any]) -> bool:
        """Go on from `state`. False where environments cannot be put back: episodes then begin anew there, on seeds
        that depend on the steps so far, and what they had begun is dropped; all else is as it was."""
        with torch.no_grad():
            self.weights.weights.copy_(state["weights"])
            self.older.weights.copy_(state["older"])
        for network in (self.network, self.target):
            network.scale.copy_(state["scaling"][0])
            network.shift.copy_(state["scaling"][1])
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory.restore(state["memory"])
        for generator, found in zip(self.random, state["random"], strict=True):
            generator.bit_generator.state = found
        for noise, found in zip(self.noise, state["noise"], strict=True):
            noise.set_state(found)
        self.counts, self._due = Counts(**state["counts"]), state["due"]
        if all(going_on(one, found) for one, found in zip(self.steppers, state["worlds"], strict=True)):
            self.observation, self.begins = state["observation"].numpy(), state["begins"].numpy()
            if self.frames is not None:
                self.frames.restore(state["frames"])
            return True
        self.memory.forget_open()
        steps = self.counts.steps
        self._begin([int(np.random.default_rng([seed, steps]).integers(2**31)) for seed in self.seeds])
        return False

    def _new_memory(self, first: Stepper, frame_stack: int) -> Memory:
        knobs = self.learning
        assert knobs.discount is not None, "taken from the card where it was not given"
        if self.frames is not None:
            return FrameReplay(
                len(self.seeds),
                first.num_envs,
                knobs.capacity,
                first.shape,
                frame_stack=frame_stack,
                num_steps=knobs.num_steps,
                discount=knobs.discount,
                priority_power=knobs.priority_power,
                device=self.device,
            )
        return Replay(
            len(self.seeds),
            knobs.capacity,
            first.shape,
            num_steps=knobs.num_steps,
            discount=knobs.discount,
            priority_power=knobs.priority_power,
        )

    def _begin(self, seeds: Sequence[int]) -> None:
        self.observation = np.stack([one.reset(seed) for one, seed in zip(self.steppers, seeds, strict=True)])
        self.begins = np.ones(self.observation.shape[:2], dtype=np.bool_)
        if self.frames is not None:
            self.frames.begin(self.observation)

    def _act(self) -> None:
        before = self.observation
        shown = before if self.frames is None else self.frames.shown
        actions = self._explored(self._greedy(torch.from_numpy(shown)))
        found = [one.step(taken) for one, taken in zip(self.steppers, actions, strict=True)]
        moment = Moment(
            observation=before,
            action=actions,
            reward=np.array([step.reward for step in found]) / np.float32(self.reward_scale),
            final=np.array([step.final_observation for step in found]),
            terminated=np.array([step.terminated for step in found]),
            truncated=np.array([step.truncated for step in found]),
            valid=np.array([step.valid for step in found]),
            begins=self.begins,
        )
        self.memory.push(moment)
        self.observation = np.array([step.observation for step in found])
        self.begins = np.array([step.begins for step in found])
        if self.frames is not None:
            self.frames.push(self.observation, self.begins)
        lived = self.counts.lived + int(moment.valid.sum())
        self.counts = replace(self.counts, steps=self.counts.steps + actions.shape[1], lived=lived)

    def _greedy(self, observation: Tensor) -> np.ndarray:
        if self.random_share == 1:
            return np.zeros(observation.shape[:2], dtype=np.int64)
        if self.noisy:
            self.network.draw_noise(self.noise)
        with torch.inference_mode():
            found: np.ndarray = self.network.values(observation.to(self.device)).argmax(-1).cpu().numpy()
        return found

    def _explored(self, actions: np.ndarray) -> np.ndarray:
        share, num_actions = self.random_share, self.steppers[0].num_actions
        if share == 0:
            return actions
        drawn = np.array([each.random((2, actions.shape[1])) for each in self.random])
        return np.where(drawn[:, 0] < share, (drawn[:, 1] * num_actions).astype(np.int64), actions)

    def _update(self) -> None:
        knobs, number = self.learning, self.counts.updates
        uniform = np.array([each.random(knobs.batch_size, dtype=np.float32) for each in self.random])
        drawn = self.memory.draw(uniform, knobs.weight_power)
        if self.noisy:
            self.network.draw_noise(self.noise)
            self.target.draw_noise(self.noise)
        loss, error = losses(self.network, self.target, drawn, double=knobs.double)
        # a sum over seeds: each seed's weights get the gradient of its own mean
        total = (loss if drawn.weight is None else loss * drawn.weight).sum() / knobs.batch_size
        self.weights.backward(total)
        if knobs.clip_norm is not None:
            self.weights.clip(knobs.clip_norm)
        falls = (1 - knobs.last_learning_rate_share) * self.passed
        self.optimizer.param_groups[0]["lr"] = knobs.learning_rate * (1 - falls)
        self.optimizer.step()
        self.memory.learnt(drawn, error)
        self._renew_target(number)
        self.counts = replace(self.counts, updates=number + 1)
        if number % _UPDATES_BETWEEN_LOOKS == 0 and not bool(torch.isfinite(total)):
            raise FieldworkError(
                f"Learning diverged at step {self.counts.steps:,}: the loss is {total.item()}. Lower "
                "learning.learning_rate, or set learning.clip_norm."
            )

    def _renew_target(self, number: int) -> None:
        if number % self.learning.target_every == 0:
            self.older.weights.data.lerp_(self.weights.weights.data, self.learning.target_share)


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
