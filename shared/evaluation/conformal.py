"""Conformal quantiles: how far off a prediction may be, with a promised coverage, from rows it was not fitted on.

Rows of one group (a machine, a patient, a customer) are alike, so the group is what is drawn anew, and each has the
same weight however many rows it has. Sources: Vovk et al. 2005; conformalised quantile regression: Romano, Patterson
and Candès 2019; groups of several rows: Dunn, Wasserman and Ramdas 2023, whose pooled distribution this is.
"""

import numpy as np


def conformal_quantile(scores: np.ndarray, coverage: float, *, groups: np.ndarray | None = None) -> float:
    """The value that a row of a new group stays at or below with probability `coverage`, in the unit of the scores.

    scores: how badly each row is predicted by a model that has not seen its group, (rows,), finite. groups: to which
    group each row belongs, (rows,); None: each row is one of its own. The result is infinite when there are too few
    groups to promise that coverage: `coverage / (1 - coverage)`, rounded up, are needed.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"Expected a coverage between 0 and 1. Received {coverage}.")
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"Expected finite scores, at least one. Received {len(scores)} scores.")
    order = np.argsort(scores, kind="stable")
    weights, num_groups = _weights(len(scores), groups)
    # the new group may lie beyond all that were seen: the one that is added counts as infinitely badly predicted
    needed = coverage * (num_groups + 1)
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, needed - 1e-9))
    return float(scores[order[place]]) if place < len(scores) else float("inf")


def interval_scores(target: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far each target lies outside its interval, negative inside; in the unit of the target, (rows,)."""
    return np.maximum(low - target, target - high)


def _weights(num_rows: int, groups: np.ndarray | None) -> tuple[np.ndarray, int]:
    """The weight of each row, which add up to the number of groups, and that number."""
    if groups is None:
        return np.ones(num_rows), num_rows
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return 1.0 / counts[place], len(counts)
