"""Policies whose reasons are known: networks that are set by hand to be linear in what they see."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import (
    AgentConfig,
    EnvironmentConfig,
    EvaluationConfig,
    ExplanationConfig,
    NetworkConfig,
)
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.visited import Visited

LinearScorer = Callable[..., Scorer]


def config_of(**explanation: object) -> AgentConfig:
    return AgentConfig(
        num_seeds=2,
        network=NetworkConfig(hidden=(8,)),
        evaluation=EvaluationConfig(num_episodes=6, num_selection_episodes=4, num_bootstraps=100),
        explanation=ExplanationConfig(**{"num_checked": 30, "film_steps": 40, **explanation}),
    )


@pytest.fixture(scope="session")
def linear_scorer() -> LinearScorer:
    """A scorer whose values are `weights @ observation + bias`, in the unit of the reward."""

    def make(
        card: Card,
        weights: Sequence[Sequence[float]],
        states: np.ndarray,
        bias: Sequence[float] | None = None,
        config: AgentConfig | None = None,
    ) -> Scorer:
        slopes = np.array(weights, dtype=np.float32) / card.reward_scale
        num_actions, num_features = slopes.shape
        config = config or config_of()
        network = NetworkConfig(hidden=(2 * num_features,), layer_norm=False)
        config = config.model_copy(update={"network": network})
        net = QNetwork(1, (num_features,), num_actions, network)
        both = np.concatenate([np.eye(num_features), -np.eye(num_features)])
        with torch.no_grad():
            net.trunk[0].weight.copy_(torch.from_numpy(both)[None])
            net.trunk[0].bias.zero_()
            net.advantage.weight.copy_(torch.from_numpy(np.concatenate([slopes, -slopes], axis=1))[None])
            net.advantage.bias.copy_(
                torch.tensor(bias or [0.0] * num_actions).view(1, 1, -1) / card.reward_scale
            )
        return Scorer.of(card, config, net.state_dict(), Visited.of(states))

    return make


@pytest.fixture(scope="session")
def random_policy() -> Callable[..., tuple[Scorer, np.ndarray]]:
    """A scorer of an environment whose network learnt nothing, and states that it visited."""

    def make(env_id: str, config: AgentConfig | None = None, steps: int = 60) -> tuple[Scorer, np.ndarray]:
        config = config or config_of()
        card = card_of(env_id, config.environment)
        stepper = Stepper(make_vector(env_id, 8, config.environment))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = QNetwork(1, stepper.shape, stepper.num_actions, config.network)
        scorer = Scorer.of(card, config, network.state_dict())
        seen = [stepper.reset(0)]
        for _ in range(steps):
            seen.append(stepper.step(scorer.act(seen[-1])).observation)
        stepper.close()
        states = np.concatenate(seen)
        return scorer.with_visited(Visited.of(states)), states

    return make


@pytest.fixture(scope="session")
def frames_policy() -> tuple[Scorer, np.ndarray]:
    """A scorer that sees two stacked frames, and such frames: noise with a bright square at different places."""
    card = Card(id="ALE/Pong-v5", image=(1, 40, 40), actions=("up", "down", "stay"), reward_unit="points")
    config = config_of().model_copy(update={"environment": EnvironmentConfig(frame_stack=2)})
    random = np.random.default_rng(0)
    frames = random.integers(0, 40, (24, 2, 40, 40), dtype=np.uint8)
    for number, frame in enumerate(frames):
        frame[:, number : number + 8, 10:18] = 255
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = QNetwork(1, (2, 40, 40), 3, config.network)
    return Scorer.of(card, config, network.state_dict(), Visited.of(frames)), frames
