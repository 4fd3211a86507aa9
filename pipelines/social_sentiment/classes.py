"""Which of several classes: accuracy, recalls, macro averages and differences of models, from confusion matrices.

Everything is a function of how often each class was taken for each. A resample of the units is a sum of their
matrices, so 1,000 replicates of all metrics of six models on 12,000 rows are matrix products, and differences between
models are paired by construction.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation.arrays import FloatArray
from shared.evaluation.bootstrap import Resampler, interval
from shared.evaluation.compare import Comparison, from_replicates
from shared.evaluation.metric import Metric, undefined

# (..., classes, classes), truth before prediction -> (...)
ClassStatistic = Callable[[FloatArray], FloatArray]
_REPLICATES_AT_ONCE = 64


def accuracy(confusion: FloatArray) -> FloatArray:
    """Share of rows of the right class."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1)))


def recalls(confusion: FloatArray) -> FloatArray:
    """Of each class the share that was found, (..., classes); NaN for a class without rows."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1) / confusion.sum(-1))


def macro_recall(confusion: FloatArray) -> FloatArray:
    """Mean recall of the classes that have rows: what always naming one of them reaches is 1 / classes."""
    return _mean_of_defined(recalls(confusion))


def macro_f1(confusion: FloatArray) -> FloatArray:
    """Mean F1 of the classes that occur in truth or predictions."""
    with np.errstate(invalid="ignore"):
        found = np.diagonal(confusion, axis1=-2, axis2=-1)
        return _mean_of_defined(2 * found / (confusion.sum(-1) + confusion.sum(-2)))


def recall_of(number: int) -> ClassStatistic:
    """The recall of one class."""
    return lambda confusion: recalls(confusion)[..., number]


def f1_of(number: int) -> ClassStatistic:
    """The F1 of one class."""

    def statistic(confusion: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            size = confusion.sum(-1) + confusion.sum(-2)
            return np.asarray(2 * confusion[..., number, number] / size[..., number])

    return statistic


def _mean_of_defined(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> FloatArray:
    """How many rows of each class (first axis) were taken for each (second); both class numbers, (rows,)."""
    counts = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.float64)


class ClassResults:
    """Predictions of several models of the same rows.

    truth: class numbers (rows,); predicted: by model, the same. groups (rows,) makes whole groups the unit. Same seed,
    same resamples. Raises ValueError for classes outside 0 to num_classes - 1 and for other lengths.
    """

    def __init__(
        self,
        truth: ArrayLike,
        predicted: Mapping[str, ArrayLike],
        num_classes: int,
        *,
        groups: ArrayLike | None = None,
        num_replicates: int = 1000,
        seed: int = 0,
    ) -> None:
        truth_n = _numbers(truth, num_classes)
        self.resampler = Resampler(len(truth_n), groups=groups, seed=seed)
        unit = np.arange(len(truth_n)) if groups is None else self.resampler.unit_of_row
        assert unit is not None
        self.num_classes = num_classes
        said = {name: _numbers(each, num_classes, len(truth_n)) for name, each in predicted.items()}
        self._place = {name: place for place, name in enumerate(said)}
        self._totals = {name: confusion_matrix(truth_n, each, num_classes) for name, each in said.items()}
        cells = [truth_n * num_classes + each for each in said.values()]
        self._replicates = self._resampled(cells, unit, num_replicates)

    def _resampled(self, cells: Sequence[np.ndarray], unit: np.ndarray, num_replicates: int) -> FloatArray:
        """Confusion matrices of each model in each resample, (models, replicates, classes, classes)."""
        from scipy.sparse import csr_array

        num_cells, num_units = self.num_classes**2, self.resampler.num_units
        result = np.zeros((len(cells), num_replicates, num_cells))
        if num_units > 1:
            ones = np.ones(len(unit))
            tables = [csr_array((ones, (each, unit)), shape=(num_cells, num_units)) for each in cells]
            for begin in range(0, num_replicates, _REPLICATES_AT_ONCE):
                end = min(begin + _REPLICATES_AT_ONCE, num_replicates)
                drawn = np.stack([self.resampler.unit_counts() for _ in range(begin, end)], axis=1)
                for place, table in enumerate(tables):
                    result[place, begin:end] = (table @ drawn).T
        return result.reshape(len(cells), num_replicates, self.num_classes, self.num_classes)

    def confusion(self, model: str) -> FloatArray:
        """How many rows of each class (first axis) were taken for each (second)."""
        return self._totals[model]

    def metric(self, model: str, statistic: ClassStatistic, name: str) -> Metric:
        """A statistic of a model with its 95 % percentile interval; `n` counts units. Higher is better."""
        value = float(statistic(self.confusion(model)))
        if not np.isfinite(value):
            return undefined(name, "no rows of this class", n=self.resampler.num_units)
        low, high = interval(value, statistic(self._replicates[self._place[model]]))
        if not np.isfinite(low):
            return Metric(name, value, n=self.resampler.num_units)
        return Metric(name, value, min(low, value), max(high, value), n=self.resampler.num_units)

    def compare(self, first: str, second: str, statistic: ClassStatistic, name: str) -> Comparison:
        """A statistic of `first` minus that of `second` on the same units, with its interval."""
        a, b = self._place[first], self._place[second]
        difference = float(statistic(self.confusion(first)) - statistic(self.confusion(second)))
        replicates = np.asarray(statistic(self._replicates[a]) - statistic(self._replicates[b]))
        return from_replicates(name, difference, replicates, self.resampler.num_units)


def _numbers(classes: ArrayLike, num_classes: int, length: int | None = None) -> np.ndarray:
    numbers = np.asarray(classes)
    if length is not None and numbers.shape != (length,):
        raise ValueError(f"Expected {length} predictions. Received shape {numbers.shape}.")
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"Expected one class number a row. Received {numbers.dtype} {numbers.shape}.")
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= num_classes):
        raise ValueError(
            f"Expected classes from 0 to {num_classes - 1}. Received {numbers.min()} to {numbers.max()}."
        )
    return numbers.astype(np.int64)
