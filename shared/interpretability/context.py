"""The state in which a model is explained, and its exact restoration afterwards."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def explaining(*models: Any, seed: int | None = None) -> Iterator[None]:
    """Puts models into eval mode with gradients for inputs only; restores everything, also after errors.

    Inside: every submodule is in eval mode, parameters need no gradient, autograd records even when the
    caller is under `no_grad` or `inference_mode`, and the random generators start from `seed` when it is
    given. Restored: the train/eval mode of every single submodule, `requires_grad` and `grad` of every
    parameter, hooks, and the Python, NumPy, torch and CUDA generators. Arguments that are not modules (plain
    functions) are ignored.

    cuDNN refuses the backward pass of an RNN in eval mode, so it is switched off, inside the context only,
    when a model has one. The state of a model is not per thread: threads that share a model should freeze it
    first (`eval()`, `requires_grad_(False)`); then there is nothing to switch back and forth.
    """
    modules = list(
        dict.fromkeys(m for model in models if isinstance(model, nn.Module) for m in model.modules())
    )
    parameters = list(dict.fromkeys(p for module in modules for p in module.parameters(recurse=False)))
    with ExitStack() as stack:
        stack.callback(_restore_generators, _generators())
        stack.callback(_restore_modules, [(m, m.training, _hooks(m)) for m in modules])
        stack.callback(_restore_parameters, [(p, p.requires_grad, p.grad) for p in parameters])
        if any(isinstance(module, nn.RNNBase) for module in modules):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for module in modules:
            module.training = False
        for parameter in parameters:
            parameter.requires_grad_(False)
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the model may draw from the global generator
            torch.manual_seed(seed)
        yield


def _hooks(module: nn.Module) -> tuple[dict[str, dict[int, Any]], Any]:
    return {name: dict(getattr(module, name)) for name in HOOK_TABLES}, module._is_full_backward_hook


def _restore_modules(states: list[tuple[nn.Module, bool, tuple[dict[str, dict[int, Any]], Any]]]) -> None:
    for module, training, (tables, is_full_backward_hook) in states:
        module.training = training
        for name, entries in tables.items():
            # The table stays the same object: handles of hooks that were there before refer to it.
            table = getattr(module, name)
            table.clear()
            table.update(entries)
        module._is_full_backward_hook = is_full_backward_hook


def _restore_parameters(states: list[tuple[nn.Parameter, bool, torch.Tensor | None]]) -> None:
    for parameter, requires_grad, grad in states:
        parameter.requires_grad_(requires_grad)
        parameter.grad = grad


def _generators() -> tuple[Any, Any, torch.Tensor, list[torch.Tensor]]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda  # noqa: NPY002


def _restore_generators(state: tuple[Any, Any, torch.Tensor, list[torch.Tensor]]) -> None:
    python, numpy, cpu, cuda = state
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)
