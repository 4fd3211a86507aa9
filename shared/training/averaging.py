"""Copies of a network's weights: the moving average (EMA) and the best ones so far."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name, detached but sharing memory; tied ones once."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


class WeightCopy:
    """A copy of some tensors in memory of its own."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.tensors = [tensor.detach().clone() for tensor in tensors]

    def take(self, source: Sequence[Tensor]) -> None:
        copy_all(self.tensors, source)

    def give(self, target: Sequence[Tensor]) -> None:
        copy_all(target, self.tensors)


class MovingAverage(WeightCopy):
    """Exponential moving average of the parameters; buffers are those of the latest step.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that a short run is not dominated by its start.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        super().__init__(parameters)
        self._parameters, self._decay = [parameter.detach() for parameter in parameters], decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.tensors, self._parameters, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the average inside the block, and its own weights again afterwards."""
        own = WeightCopy(self._parameters)
        self.give(self._parameters)
        try:
            yield
        finally:
            own.give(self._parameters)


@torch.no_grad()
def copy_all(target: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    if target:
        torch._foreach_copy_(list(target), list(source))


def restore_named(target: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    copy_all([target[name] for name in source], list(source.values()))
