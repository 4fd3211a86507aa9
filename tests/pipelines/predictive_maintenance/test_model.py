"""Networks: ends that cannot cross, an estimate that the interval does not move, errors that sum to the score."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines.predictive_maintenance.config import ModelConfig
from pipelines.predictive_maintenance.model import FAILS, HIGH, LOW, RUL, CnnLstm, Ensemble
from pipelines.predictive_maintenance.train import new_autoencoder, new_network

CHANNELS = 5


def network(seed: int = 0) -> CnnLstm:
    torch.manual_seed(seed)
    return new_network(CHANNELS, ModelConfig(channels=8, hidden_size=8))


def windows(seed: int = 0, size: int = 12) -> Tensor:
    return torch.randn(size, 16, CHANNELS, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_ends_of_the_interval_never_cross_the_estimate(seed, scale):
    found = network(seed).eval()(scale * windows(seed))
    assert (found[:, LOW] <= found[:, RUL]).all()
    assert (found[:, RUL] <= found[:, HIGH]).all()


def test_losses_of_the_ends_do_not_move_the_estimate():
    model = network().eval()
    found = model(windows())
    through_ends = torch.autograd.grad(found[:, [LOW, HIGH]].sum(), model.head[-1].weight, retain_graph=True)[
        0
    ]
    assert not through_ends[RUL].any()
    assert through_ends[LOW].any()
    assert torch.autograd.grad(found[:, RUL].sum(), model.head[-1].weight)[0][RUL].any()


def test_noise_is_added_in_training_alone():
    model = network()
    assert not torch.equal(model(windows()), model(windows()))
    model.eval()
    assert torch.equal(model(windows()), model(windows()))


def test_an_ensemble_gives_the_mean_of_its_networks():
    members = [network(seed).eval() for seed in range(3)]
    expected = sum(member(windows()) for member in members) / 3
    torch.testing.assert_close(Ensemble(list(members)).eval()(windows()), expected)


@pytest.mark.parametrize("length", [8, 9, 50])
def test_windows_of_any_allowed_length_give_one_forecast_each(length):
    found = network().eval()(torch.randn(3, length, CHANNELS))
    assert found.shape == (3, FAILS + 1)
    assert torch.isfinite(found).all()


def test_errors_of_the_channels_sum_to_the_anomaly_score_and_a_strange_channel_stands_out():
    torch.manual_seed(0)
    model = new_autoencoder(CHANNELS, ModelConfig(hidden_size=8, code_size=3)).eval()
    model.mean_error.copy_(model.squared_errors(windows(1, 200)).mean(0).detach())
    score, errors = model(windows(1, 200)), model.errors(windows(1, 200))
    torch.testing.assert_close(errors.sum(1), score)
    assert score.mean().item() == pytest.approx(1.0, abs=1e-4)
    strange = windows(2)
    strange[:, :, 3] += 6.0
    assert (model.errors(strange).argmax(1) == 3).all()
    assert model(strange).min() > score.mean()
