"""Rank correlation per row and the bootstrap interval of a mean: the two statistics that the checks need."""

import numpy as np


def rank_correlations(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of two (rows, features) arrays, of shape (rows,).

    Ties share their mean rank. A row that is constant in one of the arrays has no order and gets 0.
    """
    from scipy.stats import rankdata

    left, right = (rankdata(array, axis=1) for array in (values, others))
    left, right = (ranks - ranks.mean(1, keepdims=True) for ranks in (left, right))
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    return np.divide((left * right).sum(1), scale, out=np.zeros(len(left)), where=scale > 0)


def mean_interval(values: np.ndarray, *, seed: int, num_resamples: int = 1000) -> tuple[float, float, float]:
    """Mean with its 95 % percentile bootstrap interval over the entries: (mean, low, high)."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), (num_resamples, len(values)))
    low, high = np.quantile(values[picks].mean(1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
