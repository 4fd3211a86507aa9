"""Agents: steps with learning beside a bare loop, the steps of our simulators, decisions and their reasons.

    python -m tests.benchmarks.dqn_agent [--rounds 5] [--cpu-time] [--only learning|frames|simulators|scoring]
        [--steps 50000] [--seeds 10] [--quick] [--json]

Learning: CartPole-v1, a network of 120 and 84 units, batches of 128, an update every 10 environment steps, 10
environments, 10,000 remembered transitions, a target renewed every 500 steps, plain DQN without any switch; counted
from the first update on, and only steps that are lived through: the dummy step that begins an episode is none. The
bare loop is written for this one case; the pipeline learns with one seed and with `--seeds` seeds as one batched
network, whose steps count together, and each also in 100 environments with 10 times the updates between their steps.
Frames: Pong from pixels, a short run, without a bare loop beside it. Simulators: worlds stepped at once with random
actions. Scoring: one decision, many, and reasons, of networks that learnt nothing, as weights change no speed.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Prints Markdown, median (smallest to largest),
or with --json one line a measurement. --quick takes a tenth of everything.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.dqn_agent.config import (
    AgentConfig,
    EnvironmentConfig,
    ExplorationConfig,
    LearningConfig,
    NetworkConfig,
)
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.explainer import reasons
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.learn import Learner
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.visited import Visited
from tests.benchmarks.fraud_detection import Clock, clock_of, parser_of, run_sections, seconds_of
from tests.benchmarks.recommender import Measured

CARTPOLE, PONG = "CartPole-v1", "ALE/Pong-v5"
STARTS, BATCH_SIZE, CAPACITY, STEPS_PER_UPDATE, TARGET_EVERY, NUM_ENVS = 1_000, 128, 10_000, 10, 500, 10
DISCOUNT, LEARNING_RATE, FIRST, LAST, OVER = 0.99, 2.5e-4, 1.0, 0.05, 0.5
# As many updates to a step: after a step of these environments come so many more updates.
MANY_ENVS = 100
FRAME_STEPS, NUM_WORLDS, WORLD_STEPS = 2_000, (1, 64, 1024), 200
NUM_DECIDED, NUM_EXPLAINED, NUM_REQUESTS = 20_000, 500, 300

# Steps that were lived through, and seconds.
Run = Callable[[Clock], tuple[int, float]]


def rates(contenders: Mapping[str, Run], options: argparse.Namespace) -> Iterator[Measured]:
    """Environment steps a second, every contender once a round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name in random.sample(list(contenders), len(contenders)):
            steps, seconds = contenders[name](clock_of(options.cpu_time))
            found[name].append(steps / seconds)
    reference = next(iter(found.values()))
    for name, values in found.items():
        ratios = [mine / first for mine, first in zip(values, reference, strict=True)]
        yield Measured(name, "env steps/s", values, ratios)


def bare_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 2))


class BareMemory:
    """A ring of transitions, written through numpy and read as tensors."""

    def __init__(self) -> None:
        self.before, self.after = torch.zeros(CAPACITY, 4), torch.zeros(CAPACITY, 4)
        self.action = torch.zeros(CAPACITY, 1, dtype=torch.long)
        self.reward, self.ended = torch.zeros(CAPACITY), torch.zeros(CAPACITY)
        self.arrays = [
            tensor.numpy() for tensor in (self.before, self.action, self.reward, self.after, self.ended)
        ]
        self.place = self.size = 0

    def push(self, before: np.ndarray, action: np.ndarray, *others: np.ndarray) -> None:
        slots = (self.place + np.arange(len(before))) % CAPACITY
        for array, values in zip(self.arrays, (before, action[:, None], *others), strict=True):
            array[slots] = values
        self.place = int(slots[-1] + 1) % CAPACITY
        self.size = min(CAPACITY, self.size + len(before))


def bare_loop(total: int, clock: Clock) -> tuple[int, float]:
    """One seed: ten environments at once, tensors in memory, a fused optimiser."""
    env = gymnasium.make_vec(CARTPOLE, num_envs=NUM_ENVS, vectorization_mode="vector_entry_point")
    draw, network, target, memory = np.random.default_rng(0), bare_network(), bare_network(), BareMemory()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    seen, _ = env.reset(seed=0)
    begins, steps, begun, start = np.zeros(NUM_ENVS, dtype=bool), 0, 0, clock()
    while steps < total:
        if not begun and steps >= STARTS:
            begun, start = steps, clock()
        action = draw.integers(0, 2, NUM_ENVS)
        greedy = draw.random(NUM_ENVS) >= max(LAST, FIRST - (FIRST - LAST) * steps / (OVER * total))
        if greedy.any():
            with torch.inference_mode():
                action[greedy] = network(torch.from_numpy(seen)).argmax(1).numpy()[greedy]
        after, reward, terminated, truncated, _ = env.step(action)
        lived = ~begins
        memory.push(seen[lived], action[lived], reward[lived], after[lived], terminated[lived])
        begins, seen, before = (terminated | truncated) & lived, after.copy(), steps
        steps += int(lived.sum())
        if begun:
            for _ in range(steps // STEPS_PER_UPDATE - before // STEPS_PER_UPDATE):
                bare_update(network, target, memory, optimiser, draw)
            if steps // TARGET_EVERY != before // TARGET_EVERY:
                target.load_state_dict(network.state_dict())
    return steps - begun, clock() - start


def bare_update(
    network: nn.Module,
    target: nn.Module,
    memory: BareMemory,
    optimiser: torch.optim.Optimizer,
    draw: np.random.Generator,
) -> None:
    rows = torch.from_numpy(draw.integers(0, memory.size, BATCH_SIZE))
    with torch.no_grad():
        later: Tensor = target(memory.after[rows]).amax(1)
        wanted = torch.addcmul(memory.reward[rows], 1 - memory.ended[rows], later, value=DISCOUNT)
    loss = functional.smooth_l1_loss(
        network(memory.before[rows]).gather(1, memory.action[rows])[:, 0], wanted
    )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def by_pipeline(env_id: str, total: int, num_seeds: int, num_envs: int, clock: Clock) -> tuple[int, float]:
    """The same with `Learner`, so many seeds side by side, each in so many environments."""
    config = EnvironmentConfig(num_envs=num_envs)
    learning = LearningConfig(
        steps=total,
        starts=STARTS,
        steps_per_update=STEPS_PER_UPDATE,
        batch_size=BATCH_SIZE,
        capacity=CAPACITY,
        discount=DISCOUNT,
        double=False,
        learning_rate=LEARNING_RATE,
        last_learning_rate_share=1.0,
        clip_norm=None,
        num_steps=1,
        priority_power=0.0,
        target_every=TARGET_EVERY // STEPS_PER_UPDATE,
        target_share=1.0,
    )
    learner = Learner(
        [Stepper(make_vector(env_id, num_envs, config)) for _ in range(num_seeds)],
        range(num_seeds),
        NetworkConfig(hidden=(120, 84), layer_norm=False),
        learning,
        ExplorationConfig(first=FIRST, last=LAST, over=OVER),
        frame_stack=config.frame_stack,
    )
    learner.run(min(STARTS, total // 2))
    before = learner.counts.lived
    seconds = seconds_of(partial(learner.run, total), clock)
    for stepper in learner.steppers:
        stepper.close()
    return learner.counts.lived - before, seconds


def learning(options: argparse.Namespace) -> Iterator[Measured]:
    """CartPole with one seed and with many."""
    total = options.steps // (10 if options.quick else 1)
    yield from rates(
        {
            "CartPole, bare loop, one seed": partial(bare_loop, total),
            **{
                f"CartPole, pipeline, seeds: {seeds}, environments: {num_envs}": partial(
                    by_pipeline, CARTPOLE, total, seeds, num_envs
                )
                for seeds in (1, options.seeds)
                for num_envs in (NUM_ENVS, MANY_ENVS)
            },
        },
        options,
    )


def frames(options: argparse.Namespace) -> Iterator[Measured]:
    """Pong from pixels: stacks of four frames of 84 x 84 through the convolutions."""
    total = FRAME_STEPS // (10 if options.quick else 1)
    yield from rates(
        {"Pong from pixels, pipeline, one seed": partial(by_pipeline, PONG, total, 1, NUM_ENVS)}, options
    )


def simulators(options: argparse.Namespace) -> Iterator[Measured]:
    """Our own environments by themselves."""
    clock, steps = clock_of(options.cpu_time), WORLD_STEPS // (10 if options.quick else 1)
    for env_id in (INVENTORY, MAINTENANCE):
        for worlds in NUM_WORLDS:
            stepper = Stepper(make_vector(env_id, worlds, EnvironmentConfig()))
            stepper.reset(0)
            actions = np.random.default_rng(0).integers(stepper.num_actions, size=(steps, worlds))

            def play(stepper: Stepper = stepper, actions: np.ndarray = actions) -> None:
                for taken in actions:
                    stepper.step(taken)

            values = [steps * worlds / seconds_of(play, clock) for _ in range(options.rounds)]
            yield Measured(f"{env_id}, {worlds} at once", "env steps/s", values, [])


@cache
def scorers() -> dict[str, tuple[Scorer, np.ndarray]]:
    """Of each environment a scorer, and states that random actions come to."""
    return {env_id: scorer_of(env_id) for env_id in (CARTPOLE, MAINTENANCE, INVENTORY)}


def scorer_of(env_id: str) -> tuple[Scorer, np.ndarray]:
    config = AgentConfig()
    card = card_of(env_id, config.environment)
    stepper = Stepper(make_vector(env_id, 100, config.environment))
    draw = np.random.default_rng(0)
    seen = [stepper.reset(0)]
    while len(seen) * 100 < NUM_DECIDED:
        seen.append(stepper.step(draw.integers(stepper.num_actions, size=100)).observation)
    states = np.concatenate(seen)
    network = QNetwork(1, stepper.shape, stepper.num_actions, config.network).eval()
    network.scale_by(torch.from_numpy(states.mean(0)), torch.from_numpy(states.std(0) + 1e-3))
    return Scorer(card, config, network, Visited.of(states)), states


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """Decisions, and why they are taken."""
    clock, smaller = clock_of(options.cpu_time), 10 if options.quick else 1
    for env_id, (scorer, states) in scorers().items():
        many, some = states[: NUM_DECIDED // smaller], states[: NUM_EXPLAINED // smaller]
        scorer.act(many[:10])
        values = [len(many) / seconds_of(partial(scorer.act, many), clock) for _ in range(options.rounds)]
        yield Measured(f"{env_id}, many decisions", "decisions/s", values, [])
        times = [
            1e3 * seconds_of(partial(scorer.act, states[row : row + 1]), clock)
            for row in range(NUM_REQUESTS // smaller)
        ]
        for percent in (50, 95):
            yield Measured(
                f"{env_id}, one decision, p{percent}", "ms", [float(np.percentile(times, percent))], []
            )
        values = [
            len(some) / seconds_of(partial(reasons, scorer, some), clock) for _ in range(options.rounds)
        ]
        yield Measured(f"{env_id}, {some.shape[1]} features, reasons", "explanations/s", values, [])


SECTIONS = {"learning": learning, "frames": frames, "simulators": simulators, "scoring": scoring}


if __name__ == "__main__":
    parser = parser_of(__doc__, SECTIONS)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true")
    run_sections(SECTIONS, parser)
