"""Is one model better than another on the same rows, and is the difference more than noise?"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray
from shared.evaluation.binary import roc_auc
from shared.evaluation.bootstrap import Resampler, Statistic, interval, replicates
from shared.evaluation.cells import BinaryStatistic
from shared.evaluation.delong import delong
from shared.evaluation.metric import decimals, finite_or_none, number

# Two models that rank alike may differ in the last bits of a sum: that is no difference.
FLOAT_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference first minus second of one metric on the same units, with its interval.

    A positive difference favours the first where higher is better, the second where lower is.
    `outside_noise`: the interval does not hold 0. All numbers are NaN where the metric is undefined.
    """

    name: str
    difference: float
    low: float
    high: float
    n: int
    outside_noise: bool
    p_value: float
    higher_is_better: bool = True

    @property
    def advantage(self) -> float:
        """The difference turned so that positive favours the first model."""
        return self.difference if self.higher_is_better else -self.difference

    @property
    def advantage_interval(self) -> tuple[float, float]:
        return (self.low, self.high) if self.higher_is_better else (-self.high, -self.low)

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        return {
            key: finite_or_none(value) if isinstance(value, float) else value for key, value in fields.items()
        }


def paired_bootstrap(
    statistic: Statistic,
    y: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    name: str | None = None,
    groups: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    higher_is_better: bool | None = None,
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare `statistic(y, a)` with `statistic(y, b)` by resampling the same rows or groups for both.

    Pairing removes the noise that both share (hard and easy rows), which is most of it. The p-value is
    two-sided, counts a replicate of exactly 0 as half, and is never below 1 / (replicates + 1).
    """
    if higher_is_better is None:
        if not isinstance(statistic, BinaryStatistic):
            raise ValueError("Expected higher_is_better: the statistic does not state its direction.")
        higher_is_better = statistic.higher_is_better
    if name is None:
        name = statistic.name if isinstance(statistic, BinaryStatistic) else statistic.__name__
    resampler = Resampler(len(np.asarray(y)), groups=groups, strata=strata, seed=seed)
    difference = float("nan") if resampler.num_rows == 0 else float(statistic(y, a)) - float(statistic(y, b))
    if not np.isfinite(difference) or resampler.num_units < 2:
        return _unknown(name, difference, resampler.num_units, higher_is_better)
    of_a, of_b = replicates(statistic, [y], [a, b], resampler, num_replicates)
    return from_replicates(
        name,
        difference,
        of_a - of_b,
        resampler.num_units,
        higher_is_better=higher_is_better,
        confidence=confidence,
    )


def from_replicates(
    name: str,
    difference: float,
    replicates: FloatArray,
    n: int,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
) -> Comparison:
    """A difference with its percentile interval, widened to hold it; NaN where too few replicates are defined.

    replicates: of the difference, one for each resample of the `n` units.
    """
    low, high = interval(difference, replicates, confidence=confidence)
    if not np.isfinite(low):
        return _unknown(name, difference, n, higher_is_better)
    low, high = min(low, difference), max(high, difference)
    outside, p_value = excludes_zero(low, high), two_sided_p(replicates)
    return Comparison(name, difference, low, high, n, outside, p_value, higher_is_better)


def excludes_zero(low: float, high: float) -> bool:
    return low > FLOAT_NOISE or high < -FLOAT_NOISE


def two_sided_p(differences: FloatArray) -> float:
    defined = differences[np.isfinite(differences)]
    below = (defined < 0).sum() + 0.5 * (defined == 0).sum()
    return float(min(1.0, (2 * min(below, defined.size - below) + 1) / (defined.size + 1)))


def _unknown(name: str, difference: float, n: int, higher_is_better: bool) -> Comparison:
    nan = float("nan")
    return Comparison(name, difference, nan, nan, n, False, nan, higher_is_better)


def compare_auc(
    y: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    name: str = "roc_auc",
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two ROC-AUCs: DeLong's paired test in milliseconds, or the bootstrap over groups.

    Give `groups` whenever rows hang together: DeLong's test takes them as independent.
    """
    from scipy.stats import norm

    if groups is not None:
        return paired_bootstrap(roc_auc, y, a, b, name=name, groups=groups, confidence=confidence, seed=seed)
    tail = (1 - arrays.confidence_level(confidence)) / 2
    aucs, covariance = delong(y, [a, b])
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    num_rows = len(np.asarray(y))
    if not np.isfinite(variance):
        return _unknown(name, difference, num_rows, True)
    standard_error = np.sqrt(max(variance, 0.0))
    half_width = float(norm.isf(tail) * standard_error)
    low, high = difference - half_width, difference + half_width
    p_value = 2 * float(norm.sf(abs(difference) / max(standard_error, FLOAT_NOISE)))
    return Comparison(name, difference, low, high, num_rows, excludes_zero(low, high), p_value)


def difference_text(comparison: Comparison, digits: int | None = None) -> str:
    """Return the advantage with its interval, e.g. `+0.002, -0.006 to +0.010`."""
    low, high = comparison.advantage_interval
    digits = decimals(high - low) if digits is None else digits
    value, low_text, high_text = (
        number(end, digits, signed=True) for end in (comparison.advantage, low, high)
    )
    return f"{value}, {low_text} to {high_text}"
