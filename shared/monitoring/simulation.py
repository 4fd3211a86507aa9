"""Drift statistics, batches simulated without drift, and a common alarm limit for many statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.evaluation.arrays import FloatArray, IntArray

# Added to every count so that an empty bin does not make PSI infinite.
PSEUDO_COUNT = 0.5


def psi(reference_counts: IntArray, counts: IntArray) -> FloatArray:
    """Return the population stability index of counts (..., bins) against reference counts (bins,).

    Sum of (p - q) * log(p / q) over shares with `PSEUDO_COUNT` added to each bin; 0 for equal shares. NaN
    where the counts are all 0.
    """
    p = _shares(counts)
    q = _shares(reference_counts)
    value = ((p - q) * np.log(p / q)).sum(-1)
    return np.where(counts.sum(-1) > 0, value, np.nan)


def _shares(counts: IntArray) -> FloatArray:
    smoothed = counts + PSEUDO_COUNT
    return np.asarray(smoothed / smoothed.sum(-1, keepdims=True))


def cumulative_gap(reference_counts: IntArray, counts: IntArray) -> FloatArray:
    """Return the largest gap between the distribution functions at the bin edges (Kolmogorov-Smirnov)."""
    reference = np.cumsum(reference_counts) / reference_counts.sum()
    cumulative = np.cumsum(counts, axis=-1) / counts.sum(-1, keepdims=True)
    return np.asarray(np.abs(cumulative - reference).max(-1))


def simulate_counts(
    alpha: NDArray[np.float64], num_rows: int, num_simulations: int, generator: np.random.Generator
) -> IntArray:
    """Return the counts of batches without drift, of shape (simulations, bins).

    The true shares are drawn from a Dirichlet distribution with parameters `alpha` (reference counts plus a
    prior), as the reference only estimates them; then each batch from its shares.
    """
    mass = generator.gamma(alpha, size=(num_simulations, alpha.size))
    total = mass.sum(-1, keepdims=True)
    # Tiny alphas can all underflow to 0: such a draw is as good as certain of the first bin.
    mass[total[:, 0] == 0, 0] = 1.0
    return generator.multinomial(num_rows, mass / mass.sum(-1, keepdims=True))


@dataclass(slots=True)
class Family:
    """Statistics that share one false-alarm rate.

    Each is put on the scale of its upper tail probability under a gamma distribution with its simulated mean
    and variance, which makes a PSI over 12 bins comparable with a missing share. The limit is then set on the
    smallest probability over all statistics, from the simulations themselves: where the gamma fits badly,
    attention is spread unevenly over the statistics, but the rate of the family stays right.
    """

    size: int
    limit_probability: float = float("nan")
    _smallest: FloatArray | None = None

    def add(self, observed: float | FloatArray, simulated: FloatArray) -> "Simulated":
        """Take in a statistic (larger is more drift) with its simulations of shape (size,)."""
        mean, variance = float(simulated.mean()), float(simulated.var())
        statistic = Simulated(float(observed), mean, variance, self)
        if statistic.is_testable:
            probability = statistic.tail(simulated)
            smallest = self._smallest
            self._smallest = probability if smallest is None else np.minimum(smallest, probability)
        return statistic

    def close(self, false_alarm_rate: float) -> None:
        """Set the limit: at most this share of the simulated batches lies strictly below it."""
        if self._smallest is not None:
            self.limit_probability = float(np.sort(self._smallest)[int(false_alarm_rate * self.size)])


@dataclass(frozen=True, slots=True)
class Simulated:
    """A statistic of the batch with the mean and variance of its simulations."""

    observed: float
    mean: float
    variance: float
    family: Family

    @property
    def is_testable(self) -> bool:
        """A statistic that never varies without drift, or is undefined here, cannot raise an alarm."""
        return bool(np.isfinite(self.mean) and self.variance > 0)

    def tail(self, value: FloatArray) -> FloatArray:
        from scipy.special import gammaincc

        return np.asarray(gammaincc(self.mean**2 / self.variance, value * self.mean / self.variance))

    def limit(self) -> float:
        """Return the value above which the statistic raises an alarm; NaN if it cannot."""
        from scipy.special import gammainccinv

        if not self.is_testable:
            return float("nan")
        shape = self.mean**2 / self.variance
        return float(gammainccinv(shape, self.family.limit_probability) * self.variance / self.mean)
