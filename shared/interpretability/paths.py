"""Points between baselines and rows, and the model's outputs and gradients there."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.inputs import (
    Inputs,
    Parts,
    Score,
    layer_outputs,
    points_per_pass,
    replaced,
    scorer,
)

Embeddings = nn.Module | Sequence[nn.Module] | None


@dataclass(frozen=True, slots=True)
class Ends:
    """Rows or baselines: the inputs, and the tensors that are explained (inputs or embedding outputs)."""

    parts: Parts
    explained: tuple[Tensor, ...]

    def rows(self, index: slice | Tensor) -> "Ends":
        return Ends(self.parts.rows(index), tuple(tensor[index] for tensor in self.explained))

    def __len__(self) -> int:
        return len(self.parts)


class Paths:
    """Evaluates a model and its gradients at points between baselines and rows."""

    def __init__(
        self, model: nn.Module, score: Score | None, embedding: Embeddings, num_points: int | None
    ) -> None:
        self.num_points = num_points
        self.model, self.score = model, scorer(model, score)
        self.layers = [embedding] if isinstance(embedding, nn.Module) else list(embedding or ())

    def ends(self, inputs: Inputs) -> Ends:
        parts = Parts.of(inputs, self.model)
        if not self.layers:
            explained = tuple(parts.floating().values())
            if not explained:
                raise RequestError(
                    "Expected at least one floating point input. Received only integers: pass embedding=,"
                    " the layer that turns them into vectors."
                )
            return Ends(parts, explained)
        blocks, num_points = [], points_per_pass(self.num_points, parts.tensors.values(), 512)
        with torch.no_grad():
            for start in range(0, max(1, len(parts)), num_points):
                block = parts.rows(slice(start, start + num_points))
                seen = layer_outputs(self.layers, lambda block=block: self.score(block))  # type: ignore[misc]
                blocks.append([seen[layer] for layer in self.layers])
        return Ends(parts, tuple(torch.cat(tensors) for tensors in zip(*blocks, strict=True)))

    def limit(self, ends: Ends) -> int:
        return points_per_pass(self.num_points, ends.explained, 5000)

    def outputs(self, ends: Ends) -> Tensor:
        num_points = self.limit(ends)
        with torch.no_grad():
            starts = range(0, max(1, len(ends)), num_points)
            found = torch.cat([self.score(ends.parts.rows(slice(s, s + num_points))) for s in starts])
        if not torch.isfinite(found).all():
            raise RequestError(
                "Expected finite outputs to explain. Received NaN or infinity: look for missing values in the"
                " inputs or the baseline."
            )
        return found

    def repeated(self, parts: Parts, times: int) -> Parts:
        """The inputs of `times` points for every row. What the points replace is not copied."""
        fixed = (
            parts.tensors
            if self.layers
            else {n: t for n, t in parts.tensors.items() if not t.is_floating_point()}
        )
        copies = {n: t.repeat(times, *[1] * (t.ndim - 1)) for n, t in fixed.items()}
        return Parts(parts.tensors | copies, parts.kind)

    def gradients(self, others: Parts, points: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Gradient of each point's score; `others` holds the inputs that stay as they are."""
        for point in points:
            point.requires_grad_()
        if self.layers:
            with replaced(dict(zip(self.layers, points, strict=True))):
                total = self.score(others).sum()
        else:
            tensors = others.tensors | dict(zip(others.floating(), points, strict=True))
            total = self.score(Parts(tensors, others.kind)).sum()
        if not total.requires_grad:
            return tuple(torch.zeros_like(point) for point in points)
        found = torch.autograd.grad(total, points, allow_unused=True)
        return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(points, found, strict=True))
