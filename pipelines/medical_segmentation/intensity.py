"""From the values of a file to values that networks see: one clip and one linear map for each case and channel.

Colour pictures: standardised by channel over the training part. CT, whose values mean something: clipped to the 0.5th
and 99.5th percentile of the structures of the training part, or to a window, and standardised by them (Isensee et al.
2021, nnU-Net). All else, MR above all, whose values mean nothing across scanners: clipped to the percentiles of the
image's own non-zero values, and standardised by them.

What this needs of an image is its fingerprint. It is taken once, at full size; fitting anew for another fold costs
nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from pipelines.medical_segmentation.config import ImageConfig, Window
from pipelines.medical_segmentation.studies import Study

_PERCENTILES = (0.5, 99.5)
_NUM_SAMPLES = 1024
_SMALLEST_SPREAD = 1e-6
_MAX_PIXELS = 1 << 22
# Low and high, HU: the usual windows of radiology.
_WINDOWS: dict[Window, tuple[float, float]] = {
    "soft_tissue": (-160, 240), "lung": (-1350, 150), "bone": (-500, 1300), "brain": (0, 80),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """Statistics of one image. mean, square: of all pixels, and of their squares; low, high, inner_mean, inner_std: of
    non-zero values, the last two after clipping; each float64 of shape (channels,). sample: float32 of shape (1024,),
    values of CT at even ranks under the mask, or of the whole image without one; NaN where there are none.
    """

    mean: np.ndarray
    square: np.ndarray
    low: np.ndarray
    high: np.ndarray
    inner_mean: np.ndarray
    inner_std: np.ndarray
    sample: np.ndarray

    @classmethod
    def of(cls, study: Study) -> Self:
        """From pixels of the full size; of images above 4 million pixels from an even part of them."""
        channels = study.pixels.reshape(len(study.pixels), -1)
        whole = [_Histogram.of(values[:: -(-len(values) // _MAX_PIXELS)]) for values in channels]
        low, high, inner_mean, inner_std = np.array([one.inner() for one in whole]).T
        if study.modality != "CT":
            under = channels[:, :0]
        else:
            under = channels if study.mask is None else study.pixels[:, study.mask > 0]
        return cls(
            np.array([one.mean() for one in whole]),
            np.array([one.mean(power=2) for one in whole]),
            low,
            high,
            inner_mean,
            inner_std,
            _Histogram.of(under.reshape(-1)).even_ranks(),
        )


@dataclass(frozen=True, slots=True)
class Intensity:
    """mean, std: by channel, of the colour pictures of the training part, in the unit of the file. ct: low, high, mean
    and std, HU. None where the training part has no such images.
    """

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    ct: tuple[float, float, float, float] | None

    @classmethod
    def fit(cls, fingerprints: list[Fingerprint], modalities: list[str], config: ImageConfig) -> Self:
        """From the training cases alone."""
        colour = [one for one, kind in zip(fingerprints, modalities, strict=True) if kind == "RGB"]
        scanned = [one.sample for one, kind in zip(fingerprints, modalities, strict=True) if kind == "CT"]
        mean = std = None
        if colour:
            centre = np.mean([one.mean for one in colour], axis=0)
            spread = np.sqrt(np.maximum(np.mean([one.square for one in colour], axis=0) - centre**2, 0))
            mean, std = tuple(centre.tolist()), tuple(np.maximum(spread, _SMALLEST_SPREAD).tolist())
        return cls(mean, std, _ct_scale(scanned, config.window))

    def transfer(self, fingerprint: Fingerprint, modality: str) -> np.ndarray:
        """Clip and scale of one image: low, high, mean and std, float32 of shape (4, channels)."""
        num_channels = len(fingerprint.mean)
        if (
            modality == "RGB"
            and self.mean is not None
            and self.std is not None
            and len(self.mean) == num_channels
        ):
            infinite = np.full(num_channels, np.inf)
            return np.stack([-infinite, infinite, self.mean, self.std]).astype(np.float32)
        if modality == "CT" and self.ct is not None:
            return np.repeat(np.array(self.ct, dtype=np.float32)[:, None], num_channels, axis=1)
        own = (fingerprint.low, fingerprint.high, fingerprint.inner_mean, fingerprint.inner_std)
        return np.stack(own).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        read = {name: None if value is None else tuple(map(float, value)) for name, value in document.items()}
        return cls(**read)  # type: ignore[arg-type]


def apply(pixels: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Pixels of shape (channels, ...) in the unit of the file -> float32 of the same shape, about standard normal."""
    low, high, mean, std = (row.reshape(-1, *[1] * (pixels.ndim - 1)) for row in transfer)
    scaled: np.ndarray = (np.clip(pixels.astype(np.float32), low, high) - mean) / std
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class _Histogram:
    """Ascending values and how often each occurs: of an 8-bit image in a pass that costs less than reading it."""

    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Histogram":
        if values.dtype.itemsize > 2 or values.dtype.kind not in "iu":
            ordered = np.sort(values).astype(np.float64)
            return cls(ordered, np.ones(len(ordered)))
        lowest = int(values.min()) if len(values) else 0
        counts = np.bincount(values.astype(np.int64) - lowest)
        present = np.flatnonzero(counts)
        return cls((present + lowest).astype(np.float64), counts[present].astype(np.float64))

    def mean(self, power: int = 1) -> float:
        return float(self.values**power @ self.counts / self.counts.sum())

    def at_ranks(self, ranks: np.ndarray) -> np.ndarray:
        """The values at ranks from 0 to their number less one."""
        at: np.ndarray = self.values[np.searchsorted(np.cumsum(self.counts), ranks, side="right")]
        return at

    def inner(self) -> tuple[float, float, float, float]:
        """Percentiles of non-zero values, and mean and deviation of what is clipped to them."""
        filled = _Histogram(self.values[self.values != 0], self.counts[self.values != 0])
        if not len(filled.values):
            return 0.0, 0.0, 0.0, 1.0
        low, high = filled.at_ranks(np.array(_PERCENTILES) / 100 * (filled.counts.sum() - 1))
        clipped = _Histogram(np.clip(filled.values, low, high), filled.counts)
        mean = clipped.mean()
        spread = _Histogram(clipped.values - mean, clipped.counts).mean(power=2) ** 0.5
        return float(low), float(high), mean, max(spread, _SMALLEST_SPREAD)

    def even_ranks(self) -> np.ndarray:
        """Few values that have the percentiles of all; every case has as many, and so weighs the same."""
        if not len(self.values):
            return np.full(_NUM_SAMPLES, np.nan, dtype=np.float32)
        return self.at_ranks(np.linspace(0, self.counts.sum() - 1, _NUM_SAMPLES).round()).astype(np.float32)


def _ct_scale(
    samples: list[np.ndarray], window: Window | tuple[float, float] | None
) -> tuple[float, float, float, float] | None:
    together = np.concatenate([sample[np.isfinite(sample)] for sample in samples]) if samples else np.zeros(0)
    if not len(together):
        return None
    if window is None:
        low, high = np.percentile(together, _PERCENTILES)
    else:
        low, high = _WINDOWS[window] if isinstance(window, str) else window
    clipped = np.clip(together.astype(np.float64), low, high)
    return float(low), float(high), float(clipped.mean()), max(float(clipped.std()), _SMALLEST_SPREAD)
