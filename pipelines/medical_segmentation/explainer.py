"""Where a network saw evidence for what it found: Grad-CAM of a mask or of a grade.

Of a mask the mean log-odds of its pixels are explained (Seg-Grad-CAM: Vinogradova et al. 2020), of a grade the mean
log-odds of exceeding each lower one: the mean grade itself hardly moves where a grader is sure, and its map is empty.
What the map can tell: from where in the image the layer spoke for the answer, and on which scale. What it cannot: why,
nor how sure to be. A U-Net decides each pixel mostly by what lies around it, so the map of a mask largely repeats the
mask; `explain` holds it against the mask itself.

Shapes: B cases, C channels, K structures and the background, spatial axes last.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.medical_segmentation.model import Grader, Segmenter
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import Faithfulness, check, randomisation
from shared.interpretability.grad_cam import ClassActivation, grad_cam

UNIT = "log-odds"
BASELINE = "the mean of the training images"
# Cells that an image is taken apart in, along each axis of pictures and of volumes: every cell costs three passes, and
# a pass over a volume takes a tenth of a second.
_CELLS = {2: (4, 4), 3: (1, 3, 3)}
_CASES_AT_ONCE = 4
# Of the five blocks of a decoder for pictures the one at a quarter of the resolution. Coarser maps were less faithful,
# in small networks no more than a random order; finer ones repeat the mask (generated lesions, Kvasir-SEG, 2026-11). Of
# volumes, whose decoders are narrower, only the finest one was clearly better than a random order.
_LEVEL = 2
_FEW_CASES = 10
# Coarser maps than this along an axis are not worth drawing.
_FEWEST_CELLS = 6
# One random order a case: each takes as long as the order of the map itself.
_NUM_RANDOM = 1


class MaskedLogOdds(nn.Module):
    """(B, C + K - 1, ...) -> (B,): mean log-odds of structures in masks, which come as further channels.

    The channels after the first `num_channels` are weights of the structures at each pixel; they sum to 1.
    """

    def __init__(self, network: nn.Module, num_channels: int) -> None:
        super().__init__()
        self.network, self.num_channels = network, num_channels

    def forward(self, seen: Tensor) -> Tensor:
        images, weights = seen[:, : self.num_channels], seen[:, self.num_channels :]
        logits = self.network(images).float()
        others = [
            torch.cat([logits[:, :one], logits[:, one + 1 :]], 1).logsumexp(1)
            for one in range(1, logits.shape[1])
        ]
        log_odds = logits[:, 1:] - torch.stack(others, 1)
        return (log_odds * weights).flatten(1).sum(1)


class GradeLogOdds(nn.Module):
    """(B, C, ...) -> (B,): mean log-odds of exceeding each grade but the highest."""

    def __init__(self, network: Grader) -> None:
        super().__init__()
        self.network = network

    def forward(self, seen: Tensor) -> Tensor:
        log_odds: Tensor = self.network(seen)
        return log_odds.float().mean(1)


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """scored: (B, channels, *size) -> (B,), log-odds. layer: name of the one whose map is made. num_channels: of the
    image, the first of the channels."""

    scored: nn.Module
    layer: str
    num_channels: int
    target: str
    unit: str

    @classmethod
    def of_masks(cls, network: nn.Module, num_channels: int) -> Self:
        """Of a U-Net's masks: of pictures a level of its decoder a quarter as fine, of volumes the finest one."""
        inner = network.network
        assert isinstance(inner, nn.Module)
        if isinstance(network, Segmenter):
            layer = f"network.network.decoder.blocks.{_LEVEL}"
        else:
            levels = inner.get_submodule("upsamples")
            assert isinstance(levels, nn.ModuleList)
            layer = f"network.network.upsamples.{len(levels) - 1}"
        target = "mean log-odds of the pixels found"
        return cls(MaskedLogOdds(network, num_channels), layer, num_channels, target, UNIT)

    @classmethod
    def of_grades(cls, network: Grader, num_channels: int, size: tuple[int, ...]) -> Self:
        """Of a grader: the last level of its encoder that is not too coarse to be drawn."""
        levels = network.network.feature_info
        assert isinstance(levels, list), "an encoder of timm says what its levels are"
        fine = [level for level in levels if min(size) // level["reduction"] >= _FEWEST_CELLS]
        layer = f"network.network.{(fine or levels[:1])[-1]['module']}"
        return cls(GradeLogOdds(network), layer, num_channels, "log-odds of a higher grade", UNIT)

    def activation(self, seen: Tensor) -> ClassActivation:
        """Grad-CAM of each case; seen: (B, channels, *size), see `scored`."""
        return self._activation(self.scored, seen)

    def by_cell(self, maps: np.ndarray) -> Attribution:
        """Sum of maps of shape (B, *size) over cells of the image, (B, cells)."""
        values = np.stack(
            [maps.reshape(len(maps), -1)[:, cell].sum(1) for cell in self._cells(maps.shape[1:])], 1
        )
        return Attribution(
            values, (), target=self.target, baseline=BASELINE, method="Grad-CAM", unit=self.unit
        )

    def checked(self, seen: Tensor, maps: np.ndarray, *, seed: int) -> Attribution:
        """The map by cell with its check: removing cells, and networks of random weights."""
        attribution = self.by_cell(maps)
        return attribution.checked(self.faithfulness(attribution, seen, seed=seed))

    def faithfulness(self, attribution: Attribution, seen: Tensor, *, seed: int) -> Faithfulness:
        """Whether removing cells in the order of an attribution lowers the score more than a random order.

        A removed cell has the mean value of the training images.
        """
        size = seen.shape[2:]
        num_pixels = int(np.prod(size))
        groups = {
            f"cell {number}": [
                place + channel * num_pixels
                for channel in range(self.num_channels)
                for place in cell.tolist()
            ]
            for number, cell in enumerate(self._cells(tuple(size)), start=1)
        }

        def predict(given: Tensor) -> Tensor:
            with torch.inference_mode():
                found: Tensor = self.scored(given)
            return found

        return check(
            predict, attribution, seen, torch.zeros_like(seen[:1]), groups=groups, num_random=_NUM_RANDOM, seed=seed
        )  # fmt: skip

    def likeness_to_random(self, seen: Tensor, *, seed: int) -> float:
        """Mean rank correlation with the maps of networks of random weights, over the cells."""
        few = seen[:_FEW_CASES]

        def explain(twin: nn.Module) -> Attribution:
            return self.by_cell(self._activation(twin, few).map)

        return randomisation(self.scored, explain, seed=seed)[-1].spearman

    def _activation(self, scored: nn.Module, seen: Tensor) -> ClassActivation:
        return grad_cam(
            scored,
            seen,
            scored.get_submodule(self.layer),
            size=tuple(seen.shape[2:]),
            num_points=_CASES_AT_ONCE,
            target=self.target,
        )

    def _cells(self, size: tuple[int, ...]) -> list[np.ndarray]:
        """Flat positions of the pixels of each cell."""
        places = np.arange(int(np.prod(size))).reshape(size)
        cells = [places]
        for axis, most in enumerate(_CELLS[len(size)]):
            num = min(most, size[axis])
            cells = [part for cell in cells for part in np.array_split(cell, num, axis=axis)]
        return [cell.reshape(-1) for cell in cells]


@dataclass(frozen=True, slots=True)
class Window:
    """Where in a case a network looks: `inside` the grid of the case, and the edges of what it sees."""

    inside: tuple[slice, ...]
    size: tuple[int, ...]

    @classmethod
    def around(cls, mask: np.ndarray, size: tuple[int, ...]) -> Self:
        """The window that has the middle of a mask in its middle, as far as the grid goes."""
        places = np.argwhere(mask)
        middle = places.mean(0) if len(places) else np.array(mask.shape) / 2
        starts = [
            int(np.clip(round(centre) - edge // 2, 0, max(0, length - edge)))
            for centre, edge, length in zip(middle, size, mask.shape, strict=True)
        ]
        return cls(
            tuple(
                slice(start, min(start + edge, length))
                for start, edge, length in zip(starts, size, mask.shape, strict=True)
            ),
            size,
        )

    def cut(self, values: Tensor, fill: float) -> Tensor:
        """(channels, *grid) -> (channels, *size); filled up where the grid ends."""
        part = values[(slice(None), *self.inside)]
        missing = [edge - length for edge, length in zip(self.size, part.shape[1:], strict=True)]
        return functional.pad(part, [n for edge in reversed(missing) for n in (0, edge)], value=fill)

    def put_back(self, values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
        """(*size) -> (*grid); 0 outside the window."""
        whole = np.zeros(grid, dtype=values.dtype)
        kept = tuple(slice(0, part.stop - part.start) for part in self.inside)
        whole[self.inside] = values[kept]
        return whole
