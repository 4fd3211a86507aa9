"""Features on one scale: mean and standard deviation of transactions that are not known to be fraud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from torch import Tensor

_ROWS_AT_ONCE = 4096  # what fits into the cache takes half the time (2026-11)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """names: the features in their order; mean and scale of shape (features,), in the units of the features.

    Quantiles would be no better here: counts and risks have most of their mass on one value, and the spread of such a
    feature between quantiles is 0.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: pl.DataFrame, names: Sequence[str]) -> Self:
        """From genuine training rows; a feature that never changes keeps its unit."""
        values = features.select(names).to_numpy()
        deviation = values.std(0)
        return cls(tuple(names), values.mean(0), np.where(deviation > 0, deviation, 1.0))

    def transform(self, features: pl.DataFrame, limit: float) -> Tensor:
        """Scaled features of shape (rows, features), cut to +- limit; float32."""
        return self.scaled(features.select(self.names).to_numpy(), limit)

    def scaled(self, values: np.ndarray, limit: float) -> Tensor:
        """As `transform`, from float64 values of shape (rows, features)."""
        scaled = np.empty(values.shape, dtype=np.float32)
        for begin in range(0, len(values), _ROWS_AT_ONCE):
            part = values[begin : begin + _ROWS_AT_ONCE] - self.mean
            part /= self.scale
            np.clip(part, -limit, limit, out=scaled[begin : begin + _ROWS_AT_ONCE], casting="same_kind")
        return torch.from_numpy(scaled)

    def unscaled(self, rows: Tensor) -> np.ndarray:
        """Scaled rows in the units of the features again, float64 of shape (rows, features)."""
        values: np.ndarray = rows.double().numpy() * self.scale + self.mean
        return values

    def to_json(self) -> dict[str, Any]:
        return {"names": list(self.names), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        mean, scale = (np.array(document[name], dtype=np.float64) for name in ("mean", "scale"))
        return cls(tuple(document["names"]), mean, scale)
