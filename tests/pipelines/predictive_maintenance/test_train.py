"""Training: what a running machine teaches, the same seed the same network, members that differ."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.predictive_maintenance.model import FAILS, HIGH, LOW, RUL
from pipelines.predictive_maintenance.targets import healthy_rows
from pipelines.predictive_maintenance.train import Trainer, forecast_loss, outputs
from pipelines.predictive_maintenance.windows import Windows


class Fixed(nn.Module):
    """Says the same four numbers, its parameters, of every window."""

    def __init__(self, *said: float) -> None:
        super().__init__()
        self.said = nn.Parameter(torch.tensor(said))

    def forward(self, windows: Tensor) -> Tensor:
        return self.said.expand(len(windows), 4)


def gradient(said: tuple[float, ...], *, rul: float, is_bound: bool, fails: float, is_known: float) -> Tensor:
    windows = Windows.of(np.zeros((3, 2), dtype=np.float32), np.zeros(3, dtype=np.int64), 2)
    loss = forecast_loss(windows, coverage=0.9, interval_weight=1.0, horizon_weight=1.0)
    model = Fixed(*said)
    batch = {
        "row": torch.tensor([1]),
        "rul": torch.tensor([rul]),
        "is_bound": torch.tensor([is_bound]),
        "fails": torch.tensor([fails]),
        "is_known": torch.tensor([is_known]),
    }
    return torch.autograd.grad(loss(model, batch), model.said)[0]


def test_a_running_machine_teaches_nothing_to_a_forecast_above_what_it_has_run_for():
    found = gradient((0.8, 0.5, 0.9, 0.0), rul=0.4, is_bound=True, fails=0.0, is_known=0.0)
    assert not found.any()


def test_a_running_machine_pulls_a_forecast_below_what_it_has_run_for_up():
    found = gradient((0.3, 0.2, 0.4, 0.0), rul=0.6, is_bound=True, fails=0.0, is_known=0.0)
    assert found[RUL].item() == pytest.approx(-0.6)
    assert not found[[LOW, HIGH, FAILS]].any()


def test_a_failed_machine_pulls_from_both_sides_and_teaches_both_ends():
    above = gradient((0.8, 0.1, 0.7, 0.0), rul=0.4, is_bound=False, fails=1.0, is_known=1.0)
    assert above[RUL].item() == pytest.approx(0.8)
    assert above[LOW].item() == pytest.approx(-0.05)
    assert above[HIGH].item() == pytest.approx(0.05)
    assert above[FAILS].item() == pytest.approx(-0.5)


def test_the_same_seed_gives_the_same_network_and_members_differ(small):
    data = small.trainer.learnable(small.fleet.of_units(small.division.train[:6]), small.scorer.preparation)
    first, again, other = (
        small.trainer.forecaster(data, seed, "network")[0].state_dict() for seed in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_score_of_one_is_usual_on_the_healthy_windows_of_the_training(small):
    data = small.trainer.learnable(small.fleet.of_units(small.division.train), small.scorer.preparation)
    healthy = healthy_rows(data.fleet, data.targets, small.trainer.scale)
    network, result = small.trainer.autoencoder(data, healthy, "autoencoder")
    assert outputs(network.eval(), data.inputs.windows, healthy).mean() == pytest.approx(1.0, abs=1e-3)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]


def test_small_fleets_are_trained_for_the_steps_asked_for(small):
    data = small.trainer.learnable(small.fleet.of_units(small.division.train[:2]), small.scorer.preparation)
    _, result = Trainer(small.config, small.trainer.scale).forecaster(data, 0, "network")
    assert result.steps >= small.config.training.min_steps
