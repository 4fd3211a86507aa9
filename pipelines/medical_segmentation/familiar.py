"""Whether an image is like those that were learnt from, by brightness and contrast as networks see them.

A wrong unit, another camera, a negative or an empty image show here, before anybody believes the mask. That an image
passes says little: it may be unlike in all other respects.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pipelines.medical_segmentation.intensity import Fingerprint

# Beyond the range by this share of its width. The range itself would call 2 of n + 1 further images unlike, by chance
# alone and for each fact. With half of it 0 of 300 images of Kvasir-SEG in folds were unlike, but all of their
# negatives and all at an eighth of their brightness (2026-11); with 18 generated images to learn from 2 of 36.
_ROOM = 0.5
_SMALLEST_WIDTH = 0.1


@dataclass(frozen=True, slots=True)
class Familiar:
    """low, high: brightness and contrast of each channel, in standard deviations of the training images."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, fingerprints: list[Fingerprint], transfers: np.ndarray) -> Self:
        """From the images that were learnt from; transfers: float32 (images, 4, channels), see `Intensity`."""
        facts = np.array([_facts(*each) for each in zip(fingerprints, transfers, strict=True)])
        low, high = facts.min(axis=0), facts.max(axis=0)
        room = _ROOM * np.maximum(high - low, _SMALLEST_WIDTH)
        return cls(tuple((low - room).tolist()), tuple((high + room).tolist()))

    def has(self, fingerprint: Fingerprint, transfer: np.ndarray) -> bool:
        """Whether an image lies in the range; transfer: float32 (4, channels)."""
        facts = _facts(fingerprint, transfer)
        return bool(((facts >= self.low) & (facts <= self.high)).all())

    def to_json(self) -> dict[str, Any]:
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(tuple(document["low"]), tuple(document["high"]))


def _facts(fingerprint: Fingerprint, transfer: np.ndarray) -> np.ndarray:
    _, _, mean, std = transfer.astype(np.float64)
    spread = np.sqrt(np.maximum(fingerprint.square - fingerprint.mean**2, 0))
    return np.concatenate([(fingerprint.mean - mean) / std, spread / std])
