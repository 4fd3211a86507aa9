"""Every kind of autoencoder learns what normal beats are; the tails turn values into how rare they are."""

import numpy as np
import pytest
import torch

from pipelines.ecg_anomaly.config import ModelConfig
from pipelines.ecg_anomaly.model import Detector, Tail
from pipelines.ecg_anomaly.train import new_autoencoder

KINDS = ("convolutional", "variational", "lstm")


def beats(num: int = 64) -> torch.Tensor:
    """Beats that differ from the usual one by a bump of random size."""
    torch.manual_seed(0)
    time = torch.linspace(-1, 1, 256)
    usual = torch.exp(-200 * time**2).expand(num, -1)
    difference = torch.randn(num, 1) * torch.exp(-20 * (time - 0.5) ** 2) + 0.05 * torch.randn(num, 256)
    return torch.stack([difference, usual, torch.full_like(usual, -2.0)], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_steps_of_training_lower_the_loss_on_the_same_beats(kind):
    torch.manual_seed(1)
    network, seen = new_autoencoder(256, ModelConfig(kind=kind, channels=4)), beats()
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = network.loss(seen)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_surprise_and_code_have_their_shapes_and_do_not_depend_on_the_other_beats(kind):
    network, seen = new_autoencoder(256, ModelConfig(kind=kind, channels=4)).eval(), beats(8)
    with torch.inference_mode():
        surprise, code = network(seen), network.code(seen)
        assert surprise.shape == (8, 128)
        assert code.shape == (8, 4)
        torch.testing.assert_close(network(seen[2:5]), surprise[2:5], rtol=1e-4, atol=1e-5)


def test_only_the_variational_code_costs_divergence():
    found = {}
    for kind in KINDS:
        torch.manual_seed(0)
        network = new_autoencoder(256, ModelConfig(kind=kind, channels=4)).eval()
        found[kind] = float(network.surprise(beats(8))[1])
    assert found["variational"] > 0
    assert found["convolutional"] == found["lstm"] == 0


@pytest.fixture(scope="module")
def tail() -> Tail:
    fitted = Tail(200).double()
    fitted.fit(torch.from_numpy(np.random.default_rng(0).exponential(2.0, 20_000)))
    return fitted


def test_the_height_of_a_tail_is_minus_the_log_of_the_share_of_normal_beats_above(tail):
    values = torch.tensor([0.5, 2.0, 5.0, 9.0, 15.0], dtype=torch.float64)
    # of an exponential distribution that is the value over its mean, also beyond the last quantile
    torch.testing.assert_close(tail(values), values / 2, rtol=0.06, atol=0.02)


def test_a_tail_never_falls_and_has_a_slope_everywhere_inside(tail):
    values = torch.linspace(0, 60, 3000, dtype=torch.float64).requires_grad_()
    heights = tail(values)
    assert (heights.diff() >= 0).all()
    heights.sum().backward()
    assert values.grad is not None
    assert (values.grad[10:] > 0).all()


def test_a_tail_of_equal_values_stays_finite():
    tail = Tail(50).double()
    tail.fit(torch.cat([torch.zeros(500), torch.ones(3)]))
    found = tail(torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64))
    assert found.isfinite().all()
    assert (found.diff() >= 0).all()


def test_the_score_is_the_sum_of_both_parts_and_an_early_beat_of_the_same_shape_scores_higher():
    torch.manual_seed(0)
    detector = Detector(new_autoencoder(256, ModelConfig(channels=4))).eval()
    detector.shape.fit(detector.autoencoder(beats(400)).mean(1).detach())
    detector.rhythm.fit(torch.randn(400))
    early = torch.tensor([0.0, 1.0, 3.0, 8.0])
    same = beats(1).expand(4, -1, -1)
    with torch.inference_mode():
        parts, score = detector.parts(same, early), detector(same, early)
    torch.testing.assert_close(parts.sum(1), score)
    torch.testing.assert_close(parts[:, 0], parts[:1, 0].expand(4))
    assert (score.diff() > 0).all()
