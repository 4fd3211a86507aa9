"""Networks of many seeds: each is what it would be alone, with every switch."""

import pytest
import torch

from pipelines.dqn_agent.config import NetworkConfig
from pipelines.dqn_agent.flat import Flat
from pipelines.dqn_agent.learn import together
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
    found = network.values(frames)
    network.scale_by(torch.zeros(1), torch.ones(1))
    assert torch.allclose(found, network.values(frames.float() / 255), atol=1e-6)


def test_features_are_seen_about_their_centre_in_units_of_their_spread() -> None:
    network = together((0, 1), (2,), 2, NetworkConfig(hidden=(4,))).eval()
    shown = torch.rand(2, 3, 2)
    before = network.values(shown)
    centre, spread = torch.tensor([5.0, -3.0]), torch.tensor([0.1, 40.0])
    network.scale_by(centre, spread)
    assert torch.allclose(network.values(shown * spread + centre), before, atol=1e-5)


def test_noise_is_for_training_alone_and_drawn_anew() -> None:
    network = together((0,), (4,), 2, NetworkConfig(noisy=True))
    observation = torch.rand(1, 3, 4)
    first = network.values(observation)
    assert torch.equal(first, network.values(observation))
    network.draw_noise([torch.Generator().manual_seed(1)])
    assert not torch.equal(first, network.values(observation))
    network.eval()
    before = network.values(observation)
    network.draw_noise([torch.Generator().manual_seed(2)])
    assert torch.equal(before, network.values(observation))


def test_a_large_gradient_of_one_seed_does_not_shrink_that_of_another() -> None:
    network = together((0, 1), (4,), 2, NetworkConfig(hidden=(4,)))
    flat = Flat(network)
    scale = torch.tensor([1e-3, 1e6]).view(2, 1, 1)
    flat.backward((network.values(torch.rand(2, 8, 4)) * scale).sum())
    before = flat.gradients.clone()
    flat.clip(1.0)
    assert torch.equal(flat.gradients[0], before[0])
    assert float(flat.gradients[1].norm()) == pytest.approx(1.0, rel=1e-3)


def test_weights_side_by_side_are_the_networks_own() -> None:
    network = together((0, 1), (4,), 2, NetworkConfig(hidden=(4,), dueling=True, noisy=True))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flat = Flat(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    shown = torch.rand(2, 8, 4)
    wanted = torch.autograd.grad(network.values(shown).square().sum(), list(network.parameters()))
    flat.backward(network.values(shown).square().sum())
    assert torch.equal(flat.gradients, torch.cat([each.flatten(1) for each in wanted], dim=1))
    with torch.no_grad():
        flat.weights.fill_(0.0)
    assert network.values(shown).abs().sum() == 0
