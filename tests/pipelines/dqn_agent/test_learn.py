"""Learning: each seed lives its own life, whoever learns beside it."""

from collections.abc import Sequence

import pytest
import torch

from pipelines.dqn_agent.config import (
    EnvironmentConfig,
    ExplorationConfig,
    LearningConfig,
    NetworkConfig,
)
from pipelines.dqn_agent.learn import Learner
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.networks import of_seed
from shared.errors import FieldworkError

NETWORK = NetworkConfig(hidden=(16,))


def _learner(seeds: Sequence[int], network: NetworkConfig = NETWORK, **learning: object) -> Learner:
    knobs = {"steps": 400, "starts": 60, "steps_per_update": 4, "batch_size": 16, "learning_rate": 1e-3}
    return Learner(
        [Stepper(make_vector("CartPole-v1", 4, EnvironmentConfig())) for _ in seeds],
        seeds,
        network,
        LearningConfig.model_validate(knobs | {"discount": 0.99} | learning),
        ExplorationConfig(),
    )


@pytest.mark.parametrize("priority_power", [0.0, 0.6], ids=["even", "prioritised"])
def test_a_seed_learns_the_same_alone_and_beside_others(priority_power: float) -> None:
    beside, alone = (
        _learner((4, 7, 9), priority_power=priority_power),
        _learner((7,), priority_power=priority_power),
    )
    for learner in (beside, alone):
        learner.run(160)
    own = of_seed(beside.network, 1)
    for name, value in alone.network.state_dict().items():
        assert torch.allclose(value, own[name], atol=1e-4), name
    assert alone.counts.updates == beside.counts.updates > 10


def test_the_same_seed_repeats_itself_bit_for_bit() -> None:
    first, again = _learner((1, 2), num_steps=3), _learner((1, 2), num_steps=3)
    for learner in (first, again):
        learner.run(200)
    for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_all_switches_together_learn() -> None:
    rainbow = NetworkConfig(hidden=(16,), dueling=True, noisy=True, distribution="atoms", atoms=11)
    learner = _learner((0, 1), rainbow, num_steps=3, priority_power=0.5, double=True)
    before = [parameter.clone() for parameter in learner.network.parameters()]
    learner.run(200)
    assert learner.random_share == 0.0
    assert all(
        not torch.equal(old, new) for old, new in zip(before, learner.network.parameters(), strict=True)
    )


def test_fewer_actions_are_random_as_steps_pass() -> None:
    learner = _learner((0,))
    assert learner.random_share == 1.0
    learner.run(400)
    assert learner.random_share == pytest.approx(0.1)


def test_divergence_is_said_with_the_way_out() -> None:
    learner = _learner((0,), clip_norm=None)
    with torch.no_grad():
        next(learner.network.parameters()).fill_(float("nan"))
    with pytest.raises(FieldworkError, match=r"diverged.*learning\.learning_rate"):
        learner.run(400)
