"""The one result type of explanations: the numbers together with what they mean and how far they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.errors import RequestError

if TYPE_CHECKING:
    from shared.interpretability.faithfulness import Faithfulness


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much each feature moved each row's output away from the baseline's.

    `values` has shape (rows, *features) in `unit`; a positive value raised the output. `base_value` is the
    output at the baseline (one number, or one per row), `output` has shape (rows,); both are None for methods
    without such a decomposition. For the others the values of a row sum to `output - base_value`, up to
    `completeness_error` (largest absolute gap) and `completeness_mean` (mean absolute gap).
    """

    values: np.ndarray
    names: tuple[str, ...]
    target: str
    baseline: str
    method: str
    unit: str = ""
    base_value: float | np.ndarray | None = None
    output: np.ndarray | None = None
    faithfulness: Faithfulness | None = None

    def __post_init__(self) -> None:
        if self.values.ndim < 2:
            raise RequestError(
                f"Expected attribution values of shape (rows, features...). Received {self.values.shape}."
            )
        if self.names and self.values.ndim == 2 and len(self.names) != self.values.shape[1]:
            raise RequestError(
                f"Expected one name per feature ({self.values.shape[1]}). Received {len(self.names)} names."
            )

    @property
    def gaps(self) -> np.ndarray | None:
        """Completeness gap of each row, sum(values) - (output - base_value), of shape (rows,)."""
        if self.output is None or self.base_value is None:
            return None
        total = self.values.reshape(len(self.values), math.prod(self.values.shape[1:])).sum(
            1, dtype=np.float64
        )
        return total - (self.output.astype(np.float64) - self.base_value)

    @property
    def completeness_error(self) -> float | None:
        """Largest absolute gap over the rows, in `unit`; None without completeness or without rows."""
        gaps = self.gaps
        return None if gaps is None or not len(gaps) else float(np.abs(gaps).max())

    @property
    def completeness_mean(self) -> float | None:
        """Mean absolute gap over the rows, in `unit`."""
        gaps = self.gaps
        return None if gaps is None or not len(gaps) else float(np.abs(gaps).mean())

    @property
    def faithful(self) -> bool | None:
        """Whether the explanation passed its faithfulness check; None when it was not checked."""
        return None if self.faithfulness is None else self.faithfulness.passed

    @property
    def warning(self) -> str | None:
        """The sentence to show beside the explanation when it failed its check."""
        if self.faithfulness is None or self.faithfulness.passed:
            return None
        return f"Not faithful for this model ({self.method}): {' '.join(self.faithfulness.reasons)}"

    def checked(self, faithfulness: Faithfulness) -> Attribution:
        """The same attribution with the outcome of its check attached."""
        return replace(self, faithfulness=faithfulness)

    def grouped(self, groups: Mapping[str, Sequence[int]]) -> Attribution:
        """Sums encoded columns into the original ones, for example the one-hot columns of one category.

        `groups` maps each original name to its column numbers; every column belongs to exactly one group, so
        that completeness is kept.
        """
        self._require_table("grouped")
        num_columns = self.values.shape[1]
        used = sorted(int(column) for columns in groups.values() for column in columns)
        if used != list(range(num_columns)):
            raise RequestError(
                f"Expected groups that hold each of the {num_columns} columns exactly once."
                f" Received {len(used)} entries for {len(set(used) & set(range(num_columns)))} of them."
            )
        summed = [self.values[:, list(columns)].sum(1) for columns in groups.values()]
        values = np.stack(summed, axis=1) if summed else self.values
        return replace(self, values=values, names=tuple(groups))

    def top(self, k: int, direction: Literal["any", "up", "down"] = "any") -> list[list[tuple[str, float]]]:
        """The k features that moved each row most, largest first; ties keep the order of the columns.

        `direction` "up" keeps only values that raised the output, "down" only those that lowered it. Zeros
        are never listed, so a row may have fewer than k.
        """
        self._require_table("top")
        if k < 1:
            raise RequestError(f"Expected k of at least 1. Received {k}.")
        strength = {"any": np.abs(self.values), "up": self.values, "down": -self.values}[direction]
        order = np.argsort(-strength, axis=1, kind="stable")[:, :k]
        return [
            [(self._name(j), float(self.values[i, j])) for j in columns if strength[i, j] > 0]
            for i, columns in enumerate(order)
        ]

    def importance(self) -> dict[str, float]:
        """Mean absolute value of each feature over the rows, in `unit`, in the order of the columns."""
        self._require_table("importance")
        means = np.abs(self.values).mean(0) if len(self.values) else np.zeros(self.values.shape[1])
        return {self._name(j): float(mean) for j, mean in enumerate(means)}

    def to_json(self, *, with_values: bool = False) -> dict[str, Any]:
        """What a report, a bundle or the API shows. Values usually travel in tables: left out by default."""
        summary: dict[str, Any] = {
            "method": self.method,
            "target": self.target,
            "baseline": self.baseline,
            "unit": self.unit,
            "rows": len(self.values),
            "base_value": _finite(self.base_value),
            "completeness_error": _finite(self.completeness_error),
            "completeness_mean": _finite(self.completeness_mean),
            "faithful": self.faithful,
            "warning": self.warning,
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_json(),
        }
        if self.values.ndim == 2:
            summary["importance"] = {name: _finite(value) for name, value in self.importance().items()}
        if with_values:
            summary["names"] = list(self.names)
            summary["values"] = _finite(self.values)
            summary["output"] = _finite(self.output)
        return summary

    def _name(self, column: int) -> str:
        return self.names[column] if self.names else f"feature {column}"

    def _require_table(self, what: str) -> None:
        if self.values.ndim != 2:
            raise RequestError(
                f"Expected values of shape (rows, features) for {what}(). Received {self.values.shape}:"
                " sum the further axes first."
            )


def _finite(value: Any) -> Any:
    """Plain JSON numbers; NaN and infinity, which JSON cannot hold, become null."""
    if value is None:
        return None
    if isinstance(value, np.ndarray) and value.ndim:
        return [_finite(item) for item in value]
    number = float(value)
    return number if math.isfinite(number) else None
