"""All seeds learn side by side; now and then each plays development episodes greedily, which draws the curve.

Killed at any moment, the same call goes on from its last checkpoint, to the same weights bit for bit where the
environment can be put back (our own two and CartPole). Elsewhere, as in LunarLander and Atari, networks, memory and
random numbers go on as they were, but the episodes that were running are dropped and new ones begin.
"""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig, EnvironmentConfig
from pipelines.dqn_agent.learn import Learner
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.networks import QNetwork, of_seed
from pipelines.dqn_agent.play import Act, play
from pipelines.dqn_agent.seeds import Purpose, seed_of
from shared.errors import Stopped
from shared.orchestration.overrides import with_overrides
from shared.training.checkpoint import Checkpoints, decode
from shared.training.interrupt import StopFlag, catch_signals
from shared.training.progress import Progress, SilentProgress
from shared.training.runtime import keep_freed_memory, peak_memory_bytes, threads_for

_FORMAT = "agents-1"
_STEPS_BETWEEN_LOOKS = 50
# Random play that features are scaled by.
_SCALING_ENVS, _SCALING_STEPS = 16, 250
# A feature that random play hardly moves is not blown up beyond this share of its range.
_SMALLEST_SPREAD = 0.01
_DEFAULT_DISCOUNT = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Networks of all seeds. weights: of each seed, in their order, as `rebuilt` takes them. curves: seed, steps,
    return_mean: of greedy development episodes after so many steps. selection: mean return of the kept network of each
    seed on more such episodes. record: how learning went, plain values."""

    weights: tuple[dict[str, Tensor], ...]
    curves: pl.DataFrame
    selection: dict[int, float]
    record: dict[str, Any]


def learn(
    card: Card,
    config: AgentConfig,
    seeds: Sequence[int],
    folder: Path,
    progress: Progress | None = None,
    stop: StopFlag | None = None,
) -> Learnt:
    """Learn with all seeds, from the last checkpoint in `folder` if there is one.

    Raises Stopped after SIGTERM, SIGINT or `stop.request(...)`, when all is saved; FieldworkError on divergence.
    """
    flag = stop or StopFlag()
    checkpoints = Checkpoints(folder, _fingerprint(card, config, seeds), keep_last=2)
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(checkpoints.locked())
        stack.enter_context(catch_signals(flag))
        stack.callback(torch.set_num_threads, threads)
        keep_freed_memory()
        run = _Run(card, config, seeds, checkpoints, progress or SilentProgress(), flag)
        stack.callback(run.close)
        return run.finish()


def rebuilt(card: Card, config: AgentConfig, weights: dict[str, Tensor]) -> QNetwork:
    """The network of one seed, for judging and acting."""
    network = QNetwork(1, shape_seen(card, config.environment), len(card.actions), config.network)
    network.load_state_dict(weights)
    return network.eval()


def shape_seen(card: Card, config: EnvironmentConfig) -> tuple[int, ...]:
    """Of one observation as the network gets it: features, or frames that are stacked."""
    if card.image is None:
        return (len(card.observation),)
    channels, height, width = card.image
    return (channels * config.frame_stack, height, width)


def greedy(network: QNetwork, place: int) -> Act:
    """What one of the seeds of a network does, without noise and without chance."""
    alone = QNetwork(1, network.shape, network.num_actions, network.config)
    alone.load_state_dict(of_seed(network, place))
    alone.eval()

    def act(observations: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = alone.values(torch.from_numpy(observations[None]))[0].argmax(-1).numpy()
        return found

    return act


def scaling(card: Card, config: EnvironmentConfig, seed: int) -> tuple[Tensor, Tensor] | None:
    """Centre and spread of each feature in random play; None for frames, which are bytes anyway."""
    if card.image is not None:
        return None
    stepper = Stepper(make_vector(card.id, _SCALING_ENVS, config))
    try:
        generator = np.random.default_rng(seed)
        seen = [stepper.reset(seed)]
        seen += [
            stepper.step(generator.integers(stepper.num_actions, size=_SCALING_ENVS)).observation
            for _ in range(_SCALING_STEPS)
        ]
    finally:
        stepper.close()
    values = np.concatenate(seen).astype(np.float64)
    ranges = [
        0.0 if feature.low is None or feature.high is None else feature.high - feature.low
        for feature in card.observation
    ]
    spread = np.maximum(values.std(0), _SMALLEST_SPREAD * np.array(ranges))
    spread[spread == 0] = 1.0
    return torch.from_numpy(values.mean(0)).float(), torch.from_numpy(spread).float()


class _Run:
    """One run of learning, new or gone on with."""

    def __init__(
        self,
        card: Card,
        config: AgentConfig,
        seeds: Sequence[int],
        checkpoints: Checkpoints,
        progress: Progress,
        flag: StopFlag,
    ) -> None:
        self.card, self.config, self.seeds = card, config, seeds
        self.checkpoints, self.progress, self.flag = checkpoints, progress, flag
        self.steppers = [
            Stepper(make_vector(card.id, config.environment.num_envs, config.environment)) for _ in seeds
        ]
        self.learner = _learner(card, config, seeds, self.steppers)
        torch.set_num_threads(_num_threads(self.learner))
        self.curve: list[dict[str, float]] = []
        self.kept: list[dict[str, Any]] = [{"return_mean": -math.inf} for _ in seeds]
        self.seconds = self.seconds_judging = 0.0
        self.resumed_from: int | None = None
        self._resume()

    def close(self) -> None:
        for stepper in self.steppers:
            stepper.close()

    def finish(self) -> Learnt:
        total = self.config.learning.steps
        self.progress.start(total, "learning")
        self.progress.advance(self.learner.counts.steps)
        try:
            for goal in self._goals():
                self._learn_until(goal)
                self._look()
            self._save()
        finally:
            self.progress.close()
        return Learnt(
            weights=tuple(one["weights"] for one in self.kept),
            curves=pl.DataFrame(
                self.curve, schema={"seed": pl.Int64, "steps": pl.Int64, "return_mean": pl.Float64}
            ),
            selection=self._selection(),
            record=self._record(),
        )

    def _selection(self) -> dict[int, float]:
        evaluation, environment = self.config.evaluation, self.config.environment
        seed = seed_of(self.config.seed, Purpose.DEVELOPMENT)
        found = {}
        for of, one in zip(self.seeds, self.kept, strict=True):
            act = greedy(rebuilt(self.card, self.config, one["weights"]), 0)
            played = play(act, self.card, environment, evaluation.num_selection_episodes, seed)
            found[of] = float(played.returns.mean())
        return found

    def _goals(self) -> list[int]:
        total, points = self.config.learning.steps, self.config.evaluation.curve_points
        every = np.unique(np.linspace(0, total, points + 1)[1:].round().astype(int)).tolist()
        behind = max((row["steps"] for row in self.curve), default=0)
        return [goal for goal in every if goal > behind]

    def _learn_until(self, goal: int) -> None:
        learner, last = self.learner, time.monotonic()
        saved, shown, count = last, learner.counts.steps, 0
        while learner.counts.steps < goal:
            learner.step()
            count += 1
            if count % _STEPS_BETWEEN_LOOKS and not self.flag.requested:
                continue
            now = time.monotonic()
            self.seconds, last = self.seconds + now - last, now
            self.progress.advance(min(goal, learner.counts.steps) - shown, random=learner.random_share)
            shown = min(goal, learner.counts.steps)
            if self.flag.requested:
                self._save()
                raise Stopped(
                    f"Stopped by {self.flag.reason} after {learner.counts.steps:,} steps. The same command continues."
                )
            if now - saved > self.config.learning.checkpoint_every_seconds:
                self._save()
                saved = time.monotonic()
        self.seconds += time.monotonic() - last

    def _look(self) -> None:
        """Development episodes of each seed, and whether its network is the one to keep so far."""
        start, evaluation = time.monotonic(), self.config.evaluation
        num = evaluation.num_curve_episodes
        seed = seed_of(self.config.seed, Purpose.DEVELOPMENT)
        for place, of in enumerate(self.seeds):
            played = play(greedy(self.learner.network, place), self.card, self.config.environment, num, seed)
            steps = min(self.learner.counts.steps, self.config.learning.steps)
            mean = float(played.returns.mean())
            self.curve.append({"seed": of, "steps": steps, "return_mean": mean})
            # of equals the later one has seen more
            if evaluation.kept == "last" or not mean < self.kept[place]["return_mean"]:
                weights = {name: value.cpu() for name, value in of_seed(self.learner.network, place).items()}
                self.kept[place] = {"return_mean": mean, "steps": steps, "weights": weights}
        self.seconds_judging += time.monotonic() - start

    def _resume(self) -> None:
        payload = self.checkpoints.load()
        if payload is None:
            return
        state = decode(payload)
        self.curve, self.kept, self.seconds = state["curve"], state["kept"], state["seconds"]
        self.seconds_judging, self.resumed_from = state["seconds_judging"], state["step"]
        if not self.learner.restore(state["learner"]):
            self.checkpoints.note(
                f"{self.card.id} cannot be put back where it was: learning went on after {state['step']:,} steps with "
                "new episodes"
            )

    def _save(self) -> None:
        self.checkpoints.save(
            {
                "epoch": 0,
                "step": self.learner.counts.steps,
                "learner": self.learner.state(),
                "curve": self.curve,
                "kept": self.kept,
                "seconds": self.seconds,
                "seconds_judging": self.seconds_judging,
            }
        )

    def _record(self) -> dict[str, Any]:
        counts, learner = self.learner.counts, self.learner
        return {
            "seconds": self.seconds,
            "seconds_judging": self.seconds_judging,
            "steps": counts.steps,
            "lived": counts.lived,
            "updates": counts.updates,
            "steps_per_second": counts.lived / max(self.seconds, 1e-9),
            "device": str(learner.device),
            "threads": torch.get_num_threads(),
            "peak_memory_bytes": peak_memory_bytes(learner.device),
            "kept_steps": {str(of): one["steps"] for of, one in zip(self.seeds, self.kept, strict=True)},
            "resumed_from_step": self.resumed_from,
            "notes": list(self.checkpoints.notes),
        }


def _learner(card: Card, config: AgentConfig, seeds: Sequence[int], steppers: Sequence[Stepper]) -> Learner:
    discount = config.learning.discount or card.discount or _DEFAULT_DISCOUNT
    frames = card.image is not None
    learner = Learner(
        steppers,
        seeds,
        config.network,
        config.learning.model_copy(update={"discount": discount}),
        config.exploration,
        reward_scale=card.reward_scale,
        frame_stack=config.environment.frame_stack,
        device="cuda" if frames and torch.cuda.is_available() else "cpu",
    )
    found = scaling(card, config.environment, seed_of(config.seed, Purpose.RULES))
    if found is not None:
        learner.scale_by(*found)
    return learner


def _num_threads(learner: Learner) -> int:
    """By the work of an update, so that equal runs choose equally."""
    if learner.device.type != "cpu":
        return torch.get_num_threads()
    weights = learner.weights.weights.numel()
    flops = 2.0 * 4 * weights * learner.learning.batch_size
    return threads_for(flops, torch.get_num_threads())


def _fingerprint(card: Card, config: AgentConfig, seeds: Sequence[int]) -> str:
    parts = {
        "format": _FORMAT,
        "card": card.model_dump(mode="json"),
        "config": config.model_dump(
            mode="json",
            exclude={"preset": True, "explanation": True, "learning": {"checkpoint_every_seconds"}},
        ),
        "seeds": list(seeds),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def ablations(config: AgentConfig) -> dict[str, AgentConfig]:
    """Variants by name: every switch on, each one off by itself, and all off: DQN as in Mnih et al. (2015)."""
    on = {key: value for key, value, _ in _SWITCHES.values()}
    whole = with_overrides(config, on | {"network.atoms": min(config.network.atoms, _ABLATION_QUANTILES)})
    variants = {"all": whole}
    for name, (key, _, off) in _SWITCHES.items():
        variants[f"without {name}"] = with_overrides(whole, {key: off})
    variants["plain DQN"] = with_overrides(whole, {key: off for key, _, off in _SWITCHES.values()})
    return variants


# More cost more than all else together.
_ABLATION_QUANTILES = 21
_SWITCHES: dict[str, tuple[str, Any, Any]] = {
    "double": ("learning.double", True, False),
    "dueling": ("network.dueling", True, False),
    "n-step": ("learning.num_steps", 3, 1),
    "priorities": ("learning.priority_power", 0.6, 0.0),
    "noisy layers": ("network.noisy", True, False),
    "quantiles": ("network.distribution", "quantiles", "mean"),
    "layer norm": ("network.layer_norm", True, False),
}
