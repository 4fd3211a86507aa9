"""Losses: against the formulas on small numbers."""

import pytest
import torch

from pipelines.dqn_agent.config import NetworkConfig
from pipelines.dqn_agent.losses import losses
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.replay import Drawn


def _drawn(reward: float, discount: float) -> Drawn:
    return Drawn(
        torch.rand(1, 5, 3),
        torch.tensor([[0, 1, 0, 1, 0]]),
        torch.full((1, 5), reward),
        torch.rand(1, 5, 3),
        torch.full((1, 5), discount),
        torch.ones(1, 5),
        torch.zeros(1, 5, dtype=torch.int64),
    )


def _networks(**switches: object) -> tuple[QNetwork, QNetwork]:
    torch.manual_seed(0)
    config = NetworkConfig.model_validate({"hidden": (8,), **switches})
    return QNetwork(1, (3,), 2, config), QNetwork(1, (3,), 2, config)


@pytest.mark.parametrize("double", [False, True])
def test_the_mean_is_drawn_to_reward_and_discounted_estimate(double: bool) -> None:
    network, target = _networks()
    drawn = _drawn(0.5, 0.9)
    _, error = losses(network, target, drawn, double=double)
    chooser = network if double else target
    best = chooser.values(drawn.next_observation).argmax(-1, keepdim=True)
    later = target.values(drawn.next_observation).gather(-1, best)[..., 0]
    said = network.values(drawn.observation).gather(-1, drawn.action[..., None])[..., 0]
    assert torch.allclose(error, 0.5 + 0.9 * later - said, atol=1e-6)


def test_after_a_termination_nothing_follows() -> None:
    network, target = _networks()
    drawn = _drawn(2.0, 0.0)
    said = network.values(drawn.observation).gather(-1, drawn.action[..., None])[..., 0]
    _, error = losses(network, target, drawn, double=True)
    assert torch.allclose(error, 2.0 - said, atol=1e-6)


@pytest.mark.parametrize(("reward", "share_below"), [(1.0, 1.0), (1.25, 0.75), (9.0, 0.0)])
def test_atoms_share_a_return_that_lies_between_them(reward: float, share_below: float) -> None:
    network, target = _networks(distribution="atoms", atoms=3, lowest=0.0, highest=2.0)
    drawn = _drawn(reward, 0.0)
    loss, _ = losses(network, target, drawn, double=False)
    said = network(drawn.observation).gather(2, drawn.action[..., None, None].expand(1, 5, 1, 3))[:, :, 0]
    logs = said.log_softmax(-1)
    expected = -(share_below * logs[..., 1] + (1 - share_below) * logs[..., 2])
    assert torch.allclose(loss, expected, atol=1e-5)


def test_quantiles_settle_at_the_quantiles_of_the_return() -> None:
    torch.manual_seed(0)
    network, target = _networks(distribution="quantiles", atoms=4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
    observation = torch.zeros(1, 256, 3)
    for _ in range(400):
        reward = 60 * torch.rand(1, 256)  # far wider than the Huber loss is round
        none = torch.zeros(1, 256, dtype=torch.int64)
        drawn = Drawn(observation, none, reward, observation, torch.zeros(1, 256), torch.ones(1, 256), none)
        loss, _ = losses(network, target, drawn, double=False)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    found = network(observation[:, :1])[0, 0, 0].detach()
    assert torch.allclose(found, torch.tensor([7.5, 22.5, 37.5, 52.5]), atol=4)
