"""How far probabilities can be believed: the reliability table, and the interval of each of its rates."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.binary import NUM_CALIBRATION_BINS, brier, calibration_bins


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One row of a reliability table; `low` and `high` bound the observed rate (Wilson interval)."""

    bin: int
    n: float
    mean_predicted: float
    observed_rate: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a rate; (0, 1) when nothing was observed.

    Unlike the usual +-1.96 standard errors it stays inside 0 to 1 and does not collapse at 0 or n successes.
    """
    from scipy.stats import norm

    if n <= 0:
        return 0.0, 1.0
    z = float(norm.isf((1 - arrays.confidence_level(confidence)) / 2))
    rate = successes / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return max(0.0, min(rate, float(centre - half_width))), min(1.0, max(rate, float(centre + half_width)))


def calibration_table(
    y: ArrayLike,
    probability: ArrayLike,
    num_bins: int = NUM_CALIBRATION_BINS,
    *,
    equal_mass: bool = True,
    weight: ArrayLike | None = None,
    confidence: float = 0.95,
) -> list[CalibrationBin]:
    """Return the reliability table, lowest probabilities first; empty bins are left out.

    With weights, `n` is the total weight and the interval uses Kish's effective sample size of the bin.
    """
    y_n, p_n = brier.checked(y, probability)
    w_n = arrays.weights(weight, y_n.size)
    w_n = np.ones(y_n.size) if w_n is None else w_n
    if w_n.sum() == 0:
        return []
    distinct, position = np.unique(p_n, return_inverse=True)
    total_G = np.bincount(position, w_n, distinct.size).astype(np.float64)
    bin_n = calibration_bins(distinct, total_G[None], num_bins, equal_mass=equal_mass)[0][position]
    mass, squared, predicted, observed = (
        np.bincount(bin_n, value, num_bins) for value in (w_n, w_n**2, w_n * p_n, w_n * y_n)
    )
    table = []
    for index in np.flatnonzero(mass):
        rate, effective = observed[index] / mass[index], mass[index] ** 2 / squared[index]
        low, high = wilson_interval(rate * effective, effective, confidence)
        mean = float(predicted[index] / mass[index])
        table.append(CalibrationBin(int(index), float(mass[index]), mean, float(rate), low, high))
    return table
