"""A batch counted in the bins of the reference, with what the reference leaves unsure about them."""

import numpy as np
import polars as pl

from shared.evaluation.arrays import FloatArray, IntArray
from shared.monitoring.profile import (
    NUM_LEVEL_BINS,
    CategoryProfile,
    NumericProfile,
    bin_counts,
    level_counts,
    numbers,
)

# Jeffreys: what a count of 0 says about the share of something that may or may not exist.
UNSEEN_PRIOR = 0.5


def numeric_bins(reference: NumericProfile, column: pl.Series) -> tuple[IntArray, FloatArray, IntArray]:
    """Return reference counts, their prior and the batch's counts, each of shape (bins,)."""
    value_n = numbers(column)
    reference_counts = np.asarray(reference.counts)
    return (
        reference_counts,
        range_prior(reference),
        bin_counts(value_n[~np.isnan(value_n)], reference.edges),
    )


def range_prior(reference: NumericProfile) -> FloatArray:
    """Return what to add to the reference counts to have the distribution of the true shares, (bins,).

    Beyond the largest (and the smallest) of n continuous values lies the mass of one more: uniform spacings.
    """
    prior = np.zeros(len(reference.counts))
    is_continuous = reference.num_distinct > sum(reference.counts) / 2
    prior[[0, -1]] += 1.0 if is_continuous else UNSEEN_PRIOR
    return prior


def level_bins(
    reference: CategoryProfile, column: pl.Series
) -> tuple[IntArray, FloatArray, IntArray, dict[str, int]]:
    """Return reference counts, prior, batch counts (frequent levels, then all others), and the new levels.

    The share of levels never seen is estimated by that of levels seen once (Good-Turing).
    """
    batch = level_counts(column)
    by_frequency = sorted(reference.levels, key=lambda level: (-reference.levels[level], level))
    frequent = by_frequency[:NUM_LEVEL_BINS]
    rest = sum(reference.levels.values()) - sum(reference.levels[level] for level in frequent)
    counts = [batch.get(level, 0) for level in frequent]
    prior = np.zeros(len(frequent) + 1)
    prior[-1] = max(UNSEEN_PRIOR, sum(count == 1 for count in reference.levels.values()))
    new_levels = {level: count for level, count in batch.items() if level not in reference.levels}
    return (
        np.array([*(reference.levels[level] for level in frequent), rest]),
        prior,
        np.array([*counts, sum(batch.values()) - sum(counts)]),
        new_levels,
    )
