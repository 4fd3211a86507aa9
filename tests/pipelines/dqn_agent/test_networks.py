"""Networks of many seeds: each is what it would be alone, with every switch."""

import pytest
import torch

from pipelines.dqn_agent.config import NetworkConfig
from pipelines.dqn_agent.learn import clip_by_seed, together
from pipelines.dqn_agent.networks import QNetwork, of_seed

SWITCHES = [
    NetworkConfig(hidden=(8, 6)),
    NetworkConfig(hidden=(8,), dueling=True),
    NetworkConfig(hidden=(8,), noisy=True),
    NetworkConfig(hidden=(8,), distribution="atoms", atoms=5, dueling=True),
    NetworkConfig(hidden=(8,), distribution="quantiles", atoms=4),
]
NAMES = ["plain", "dueling", "noisy", "atoms", "quantiles"]


@pytest.mark.parametrize("config", SWITCHES, ids=NAMES)
@pytest.mark.parametrize("shape", [(4,), (1, 84, 84)], ids=["features", "frames"])
def test_seeds_side_by_side_are_what_each_is_alone(config: NetworkConfig, shape: tuple[int, ...]) -> None:
    seeds = (3, 5)
    whole = together(seeds, shape, 3, config).eval()
    observations = torch.rand(2, 2, *shape)
    found = whole.values(observations)
    assert found.shape == (2, 2, 3)
    for place, seed in enumerate(seeds):
        alone = together((seed,), shape, 3, config).eval()
        assert torch.allclose(alone.values(observations[place : place + 1])[0], found[place], atol=1e-5)
        cut = QNetwork(1, shape, 3, config).eval()
        cut.load_state_dict(of_seed(whole, place))
        assert torch.allclose(cut.values(observations[place : place + 1])[0], found[place], atol=1e-5)


def test_frames_are_bytes_and_mean_the_same_as_shares_of_255() -> None:
    network = together((0,), (1, 84, 84), 2, NetworkConfig()).eval()
    frames = torch.randint(0, 256, (1, 2, 1, 84, 84), dtype=torch.uint8)
    assert torch.allclose(network.values(frames), network.values(frames.float() / 255))


def test_noise_is_for_training_alone_and_drawn_anew() -> None:
    network = together((0,), (4,), 2, NetworkConfig(noisy=True))
    observation = torch.rand(1, 3, 4)
    first = network.values(observation)
    assert torch.equal(first, network.values(observation))
    network.draw_noise()
    assert not torch.equal(first, network.values(observation))
    network.eval()
    before = network.values(observation)
    network.draw_noise()
    assert torch.equal(before, network.values(observation))


def test_a_large_gradient_of_one_seed_does_not_shrink_that_of_another() -> None:
    network = together((0, 1), (4,), 2, NetworkConfig(hidden=(4,)))
    scale = torch.tensor([1e-3, 1e6]).view(2, 1, 1)
    (network.values(torch.rand(2, 8, 4)) * scale).sum().backward()
    before = [parameter.grad.clone() for parameter in network.parameters()]
    clip_by_seed(network, 1.0)
    after = [parameter.grad for parameter in network.parameters()]
    assert all(torch.equal(old[0], new[0]) for old, new in zip(before, after, strict=True))
    norm = torch.stack([gradient[1].square().sum() for gradient in after]).sum().sqrt()
    assert float(norm) == pytest.approx(1.0, rel=1e-3)
