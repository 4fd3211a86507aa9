"""What forecasts of remaining life are judged by. target and forecast of shape (rows,), in the same unit of time."""

import numpy as np


def rmse(target: np.ndarray, forecast: np.ndarray) -> float:
    """Root of the mean squared error over all rows at once; a mean over batches of it would be smaller."""
    return float(np.sqrt(np.mean(np.square(forecast - target))))


def mae(target: np.ndarray, forecast: np.ndarray) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(forecast - target)))


def nasa_score(target: np.ndarray, forecast: np.ndarray) -> float:
    """Sum of exp(-d / 13) - 1 for d < 0 and exp(d / 10) - 1 else, with d = forecast - target: too late costs more.

    Source: Saxena et al. 2008. A sum, so it grows with the number of machines, and one miss can decide it.
    """
    late = forecast - target
    return float(np.sum(np.expm1(np.where(late < 0, -late / 13.0, late / 10.0))))


def covered(target: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether each target lies in its interval, float64 0 or 1; an open upper end is NaN."""
    inside: np.ndarray = (target >= low) & ((target <= high) | np.isnan(high))
    return inside.astype(np.float64)
