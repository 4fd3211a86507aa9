"""Grad-CAM for signals, images and volumes, without making noise look like signal.

Source: Selvaraju et al. 2017 (arXiv 1610.02391). What differs: the map is never stretched to its own minimum
and maximum, which makes an empty map as bright as a strong one. Zero stays zero, and the value drawn at full
intensity is part of the result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from shared.errors import RequestError
from shared.interpretability.context import explaining
from shared.interpretability.inputs import Inputs, Parts, Score, scorer

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, slots=True)
class ClassActivation:
    """Where a layer saw evidence for the target.

    `raw` (rows, *layer axes) keeps sign and scale: mean gradient times activation, summed over channels.
    `map` (rows, *input axes) is its positive part at the input's size, on the same scale. `scale` is the
    value of `map` that is drawn at full intensity. `negative_share` (rows,) is the share of the raw map's
    absolute sum that speaks against the target and is not drawn: near 1 the picture hides the story.
    """

    raw: np.ndarray
    map: np.ndarray
    scale: float
    negative_share: np.ndarray
    output: np.ndarray
    target: str
    layer: str
    method: str = "Grad-CAM"

    def display(self, scale: float | None = None) -> np.ndarray:
        """The map between 0 and 1, one scale for all rows; pass the scale of another result to compare."""
        scale = self.scale if scale is None else scale
        return np.clip(self.map / scale, 0.0, 1.0) if scale > 0 else np.zeros_like(self.map)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "target": self.target,
            "layer": self.layer,
            "rows": len(self.raw),
            "display_scale": self.scale,
            "negative_share": [float(share) for share in self.negative_share],
        }


def grad_cam(
    model: nn.Module,
    inputs: Inputs,
    layer: nn.Module,
    *,
    score: Score | None = None,
    size: tuple[int, ...] | None = None,
    num_points: int = 64,
    target: str = "model output",
) -> ClassActivation:
    """Grad-CAM of the output of `layer`, a submodule that returns (rows, channels, 1 to 3 axes).

    `score(inputs)` returns the explained number of each row: a class logit, an anomaly score, for
    segmentation the sum of the class logits over a mask (`masked_score`). `inputs` as in
    `integrated_gradients`; `size` is the size of the map, by default the axes of the first input after its
    channels. `num_points` bounds the rows in one pass. Only the part of the network after the layer is
    differentiated.
    """
    parts = Parts.of(inputs, model)
    size = size or tuple(next(iter(parts.tensors.values())).shape[2:])
    with explaining(model):
        run = scorer(model, score)
        blocks = [
            _raw_map(run, parts.rows(slice(start, start + num_points)), layer)
            for start in range(0, max(1, len(parts)), num_points)
        ]
        raw, output = (torch.cat(tensors) for tensors in zip(*blocks, strict=True))
        if len(size) != raw.ndim - 1:
            raise RequestError(
                f"Expected size with one entry for each of the layer's {raw.ndim - 1} axes. Received {size}."
            )
        mode = MODES[raw.ndim - 1]
        shown = interpolate(raw.clamp(min=0)[:, None], size=size, mode=mode, align_corners=False)[:, 0]
    absolute = raw.flatten(1).abs().sum(1)
    negative = raw.flatten(1).clamp(max=0).abs().sum(1)
    return ClassActivation(
        raw=raw.cpu().numpy(),
        map=shown.cpu().numpy(),
        scale=float(shown.max()) if shown.numel() else 0.0,
        negative_share=torch.where(absolute > 0, negative / absolute, 0.0).cpu().numpy(),
        output=output.cpu().numpy(),
        target=target,
        layer=next((name for name, module in model.named_modules() if module is layer), type(layer).__name__),
    )


def masked_score(model: nn.Module, channel: int, mask: Tensor) -> Callable[[Tensor], Tensor]:
    """Score for segmentation: the sum of one class's logits inside `mask`, which broadcasts to (rows, *axes).

    With a mask per row, explain no more rows in one pass than the mask holds (`num_points`).
    """

    def score(inputs: Tensor) -> Tensor:
        return (model(inputs)[:, channel] * mask).flatten(1).sum(1)

    return score


def _raw_map(run: Callable[[Parts], Tensor], parts: Parts, layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Signed map (rows, *layer axes) and output (rows,)."""
    leaves: list[Tensor] = []

    def cut(module: nn.Module, _: Any, output: Any) -> Tensor:
        if leaves or not isinstance(output, Tensor) or not 3 <= output.ndim <= 5:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise RequestError(
                f"Expected {type(module).__name__} to run once and return (rows, channels, 1 to 3 axes)."
                f" Received {'a second call' if leaves else shape}: choose another layer."
            )
        leaves.append(output.detach().requires_grad_())
        # A clone, because an in-place activation may follow and a leaf must not change.
        return leaves[0].clone()

    handle = layer.register_forward_hook(cut)
    try:
        output = run(parts)
    finally:
        handle.remove()
    if not leaves:
        raise RequestError(
            f"Expected the model to run {type(layer).__name__}. It did not: pass one of its layers."
        )
    if not output.requires_grad:
        return torch.zeros_like(leaves[0][:, 0]), output.detach()
    gradient = torch.autograd.grad(output.sum(), leaves[0])[0]
    weights = gradient.flatten(2).mean(2).view(*gradient.shape[:2], *[1] * (gradient.ndim - 2))
    return (weights * leaves[0].detach()).sum(1), output.detach()
