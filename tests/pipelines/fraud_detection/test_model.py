"""The networks by themselves: bottleneck, independent members, errors that add up."""

import pytest
import torch

from pipelines.fraud_detection.model import Autoencoder, Detector, Head, head_loss, reconstruction_loss

ROWS = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
KINDS = ["plain", "denoising", "variational"]


def _autoencoder(kind="plain", num_members=3):
    torch.manual_seed(1)
    return Autoencoder(7, (16,), 2, num_members=num_members, kind=kind)


def _detector(*, with_head):
    head = Head(15, (8,), num_members=3, dropout=0.5) if with_head else None
    return Detector(_autoencoder(), torch.rand(7) + 0.5, head).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_reconstructions_have_a_layer_for_each_member_and_repeat_in_evaluation(kind):
    network = _autoencoder(kind).eval()
    assert network(ROWS).shape == (3, 50, 7)
    assert torch.equal(network(ROWS), network(ROWS))


@pytest.mark.parametrize("kind", ["denoising", "variational"])
def test_noise_is_drawn_in_training(kind):
    network = _autoencoder(kind).train()
    assert not torch.equal(network(ROWS), network(ROWS))


def test_members_learn_from_their_own_errors_alone():
    network = _autoencoder()
    network(ROWS)[1].square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad[1].abs().sum() > 0
        assert parameter.grad[0].abs().sum() == parameter.grad[2].abs().sum() == 0


def test_bottleneck_lets_through_no_more_than_its_width():
    """A linear network of code size 2 gives reconstructions of rank 2 around their mean."""
    torch.manual_seed(0)
    network = Autoencoder(7, (), 2).eval().double()
    found = network(ROWS.double())[0]
    assert torch.linalg.matrix_rank(found - found.mean(0), tol=1e-8) == 2


def test_variational_loss_is_above_the_error_by_the_divergence():
    network = _autoencoder("variational").eval()
    loss = reconstruction_loss(network, {"x": ROWS})
    assert loss > (network(ROWS) - ROWS).square().mean()


def test_errors_of_features_sum_to_the_anomaly_score():
    detector = _detector(with_head=False).double()
    rows = ROWS.double()
    torch.testing.assert_close(detector.errors(rows).sum(1), detector.anomaly(rows), rtol=0, atol=1e-12)
    assert torch.equal(detector(rows), detector.anomaly(rows))


def test_usual_errors_make_the_mean_score_of_those_rows_one():
    network = _autoencoder().eval()
    usual = (network(ROWS) - ROWS).square().mean((0, 1)).detach()
    assert Detector(network, usual).anomaly(ROWS).mean().item() == pytest.approx(1, rel=1e-5)


def test_head_begins_at_the_base_rate_and_sees_inputs_and_errors():
    detector = _detector(with_head=True)
    assert detector.head_inputs(ROWS).shape == (50, 15)
    torch.nn.init.zeros_(detector.head.layers[-1].weight)
    detector.head.begin_at(torch.tensor(0.01))
    torch.testing.assert_close(detector(ROWS).sigmoid(), torch.full((50,), 0.01))


def test_head_gives_log_odds_of_each_member_in_training_and_their_mean_after():
    head = Head(7, (8,), num_members=3, dropout=0.0)
    members = head.train()(ROWS)
    assert members.shape == (3, 50)
    torch.testing.assert_close(head.eval()(ROWS), members.mean(0))


def test_head_loss_is_the_cross_entropy_of_all_members():
    head = Head(7, (), num_members=2, dropout=0.0).train()
    target = (torch.arange(50) % 2).float()
    probability = head(ROWS).sigmoid()
    by_hand = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    torch.testing.assert_close(head_loss(head, {"x": ROWS, "target": target}), by_hand)
