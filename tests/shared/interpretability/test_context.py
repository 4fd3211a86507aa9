"""`explaining` must leave no trace: the same model goes on training or serving afterwards."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from shared.interpretability.context import explaining


def _state(model: nn.Module) -> list[object]:
    return [
        [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in model.modules()],
        [(p.requires_grad, p.grad is None) for p in model.parameters()],
    ]


@pytest.fixture
def model() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model(torch.randn(5, 3)).sum().backward()
    return model


def test_mixed_modes_and_frozen_parameters_come_back_as_they_were(model: nn.Module) -> None:
    before, gradient = _state(model), model[3].weight.grad
    with explaining(model):
        assert not any(m.training for m in model.modules())
        assert not any(p.requires_grad for p in model.parameters())
    assert _state(model) == before
    assert model[3].weight.grad is gradient


def test_an_exception_inside_restores_everything_too(model: nn.Module) -> None:
    before, cudnn, recording = _state(model), torch.backends.cudnn.enabled, torch.is_grad_enabled()
    recurrent = nn.LSTM(2, 2)
    numbers = torch.get_rng_state()

    def fail() -> None:
        with explaining(model, recurrent, seed=3):
            model[0].register_forward_hook(lambda *_: None)
            torch.rand(3)
            assert not torch.backends.cudnn.enabled
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert _state(model) == before
    assert torch.backends.cudnn.enabled == cudnn
    assert torch.is_grad_enabled() == recording
    assert torch.equal(torch.get_rng_state(), numbers)


def test_only_hooks_added_inside_are_removed_and_old_handles_still_work(model: nn.Module) -> None:
    calls: list[str] = []
    handle = model[0].register_forward_hook(lambda *_: calls.append("old"))
    with explaining(model):
        model[0].register_forward_hook(lambda *_: calls.append("new"))
    model(torch.randn(2, 3))
    assert calls == ["old"]
    handle.remove()
    model(torch.randn(2, 3))
    assert calls == ["old"]


def test_random_generators_are_seeded_inside_and_continue_outside() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = [draw(), draw()]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    first = draw()
    with explaining(seed=7):
        inside = draw()
    with explaining(seed=7):
        assert draw() == inside
    assert [first, draw()] == expected


def test_gradients_flow_to_inputs_even_under_inference_mode(model: nn.Module) -> None:
    rows = torch.randn(4, 3)
    for outer in (torch.no_grad(), torch.inference_mode()):
        with outer, explaining(model):
            leaf = rows.clone().requires_grad_()
            assert torch.autograd.grad(model(leaf).sum(), leaf)[0].abs().sum() > 0


def test_batch_norm_statistics_do_not_move(model: nn.Module) -> None:
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    with explaining(model):
        model(torch.randn(50, 3) + 10)
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_cudnn_is_left_alone_without_a_recurrent_layer(model: nn.Module) -> None:
    with explaining(model):
        assert torch.backends.cudnn.enabled
