"""What a network has to beat: a brightness threshold, where structures usually lie, and the most similar training case.

All are fitted to the training cases, on the grid of the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pipelines.medical_segmentation.batches import scaled
from pipelines.medical_segmentation.cases import Cases

THRESHOLD, MEAN_MASK, NEAREST = "threshold", "mean_mask", "nearest_case"
TITLES = {
    THRESHOLD: "Brightness threshold (Otsu)",
    MEAN_MASK: "Mean mask",
    NEAREST: "Mask of the most similar training case",
}
# Mean masks of images of different sizes are taken on one grid.
_MEAN_GRID = 32
_LEVELS = 101
_BINS = 256
# Enough to choose a channel and a side; each takes a histogram.
_MAX_CHOOSING = 200
Baseline = Callable[[int], np.ndarray]


def fit_baselines(cases: Cases, train: np.ndarray, transfers: np.ndarray) -> dict[str, Baseline]:
    """For each baseline a function from the position of a case to its mask, uint8 of the case's grid."""
    return {
        THRESHOLD: _Threshold.fit(cases, train, transfers).mask,
        MEAN_MASK: _mean_mask(cases, train),
        NEAREST: _nearest(cases, train),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Threshold:
    """Otsu's threshold of one channel; what lies on one side of it is the structure that is drawn most."""

    cases: Cases
    transfers: np.ndarray
    channel: int
    is_bright: bool
    structure: int

    @classmethod
    def fit(cls, cases: Cases, train: np.ndarray, transfers: np.ndarray) -> "_Threshold":
        """The channel and the side with the best Dice on the training cases."""
        structure = 1 + int(cases.num_pixels[train].sum(axis=0).argmax())
        some = train[:: -(-len(train) // _MAX_CHOOSING)]
        options = [
            cls(cases, transfers, channel, is_bright, structure)
            for channel in range(cases.num_channels)
            for is_bright in (True, False)
        ]
        return max(
            options,
            key=lambda one: np.mean([_dice(cases.mask(case) > 0, one.mask(case) > 0) for case in some]),
        )

    def mask(self, case: int) -> np.ndarray:
        """uint8 of the case's grid."""
        image = torch.from_numpy(self.cases.image(case))[None]
        values = scaled(image, torch.from_numpy(self.transfers[case])[None])[0, self.channel].numpy()
        is_above = values > _otsu(values)
        return np.where(is_above == self.is_bright, self.structure, 0).astype(np.uint8)


def _otsu(values: np.ndarray) -> float:
    """The value that best parts a histogram in two (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=_BINS)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * middle)
    mean_below, mean_above = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + int(np.argmax(below * above * (mean_below - mean_above) ** 2))])


def _mean_mask(cases: Cases, train: np.ndarray) -> Baseline:
    """Where each structure is drawn in enough of the training cases; how many is enough is chosen on them."""
    grids = {frame.grid for frame in cases.frames}
    shape = grids.pop() if len(grids) == 1 else (_MEAN_GRID,) * cases.dimensions
    num = len(cases.labels) + 1
    total = np.zeros((num, *shape))
    for case in train:
        total += np.stack([_at(cases.mask(case) == number, shape) for number in range(num)])
    share = total / len(train)
    best = 1 + share[1:].argmax(axis=0)
    foreground = 1 - share[0]
    drawn = [_at(cases.mask(case) > 0, shape) > 0.5 for case in train]
    levels = np.linspace(0, 1, _LEVELS)[:-1]
    scores = [np.mean([_dice(one, foreground > level) for one in drawn]) for level in levels]
    usual = np.where(foreground > levels[int(np.argmax(scores))], best, 0).astype(np.uint8)
    return lambda case: _nearest_at(usual, cases.frames[case].grid)


def _nearest(cases: Cases, train: np.ndarray) -> Baseline:
    """The mask of the training case whose thumbnail correlates most."""
    flat = cases.thumbnails.reshape(cases.num_cases, -1).astype(np.float32)
    centred = flat - flat.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)

    def mask(case: int) -> np.ndarray:
        others = train[train != case]
        likest = others[int((unit[others] @ unit[case]).argmax())]
        return _nearest_at(cases.mask(likest), cases.frames[case].grid)

    return mask


def _dice(truth: np.ndarray, found: np.ndarray) -> float:
    total = truth.sum() + found.sum()
    return float(2 * (truth & found).sum() / total) if total else 1.0


def _at(is_there: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A share of 0 to 1 on another grid."""
    if is_there.shape == shape:
        return is_there.astype(np.float64)
    mode = "trilinear" if is_there.ndim == 3 else "bilinear"
    values = torch.from_numpy(is_there.astype(np.float32))[None, None]
    return functional.interpolate(values, size=shape, mode=mode)[0, 0].double().numpy()


def _nearest_at(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if mask.shape == shape:
        return mask
    values = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
    found: np.ndarray = functional.interpolate(values, size=shape, mode="nearest-exact")[0, 0].numpy()
    return found
