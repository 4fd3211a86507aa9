"""Binary metrics as functions of counts per distinct score: why weighting and bootstrapping are fast.

Every metric of a score against 0/1 labels depends on the rows only through how much positive and negative
weight lies at each distinct score. A bootstrap replicate changes these counts and nothing else, so the rows
are sorted once and a thousand replicates are arithmetic on a (replicates, distinct scores) array. Ties need
no special case.

Shape suffixes: n rows, G distinct scores in ascending order, R replicates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray, IntArray

# (score_G, positives_RG, negatives_RG) -> value_R. NaN where a replicate is undefined.
FromCells = Callable[[FloatArray, FloatArray, FloatArray], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows reduced to (distinct score, label) cells: `score` (G,), `cell` = 2 * score index + label (n,)."""

    score: FloatArray
    cell: IntArray

    @classmethod
    def of(cls, y: IntArray, score: FloatArray, *, ranks_only: bool = False) -> "Cells":
        """ranks_only: neighbouring scores without a positive share a cell, see `BinaryStatistic.ranks_only`."""
        distinct, position = np.unique(score, return_inverse=True)
        if ranks_only and distinct.size:
            has_positive = np.bincount(position, weights=y, minlength=distinct.size) > 0
            begins = has_positive.copy()
            begins[1:] |= has_positive[:-1]
            begins[0] = True
            distinct, position = distinct[begins], (np.cumsum(begins) - 1)[position]
        return cls(distinct, 2 * position.astype(np.int64) + y)

    def counts(self, weight: NDArray[Any] | None = None) -> tuple[FloatArray, FloatArray]:
        """Return the positive and the negative weight at each distinct score, each of shape (G,)."""
        both = np.bincount(self.cell, weights=weight, minlength=2 * self.score.size).astype(np.float64)
        return both[1::2], both[0::2]


@dataclass(frozen=True, slots=True)
class BinaryStatistic:
    """A metric of scores against 0/1 labels, callable as `statistic(y, score, weight=None) -> float`.

    Undefined input (no rows, or one class where both are needed) gives NaN; `undefined(y)` says why.
    Raises ValueError for labels other than 0/1, scores that are not finite, or wrong lengths.

    ranks_only: only the order of positives among the others counts, so it does not matter which scores the negatives
    between two positives have. With rare positives that saves most of the work, and changes no value.
    """

    name: str
    from_cells: FromCells
    higher_is_better: bool
    needs_both_classes: bool
    takes_probability: bool
    ranks_only: bool
    about: str

    def __call__(self, y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
        y_n, score_n = self.checked(y, score)
        weight_n = arrays.weights(weight, y_n.size)
        if self.undefined(y_n, weight_n):
            return float("nan")
        cells = Cells.of(y_n, score_n, ranks_only=self.ranks_only)
        positives, negatives = cells.counts(weight_n)
        return float(self.evaluate(cells.score, positives[None], negatives[None])[0])

    def checked(self, y: ArrayLike, score: ArrayLike) -> tuple[IntArray, FloatArray]:
        y_n = arrays.labels(y)
        return y_n, arrays.scores(score, y_n.size, probability=self.takes_probability)

    def evaluate(self, score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
        """Return one value per replicate; a replicate without a needed class is NaN, not a warning."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value_R = np.asarray(self.from_cells(score_G, positives_RG, negatives_RG), dtype=np.float64)
        if self.needs_both_classes:
            one_class = (positives_RG.sum(-1) == 0) | (negatives_RG.sum(-1) == 0)
            value_R = np.where(one_class, np.nan, value_R)
        return value_R

    def undefined(self, y: ArrayLike, weight: ArrayLike | None = None) -> str:
        """Return why the statistic has no value for these labels, or an empty string."""
        y_n = arrays.labels(y)
        if weight is not None:
            y_n = y_n[np.asarray(weight) > 0]
        if y_n.size == 0:
            return "no rows"
        if self.needs_both_classes and y_n.min() == y_n.max():
            return f"only one class (all {y_n.size} labels are {y_n[0]})"
        return ""


def binary_statistic(
    *,
    higher_is_better: bool,
    needs_both_classes: bool = True,
    takes_probability: bool = False,
    ranks_only: bool = False,
) -> Callable[[FromCells], BinaryStatistic]:
    """Turn a function of cells into a `BinaryStatistic` of the same name."""

    def wrap(from_cells: FromCells) -> BinaryStatistic:
        name, about = getattr(from_cells, "__name__", "statistic"), from_cells.__doc__ or ""
        return BinaryStatistic(
            name, from_cells, higher_is_better, needs_both_classes, takes_probability, ranks_only, about
        )

    return wrap
