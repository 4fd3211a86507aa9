"""Metrics of a score against 0/1 labels. Higher scores mean "more likely 1" throughout.

Each is called as `roc_auc(y, score, weight=None) -> float`; ties are handled exactly, weights are case
weights. The bodies work on cells (see `shared.evaluation.cells`): score_G ascending, positives_RG,
negatives_RG.
"""

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray, IntArray
from shared.evaluation.cells import BinaryStatistic, binary_statistic

# A probability of exactly 0 or 1 that is wrong would cost infinitely much; so it costs at most 36.04 nats.
PROBABILITY_FLOOR = float(np.finfo(np.float64).eps)
NUM_CALIBRATION_BINS = 10


@binary_statistic(higher_is_better=True, ranks_only=True)
def roc_auc(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Probability that a random positive scores above a random negative; a tie counts one half."""
    below_RG = np.cumsum(negatives_RG, axis=-1)
    below_RG -= 0.5 * negatives_RG
    wins_R = np.einsum("rg,rg->r", positives_RG, below_RG)
    return np.asarray(wins_R / (positives_RG.sum(-1) * negatives_RG.sum(-1)))


@binary_statistic(higher_is_better=True, ranks_only=True)
def gini(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Gini coefficient (accuracy ratio): 2 * ROC-AUC - 1."""
    return 2 * np.asarray(roc_auc.from_cells(score_G, positives_RG, negatives_RG)) - 1


@binary_statistic(higher_is_better=True, ranks_only=True)
def ks(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Largest true-positive minus false-positive rate over all cut-offs.

    One-sided on purpose: a score that ranks the wrong way round gets about 0, not a flattering number.
    """
    return np.maximum(_rate_gaps(positives_RG, negatives_RG).max(-1), 0.0)


def _rate_gaps(positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Return the true-positive minus the false-positive rate when flagging every score >= score_G."""
    caught_RG = _from_top(positives_RG) / positives_RG.sum(-1, keepdims=True)
    return np.asarray(caught_RG - _from_top(negatives_RG) / negatives_RG.sum(-1, keepdims=True))


def _from_top(count_RG: FloatArray) -> FloatArray:
    return np.cumsum(count_RG[..., ::-1], axis=-1)[..., ::-1]


def sensitivity_at(false_alarms: float) -> BinaryStatistic:
    """Return the share of positives above a score that at most this share of negatives exceeds, as a statistic.

    A point of the ROC curve, so of a threshold that knows the test negatives: what a score could do, not what a
    threshold chosen beforehand does.
    """
    if not 0 <= false_alarms < 1:
        raise ValueError(
            f"Expected a share of false alarms of at least 0 and below 1. Received {false_alarms}."
        )

    def sensitivity(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
        """Share of positives caught at a share of false alarms."""
        alarms_RG = _from_top(negatives_RG) / negatives_RG.sum(-1, keepdims=True)
        caught_RG = _from_top(positives_RG) / positives_RG.sum(-1, keepdims=True)
        return np.asarray(np.where(alarms_RG <= false_alarms + 1e-12, caught_RG, 0.0).max(-1))

    return binary_statistic(higher_is_better=True, ranks_only=True)(sensitivity)


@binary_statistic(higher_is_better=True, needs_both_classes=False, ranks_only=True)
def average_precision(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Sum of precision times the step in recall, ties as one step. NaN without positives."""
    caught_RG = _from_top(positives_RG)
    flagged_RG = caught_RG + _from_top(negatives_RG)
    precision_RG = np.divide(caught_RG, flagged_RG, out=np.zeros_like(caught_RG), where=flagged_RG > 0)
    return np.asarray(np.einsum("rg,rg->r", positives_RG, precision_RG) / positives_RG.sum(-1))


@binary_statistic(higher_is_better=False, needs_both_classes=False, takes_probability=True)
def brier(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Mean squared difference between probability and outcome."""
    loss_R = positives_RG @ (1 - score_G) ** 2 + negatives_RG @ score_G**2
    return np.asarray(loss_R / (positives_RG.sum(-1) + negatives_RG.sum(-1)))


@binary_statistic(higher_is_better=False, needs_both_classes=False, takes_probability=True)
def log_loss(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
    """Mean negative log-likelihood in nats; probabilities are clipped to `PROBABILITY_FLOOR` from 0 and 1."""
    p_G = np.clip(score_G, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    loss_R = -(positives_RG @ np.log(p_G) + negatives_RG @ np.log1p(-p_G))
    return np.asarray(loss_R / (positives_RG.sum(-1) + negatives_RG.sum(-1)))


def ece_statistic(num_bins: int = NUM_CALIBRATION_BINS, *, equal_mass: bool = True) -> BinaryStatistic:
    """Return the expected calibration error with these bins as a statistic.

    The weighted mean over bins of |observed rate - mean probability|. It is biased upwards: a perfectly
    calibrated model does not reach 0 on a finite sample (`ece_noise_floor` says what it reaches), and a
    bootstrap replicate adds bias once more. So ask for the "basic" interval, which takes that back, and read
    the value beside the noise floor.
    """
    if num_bins < 1:
        raise ValueError(f"Expected at least 1 bin. Received {num_bins}.")

    def ece(score_G: FloatArray, positives_RG: FloatArray, negatives_RG: FloatArray) -> FloatArray:
        """Expected calibration error."""
        total_RG = positives_RG + negatives_RG
        bin_RG = calibration_bins(score_G, total_RG, num_bins, equal_mass=equal_mass)
        num_replicates = total_RG.shape[0]
        flat = (bin_RG + num_bins * np.arange(num_replicates)[:, None]).ravel()
        excess = np.bincount(flat, (positives_RG - total_RG * score_G).ravel(), num_replicates * num_bins)
        return np.asarray(np.abs(excess).reshape(num_replicates, num_bins).sum(-1) / total_RG.sum(-1))

    return binary_statistic(higher_is_better=False, needs_both_classes=False, takes_probability=True)(ece)


def calibration_bins(
    score_G: FloatArray, total_RG: FloatArray, num_bins: int, *, equal_mass: bool
) -> IntArray:
    """Return the bin of each distinct score, of shape (R, G). Tied scores are never split between bins."""
    if equal_mass:
        middle_RG = (np.cumsum(total_RG, axis=-1) - 0.5 * total_RG) / total_RG.sum(-1, keepdims=True)
        position = middle_RG * num_bins
    else:
        position = np.broadcast_to(score_G * num_bins, total_RG.shape)
    return np.clip(position.astype(np.int64), 0, num_bins - 1)


ece = ece_statistic()


def ece_noise_floor(
    probability: ArrayLike, num_bins: int = NUM_CALIBRATION_BINS, *, equal_mass: bool = True
) -> float:
    """Return the ECE that a perfectly calibrated model with these probabilities would show by chance alone.

    Normal approximation of the mean absolute deviation in each bin. An observed ECE near it is no evidence of
    miscalibration. NaN without rows.
    """
    p_n = arrays.scores(probability, probability=True)
    if p_n.size == 0:
        return float("nan")
    p_n = np.sort(p_n)
    bin_n = calibration_bins(p_n, np.ones((1, p_n.size)), num_bins, equal_mass=equal_mass)[0]
    variance = np.bincount(bin_n, p_n * (1 - p_n), num_bins)
    return float(np.sqrt(2 / np.pi * variance).sum() / p_n.size)
