"""Dropout keeps the mean, silences the stated share, and repeats with the generator."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.training.dropout import dropout


@pytest.mark.parametrize("probability", [0.05, 0.4, 0.5, 0.9])
def test_the_stated_share_is_silenced_and_the_mean_is_kept(probability: float) -> None:
    torch.manual_seed(0)
    dropped = dropout(torch.ones(400_000), probability, training=True)
    assert (dropped == 0).float().mean().item() == pytest.approx(probability, abs=0.006)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_neighbouring_values_are_silenced_independently() -> None:
    torch.manual_seed(1)
    kept = (dropout(torch.ones(400_000), 0.5, training=True) > 0).float()
    for distance in (1, 2, 3, 4, 8):
        together = (kept[:-distance] * kept[distance:]).mean().item()
        assert together == pytest.approx(0.25, abs=0.005)


def test_nothing_is_silenced_outside_training_or_at_zero() -> None:
    x = torch.randn(7, 3)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x


def test_the_same_generator_state_gives_the_same_mask() -> None:
    x = torch.randn(5, 11)
    torch.manual_seed(3)
    first = dropout(x, 0.3, training=True)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.3, training=True))


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(0, 9), min_size=1, max_size=3), probability=st.floats(0.01, 0.99))
def test_any_shape_keeps_its_shape_and_gradient_follows_the_mask(
    shape: list[int], probability: float
) -> None:
    x = torch.ones(shape, requires_grad=True)
    dropped = dropout(x, probability, training=True)
    assert dropped.shape == x.shape
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())
