"""From one image to a mask at its own size, and how sure it is.

Pictures are seen in several mirrored views. Their mean is the answer; how much the views disagree says how sure it is
(test-time augmentation: Wang et al. 2019). Volumes are not mirrored in training: there is one view, and it is as sure
as its mask agrees with its probabilities. Volumes, and pictures at their own scale, are crossed by overlapping windows,
weighed by a Gaussian so that the borders of windows do not show (Isensee et al. 2021). Masks of large pictures are made
in strips: the memory is that of the picture and its mask, whatever the number of structures.

Shapes: V views, K structures and the background, spatial axes last.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.medical_segmentation.batches import channels_last, scaled
from pipelines.medical_segmentation.config import InferenceConfig
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.model import as_probabilities

# Rows of a strip times columns: 64 MB of probabilities for a background and one structure.
_STRIP_PIXELS = 1 << 23
_WINDOWS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in one image.

    probabilities: float32 (K, *grid), mean over views. mask: uint8 of the image's own shape. confidence: float64 of
    shape (structures,), 0 to 1: see `agreement`.
    """

    probabilities: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A fitted network and how it is asked. patch: what it sees at once. temperature: see `calibrate`."""

    network: nn.Module
    patch: tuple[int, ...]
    config: InferenceConfig
    temperature: float = 1.0

    def find(self, image: np.ndarray, transfer: np.ndarray, frame: Frame) -> Found:
        """image: (C, *grid) as stored; transfer: (4, C), see `Intensity.transfer`; frame: how the file lies on it."""
        mean, single = self._views(image, transfer)
        mask = cleaned(own_mask(mean, frame), self.config)
        return Found(mean.numpy(), mask, agreement(mean, single))

    def _views(self, image: np.ndarray, transfer: np.ndarray) -> tuple[Tensor, list[Tensor]]:
        """Mean probabilities over the views, float32 (K, *grid), and the mask of each, uint8 of shape grid.

        Probabilities of single views are not kept: of a large picture one of them takes a gigabyte.
        """
        seen = scaled(torch.from_numpy(image)[None], torch.from_numpy(transfer)[None])
        flips, masks = self._flips(), []
        total = torch.zeros(())
        with torch.inference_mode():
            for axes in flips:
                found = as_probabilities(self._logits(seen.flip(axes)).flip(axes), self.temperature)[0]
                masks.append(likeliest(found))
                total = total + found
        return total / len(flips), masks

    def logits(self, image: np.ndarray, transfer: np.ndarray) -> Tensor:
        """Of the image as it is, float32 (K, *grid)."""
        seen = scaled(torch.from_numpy(image)[None], torch.from_numpy(transfer)[None])
        with torch.inference_mode():
            return self._logits(seen)[0].float()

    def _logits(self, seen: Tensor) -> Tensor:
        if seen.ndim == 4 and tuple(seen.shape[2:]) == self.patch:
            logits: Tensor = self.network(seen.contiguous(memory_format=channels_last(2)))
            return logits
        from monai.inferers.utils import sliding_window_inference

        crossed = sliding_window_inference(
            seen,
            self.patch,
            _WINDOWS_AT_ONCE,
            self.network,
            overlap=self.config.overlap,
            mode="gaussian",
            cval=float(seen.min()),
        )
        assert isinstance(crossed, Tensor)
        return crossed

    def _flips(self) -> list[tuple[int, ...]]:
        """Axes of each view: rows and columns, whichever way slices lie."""
        return [(), (-1,), (-2,), (-2, -1)][: self.config.views]


def agreement(mean: Tensor, single: list[Tensor]) -> np.ndarray:
    """How far views agree on each structure, 0 to 1, float64 of shape (structures,).

    mean: (K, *grid), probabilities; single: the mask of each view. Mean Dice of these with the mask of the mean; of a
    single view Dice of its mask with its probabilities. Where no view shows the structure, it is how far the likeliest
    pixel is from being one.
    """
    together = likeliest(mean)
    found = []
    for structure in range(1, len(mean)):
        common = together == structure
        pairs = [(view == structure, common) for view in single]
        if not any(bool(own.any()) or bool(both.any()) for own, both in pairs):
            found.append(1 - float(mean[structure].max()))
        elif len(single) == 1:
            both = float(mean[structure][common].sum())
            found.append(2 * both / float(mean[structure].sum() + common.sum()))
        else:
            found.append(float(np.mean([_dice(own, both) for own, both in pairs])))
    return np.array(found)


def _dice(first: Tensor, second: Tensor) -> float:
    """Two masks that show nothing agree."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def likeliest(probabilities: Tensor) -> Tensor:
    """(K, *grid) -> uint8 of shape grid; of equals the first, as argmax has it, which takes six times as long."""
    best, found = probabilities[0], torch.zeros_like(probabilities[0], dtype=torch.uint8)
    for structure in range(1, len(probabilities)):
        found.masked_fill_(probabilities[structure] > best, structure)
        best = torch.maximum(best, probabilities[structure])
    return found


def own_mask(probabilities: Tensor, frame: Frame) -> np.ndarray:
    """Likeliest structure of each pixel of the file, uint8 of its shape; probabilities: (K, *grid)."""
    if len(frame.own) == 3 or any(own < inner for own, inner in zip(frame.own, frame.inner, strict=True)):
        return likeliest(frame.to_own(probabilities)).numpy()
    window = tuple(
        slice(first, first + length) for first, length in zip(frame.start, frame.inner, strict=True)
    )
    inside = probabilities[(slice(None), *window)].float()
    rows, columns = frame.own
    wide = (
        functional.interpolate(inside, size=columns, mode="linear") if columns != inside.shape[-1] else inside
    )
    place = ((torch.arange(rows) + 0.5) * (inside.shape[1] / rows) - 0.5).clamp(0, inside.shape[1] - 1)
    above = place.floor().long().clamp(max=max(inside.shape[1] - 2, 0))
    share = (place - above)[None, :, None]
    below = (above + 1).clamp(max=inside.shape[1] - 1)
    mask = np.empty(frame.own, dtype=np.uint8)
    step = max(1, _STRIP_PIXELS // columns)
    for first in range(0, rows, step):
        strip = slice(first, first + step)
        between = torch.lerp(wide[:, above[strip]], wide[:, below[strip]], share[:, strip])
        mask[strip] = likeliest(between).numpy()
    return mask


def cleaned(mask: np.ndarray, config: InferenceConfig) -> np.ndarray:
    """A mask without what the configuration calls implausible: small parts, holes, all parts but the largest."""
    if not (config.largest_component or config.fill_holes or config.min_pixels):
        return mask
    from scipy.ndimage import binary_fill_holes

    result = np.zeros_like(mask)
    for structure in np.unique(mask[mask > 0]):
        is_there = _kept_parts(mask == structure, config)
        if config.fill_holes:
            is_there = binary_fill_holes(is_there) & ((mask == structure) | (mask == 0))
        result[is_there] = structure
    return result


def _kept_parts(is_there: np.ndarray, config: InferenceConfig) -> np.ndarray:
    parts, sizes = components(is_there)
    kept = sizes >= max(config.min_pixels, 1)
    if config.largest_component and len(sizes):
        kept &= np.arange(len(sizes)) == sizes.argmax()
    keeps = np.concatenate([[False], kept])
    chosen: np.ndarray = keeps[parts]
    return chosen


def components(is_there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the connected part of each pixel, 0 outside, and the pixels of each part; neighbours share an edge."""
    from scipy.ndimage import label

    parts, num = label(is_there)
    return parts, np.bincount(parts.reshape(-1), minlength=num + 1)[1:]
