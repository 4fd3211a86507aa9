"""Repeated cross-validation (5x2 and the like): mean, spread and an interval that does not lie about
independence.

The scores of k splits share training rows, so their plain standard error is far too small. The corrected
variance of Nadeau and Bengio ("Inference for the generalization error", Machine Learning 2003) multiplies the
sample variance by 1/k + n_test/n_train instead of 1/k; with Student's t on k - 1 degrees of freedom.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray
from shared.evaluation.compare import FLOAT_NOISE, Comparison, excludes_zero
from shared.evaluation.metric import Metric, undefined


@dataclass(frozen=True, slots=True)
class RepeatedResult:
    """The mean over splits as a metric, the standard deviation between splits, and the values themselves."""

    metric: Metric
    standard_deviation: float
    values: tuple[float, ...]


def repeated_metric(
    name: str,
    values: ArrayLike,
    *,
    num_train: int,
    num_test: int,
    unit: str = "",
    higher_is_better: bool = True,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    confidence: float = 0.95,
) -> RepeatedResult:
    """Summarise one model's values over all splits of a repeated cross-validation.

    `values` of any shape, one per split; `num_train` and `num_test` are the rows of one split (equal for
    5x2). `bounds` is the metric's possible range: the interval is cut to it. With one split there is no
    interval; with an undefined split the mean is undefined too, since leaving it out would favour whoever
    fails on hard splits.
    """
    value_k = np.asarray(values, dtype=np.float64).ravel()
    num_rows = num_train + num_test
    if value_k.size == 0 or not np.isfinite(value_k).all():
        num_undefined = int((~np.isfinite(value_k)).sum())
        reason = f"{num_undefined} of {value_k.size} splits are undefined" if value_k.size else "no splits"
        metric = undefined(name, reason, unit=unit, higher_is_better=higher_is_better, n=num_rows)
        return RepeatedResult(metric, float("nan"), tuple(value_k.tolist()))
    mean, half_width, _ = _corrected_t(value_k, num_train, num_test, confidence)
    low, high = (float(end) for end in np.clip([mean - half_width, mean + half_width], *bounds))
    deviation = float(value_k.std(ddof=1)) if value_k.size > 1 else float("nan")
    metric = Metric(name, mean, low, high, unit, higher_is_better, num_rows)
    return RepeatedResult(metric, deviation, tuple(value_k.tolist()))


def repeated_comparison(
    name: str,
    a: ArrayLike,
    b: ArrayLike,
    *,
    num_train: int,
    num_test: int,
    higher_is_better: bool = True,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models on the same splits, in the same order, by the corrected resampled t-test.

    Raises ValueError when the two do not have the same splits. NaN in either makes the comparison undefined.
    """
    a_k, b_k = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a_k.shape != b_k.shape or a_k.size == 0:
        raise ValueError(f"Expected the same splits for both models. Received {a_k.shape} and {b_k.shape}.")
    difference_k = (a_k - b_k).ravel()
    mean, half_width, p_value = _corrected_t(difference_k, num_train, num_test, confidence)
    low, high = mean - half_width, mean + half_width
    outside = excludes_zero(low, high)
    return Comparison(name, mean, low, high, num_train + num_test, outside, p_value, higher_is_better)


def _corrected_t(
    value_k: FloatArray, num_train: int, num_test: int, confidence: float
) -> tuple[float, float, float]:
    """Return the mean, the half width of its interval and the two-sided p-value against a mean of 0."""
    from scipy.stats import t

    if num_train < 1 or num_test < 1:
        raise ValueError(f"Expected at least 1 training and 1 test row. Received {num_train} and {num_test}.")
    tail = (1 - arrays.confidence_level(confidence)) / 2
    mean = float(value_k.mean())
    if value_k.size < 2:
        return mean, float("nan"), float("nan")
    variance = float(value_k.var(ddof=1)) * (1 / value_k.size + num_test / num_train)
    standard_error = float(np.sqrt(variance))
    p_value = 2 * float(t.sf(abs(mean) / max(standard_error, FLOAT_NOISE), value_k.size - 1))
    return mean, float(t.isf(tail, value_k.size - 1)) * standard_error, p_value
