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


def numeric_bins(reference: NumericProfile, column: pl.Series) -> tuple[IntArray, FloatArray, IntArray]:
    """Return reference counts, their prior and the batch's counts, each of shape (bins,)."""
    value_n = numbers(column)
    reference_counts = np.asarray(reference.counts)
    return (
        reference_counts,
        range_prior(reference_counts.size),
        bin_counts(value_n[~np.isnan(value_n)], reference.edges),
    )


def range_prior(num_bins: int) -> FloatArray:
    """Return what to add to the counts for the true shares' distribution given a continuous reference.

    The mass beyond the largest (and the smallest) of n values is that of one more value: uniform spacings.
    """
    prior = np.zeros(num_bins)
    prior[[0, -1]] += 1
    return prior


def level_bins(
    reference: CategoryProfile, column: pl.Series
) -> tuple[IntArray, FloatArray, IntArray, dict[str, int]]:
    """Return reference counts, prior, batch counts (frequent levels, then all others), and the new levels.

    The share of levels never seen is estimated by that of levels seen once (Good-Turing).
    """
    batch = level_counts(column)
    frequent = list(reference.levels)[:NUM_LEVEL_BINS]
    rest = sum(reference.levels.values()) - sum(reference.levels[level] for level in frequent)
    counts = [batch.get(level, 0) for level in frequent]
    prior = np.zeros(len(frequent) + 1)
    prior[-1] = max(1, sum(count == 1 for count in reference.levels.values()))
    new_levels = {level: count for level, count in batch.items() if level not in reference.levels}
    return (
        np.array([*(reference.levels[level] for level in frequent), rest]),
        prior,
        np.array([*counts, sum(batch.values()) - sum(counts)]),
        new_levels,
    )
