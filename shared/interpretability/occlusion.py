"""Occlusion: how the output falls when a window of a signal, an image or a volume is covered.

Source: Zeiler and Fergus 2014 (arXiv 1311.2901).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining
from shared.interpretability.inputs import Parts, Score, points_per_pass, scorer

Run = Callable[[Parts], Tensor]


def occlusion(
    model: nn.Module,
    inputs: Tensor,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    baseline: float | Tensor = 0.0,
    score: Score | None = None,
    num_points: int | None = None,
    target: str = "model output",
    baseline_name: str = "",
    unit: str = "",
) -> Attribution:
    """Mean drop of the output over the windows that cover each position, of shape (rows, *spatial).

    `inputs` is (rows, channels, *spatial) with one, two or three spatial axes; a window covers all channels.
    `stride` defaults to half the window. `baseline` fills the window: a number or a tensor that broadcasts
    against the inputs. The last window of an axis is cut at the border, so that every position is covered; a
    stride beyond the window would leave gaps and is refused. `num_points` bounds the inputs in one forward
    pass. A positive value means that covering the place lowers the output. The values are drops, not a
    decomposition: no completeness.
    """
    spatial = tuple(inputs.shape[2:])
    if not 1 <= len(spatial) <= 3 or 0 in spatial:
        raise RequestError(
            f"Expected inputs of shape (rows, channels, 1 to 3 spatial axes). Received {tuple(inputs.shape)}."
        )
    sizes = _per_axis(window, spatial, "window")
    strides = (
        [max(1, size // 2) for size in sizes] if stride is None else _per_axis(stride, spatial, "stride")
    )
    if any(step > size for step, size in zip(strides, sizes, strict=True)):
        raise RequestError(f"Expected a stride no larger than the window {sizes}. Received {strides}.")
    with explaining(model), torch.no_grad():
        parts = Parts.of(inputs, model)
        inputs, run = parts.native(), scorer(model, score)
        num_points = points_per_pass(num_points, [inputs], 256)
        whole = _outputs(run, inputs, num_points)
        cover = torch.as_tensor(baseline, dtype=inputs.dtype, device=inputs.device)
        total = inputs.new_zeros(len(inputs), math.prod(spatial))
        times = inputs.new_zeros(math.prod(spatial))
        for masks in _masks(spatial, sizes, strides, inputs.device):
            drops = whole[:, None] - _covered(run, inputs, cover, masks, num_points)
            flat = masks.flatten(1).to(inputs.dtype)
            total += drops @ flat
            times += flat.sum(0)
    return Attribution(
        values=(total / times).view(len(inputs), *spatial).cpu().numpy(),
        names=(),
        target=target,
        baseline=baseline_name
        or (f"value {baseline:g}" if isinstance(baseline, float | int) else "given fill"),
        method=f"occlusion (window {'x'.join(map(str, sizes))}, stride {'x'.join(map(str, strides))})",
        unit=unit,
        output=whole.cpu().numpy(),
    )


def _per_axis(value: int | Sequence[int], spatial: tuple[int, ...], name: str) -> list[int]:
    sizes = [value] * len(spatial) if isinstance(value, int) else list(value)
    if len(sizes) != len(spatial) or any(size < 1 for size in sizes):
        raise RequestError(f"Expected a positive {name} for each of {len(spatial)} axes. Received {value}.")
    return [min(size, extent) for size, extent in zip(sizes, spatial, strict=True)]


def _masks(
    spatial: tuple[int, ...], sizes: list[int], strides: list[int], device: torch.device, block: int = 64
) -> Iterator[Tensor]:
    """Blocks of window masks, each (windows, *spatial): all at once would be windows x positions."""
    starts = [
        range(0, math.ceil((extent - size) / step) * step + 1, step)
        for extent, size, step in zip(spatial, sizes, strides, strict=True)
    ]
    corners = itertools.product(*starts)
    while chunk := list(itertools.islice(corners, block)):
        masks = torch.zeros(len(chunk), *spatial, dtype=torch.bool, device=device)
        for mask, corner in zip(masks, chunk, strict=True):
            mask[tuple(slice(at, at + size) for at, size in zip(corner, sizes, strict=True))] = True
        yield masks


def _covered(run: Run, inputs: Tensor, cover: Tensor, masks: Tensor, num_points: int) -> Tensor:
    """Outputs with each window covered, (rows, windows)."""
    per_pass = max(1, num_points // max(1, len(inputs)))
    columns = []
    for block in masks.split(per_pass):
        points = torch.where(block[:, None, None], cover, inputs)
        columns.append(_outputs(run, points.flatten(0, 1), num_points).view(len(block), len(inputs)).T)
    return torch.cat(columns, 1)


def _outputs(run: Run, inputs: Tensor, num_points: int) -> Tensor:
    return torch.cat([run(Parts({"input": part}, "tensor")) for part in inputs.split(num_points)])
