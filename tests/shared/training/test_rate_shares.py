"""Learning rates by part of a network."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from shared.training.batches import DeviceBatches
from shared.training.fit import fit
from shared.training.settings import FitSettings


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))


def _moved(shares: dict[str, float], schedule: str = "constant") -> list[float]:
    """How far each layer's weights moved in one step of plain gradient descent."""
    network = _network()
    before = [layer.weight.detach().clone() for layer in network]
    rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    fit(
        network,
        lambda model, batch: model(batch["x"]).square().mean(),
        DeviceBatches({"x": rows}, 8, seed=0),
        FitSettings(
            epochs=1, optimizer="sgd", momentum=0, learning_rate=0.1, rate_shares=shares, schedule=schedule
        ),
    )
    return [float((layer.weight.detach() - old).norm()) for layer, old in zip(network, before, strict=True)]


def test_a_share_scales_the_steps_of_its_parameters_alone() -> None:
    whole, part = _moved({}), _moved({"0.": 0.25})
    assert part[0] == pytest.approx(0.25 * whole[0], rel=1e-4)
    assert part[1] == pytest.approx(whole[1], rel=1e-6)


def test_the_longest_beginning_counts() -> None:
    whole, part = _moved({}), _moved({"": 0.5, "1": 0.1})
    assert part[0] == pytest.approx(0.5 * whole[0], rel=1e-4)
    assert part[1] == pytest.approx(0.1 * whole[1], rel=1e-4)


def test_schedules_keep_the_shares() -> None:
    whole, part = _moved({}, "cosine"), _moved({"0.": 0.25}, "cosine")
    assert part[0] == pytest.approx(0.25 * whole[0], rel=1e-4)


def test_shares_are_above_zero_and_part_of_what_a_checkpoint_belongs_to() -> None:
    with pytest.raises(ValidationError, match="above 0"):
        FitSettings(rate_shares={"0.": 0.0})
    assert FitSettings(rate_shares={"0.": 0.5}).fingerprint() != FitSettings().fingerprint()
