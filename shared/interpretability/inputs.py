"""The inputs of a model as named parts, and layers whose outputs are replaced while it runs."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import RequestError

Inputs = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
Score = Callable[[Any], Tensor]


@dataclass(frozen=True, slots=True)
class Parts:
    """A tensor, tuple or mapping of tensors that share their first axis, the rows."""

    tensors: dict[str, Tensor]
    kind: str

    @classmethod
    def of(cls, inputs: Inputs, model: nn.Module) -> "Parts":
        """The inputs on the model's device, cut off from any graph that they came from."""
        if isinstance(inputs, Tensor):
            tensors, kind = {"input": inputs}, "tensor"
        elif isinstance(inputs, Mapping):
            tensors, kind = dict(inputs), "mapping"
        else:
            tensors, kind = {f"input {i}": tensor for i, tensor in enumerate(inputs)}, "tuple"
        lengths = {len(tensor) if tensor.ndim else -1 for tensor in tensors.values()}
        if len(lengths) != 1 or -1 in lengths:
            shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
            raise RequestError(f"Expected input tensors with the same number of rows. Received {shapes}.")
        parameter = next(model.parameters(), None)
        if parameter is not None:
            tensors = {name: tensor.to(parameter.device) for name, tensor in tensors.items()}
        # A tensor made under inference_mode cannot take part in autograd; its clone can.
        return cls({n: t.clone() if t.is_inference() else t.detach() for n, t in tensors.items()}, kind)

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    @property
    def device(self) -> torch.device:
        return next(iter(self.tensors.values())).device

    def rows(self, index: slice | Tensor) -> "Parts":
        return Parts({name: tensor[index] for name, tensor in self.tensors.items()}, self.kind)

    def floating(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.tensors.items() if tensor.is_floating_point()}

    def native(self) -> Any:
        """The structure that the caller passed."""
        if self.kind == "tensor":
            return next(iter(self.tensors.values()))
        return tuple(self.tensors.values()) if self.kind == "tuple" else dict(self.tensors)


def points_per_pass(requested: int | None, tensors: Iterable[Tensor], most: int) -> int:
    """How many points go through the model at once: the request, or at most 16 MB of float32 inputs.

    The activations of a convolutional network are tens of times its inputs, so an image gets far fewer points
    than a table's row.
    """
    if requested is not None:
        return max(1, requested)
    elements = sum(math.prod(tensor.shape[1:]) for tensor in tensors)
    return max(1, min(most, 2**22 // max(1, elements)))


def scorer(model: nn.Module, score: Score | None) -> Callable[[Parts], Tensor]:
    """One number per row from parts: `score(inputs)`, or the model called with its inputs as it expects them.

    A tensor is passed as such, a tuple as positional and a mapping as keyword arguments.
    """

    def call(parts: Parts) -> Tensor:
        inputs = parts.native()
        if score is not None:
            result = score(inputs)
        elif parts.kind == "tuple":
            result = model(*inputs)
        else:
            result = model(**inputs) if parts.kind == "mapping" else model(inputs)
        if not isinstance(result, Tensor) or result.numel() != len(parts) or len(result) != len(parts):
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise RequestError(
                f"Expected one number per row ({len(parts)},) to explain. Received {shape}:"
                " pass score=, a function of the inputs that picks one output."
            )
        return result.reshape(len(parts))

    return call


@contextmanager
def replaced(outputs: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """Inside, each of these layers returns the given tensor instead of its own output."""
    calls = dict.fromkeys(outputs, 0)

    def substitute(module: nn.Module, _: Any, original: Tensor) -> Tensor:
        calls[module] += 1
        if calls[module] > 1:
            raise RequestError(
                f"Expected {module} to run once in a forward pass. Received a second call:"
                " give each use its own layer, or explain an earlier one."
            )
        if original.shape != outputs[module].shape:
            raise RequestError(
                f"Expected {module} to return {tuple(outputs[module].shape)}."
                f" Received {tuple(original.shape)}: inputs and baseline need the same shape."
            )
        return outputs[module]

    with ExitStack() as stack:
        for module in outputs:
            stack.callback(module.register_forward_hook(substitute).remove)
        yield


def layer_outputs(layers: Sequence[nn.Module], run: Callable[[], object]) -> dict[nn.Module, Tensor]:
    """What each layer returns while `run()` runs once."""
    seen: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, _: Any, output: Tensor) -> None:
        if not isinstance(output, Tensor):
            raise RequestError(f"Expected {module} to return a tensor. Received {type(output).__name__}.")
        seen[module] = output.detach()

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(record).remove)
        run()
    missing = [str(layer) for layer in layers if layer not in seen]
    if missing:
        raise RequestError(f"Expected the model to run {missing[0]}. It did not: pass a layer of this model.")
    return seen
