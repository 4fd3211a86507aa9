"""Channels on one scale within each operating regime: mean and standard deviation of training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

# Values are float32: a spread below this share of their size is rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """names: the channels kept, in their order; dropped: those that do not change within any regime.

    mean and scale of shape (regimes, channels kept), in the units of the channels. borrowed of the same shape: True
    where a regime had too few values of its own and those of all rows stand in.
    """

    names: tuple[str, ...]
    dropped: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    borrowed: np.ndarray

    @classmethod
    def fit(
        cls, values: np.ndarray, regime: np.ndarray, num_regimes: int, names: Sequence[str], min_values: int
    ) -> Self:
        """From training rows of shape (rows, channels), NaN where missing, and the regime of each.

        A regime with fewer than `min_values` values of a channel takes the mean and spread of all rows. A channel that
        stands still in one regime and moves in others is scaled there by its usual spread within a regime.
        """
        count = np.zeros((num_regimes, len(names)))
        mean, variance = np.zeros_like(count), np.zeros_like(count)
        for number in range(num_regimes):
            count[number], mean[number], variance[number] = _moments(values[regime == number])
        _, all_mean, all_variance = _moments(values)
        is_sparse = count < min_values
        trusted = np.where(is_sparse, 0.0, count)
        total = trusted.sum(axis=0)
        within = np.where(total > 0, (trusted * variance).sum(axis=0) / np.maximum(total, 1), all_variance)
        size = np.maximum(np.abs(all_mean), np.abs(mean).max(axis=0))
        kept = np.sqrt(within) > _ROUNDING * size
        stands_still = np.sqrt(variance) <= _ROUNDING * size
        variance = np.where(is_sparse, all_variance, np.where(stands_still, within, variance))
        return cls(
            names=tuple(np.array(names, dtype=object)[kept]),
            dropped=tuple(np.array(names, dtype=object)[~kept]),
            mean=np.where(is_sparse, all_mean, mean)[:, kept],
            scale=np.sqrt(variance)[:, kept],
            borrowed=is_sparse[:, kept],
        )

    def transform(self, values: np.ndarray, regime: np.ndarray, limit: float) -> np.ndarray:
        """Scaled values of the channels kept, float32, cut to +- limit; NaN stays NaN.

        values of shape (rows, channels kept), regime of shape (rows,).
        """
        scaled = (values - self.mean[regime]) / self.scale[regime]
        return np.clip(scaled, -limit, limit).astype(np.float32)

    def unscaled(self, scaled: np.ndarray, regime: np.ndarray) -> np.ndarray:
        """Scaled values in the units of the channels again, float64."""
        values: np.ndarray = scaled * self.scale[regime] + self.mean[regime]
        return values

    def to_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "borrowed")}
        return {"names": list(self.names), "dropped": list(self.dropped), **arrays}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        names = tuple(document["names"])
        shape = (-1, len(names))
        mean, scale = (
            np.array(document[name], dtype=np.float64).reshape(shape) for name in ("mean", "scale")
        )
        borrowed = np.array(document["borrowed"], dtype=bool).reshape(shape)
        return cls(names, tuple(document["dropped"]), mean, scale, borrowed)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, mean and variance of each column over what is there; 0 where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis=0).astype(np.float64)
    filled = np.where(there, values, 0.0).astype(np.float64)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    deviations = np.where(there, filled - mean, 0.0)
    return count, mean, (deviations**2).sum(axis=0) / np.maximum(count, 1)
