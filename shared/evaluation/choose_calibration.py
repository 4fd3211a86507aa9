"""Choosing a calibration by cross-validated log loss on validation data: the simplest not worse."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray, IntArray
from shared.evaluation.binary import PROBABILITY_FLOOR
from shared.evaluation.calibration import (
    MIN_ISOTONIC_ROWS,
    Calibration,
    IsotonicCalibration,
    NoCalibration,
    PlattScaling,
    TemperatureScaling,
)

Fit = Callable[[ArrayLike, ArrayLike], Calibration]

# From the fewest parameters to the most: of equals the first wins.
CANDIDATES: dict[str, Fit] = {
    NoCalibration.method: NoCalibration.fit,
    TemperatureScaling.method: TemperatureScaling.fit,
    PlattScaling.method: PlattScaling.fit,
    IsotonicCalibration.method: IsotonicCalibration.fit,
}
# Fewer of either class say too little about a second parameter, or even about the first.
MIN_CLASS_ROWS = 10


@dataclass(frozen=True, slots=True)
class CalibrationChoice:
    """The chosen calibration, fitted on all validation rows, with the losses that led to it.

    `log_loss`: cross-validated mean log loss of each candidate, nats per row; empty when there was no choice.
    """

    calibration: Calibration
    log_loss: dict[str, float]
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "calibration": self.calibration.to_json(),
            "log_loss": self.log_loss,
            "reason": self.reason,
        }


def choose_calibration(
    logits: ArrayLike,
    y: ArrayLike,
    *,
    candidates: Collection[str] = tuple(CANDIDATES),
    groups: ArrayLike | None = None,
    num_folds: int = 5,
    seed: int = 0,
) -> CalibrationChoice:
    """Choose among none, temperature, Platt and isotonic, on validation logits and labels of shape (n,).

    `candidates` names those that may be chosen; leave out isotonic where log-odds must stay an affine map.

    Takes the simplest candidate whose loss is within one standard error (of the paired difference per row) of
    the best. `groups` of shape (n,) keeps all rows of a group in one fold. Isotonic takes part only when
    every training fold has `MIN_ISOTONIC_ROWS`. With too few rows of a class the logits stay as they are.
    """
    y_n = arrays.labels(y)
    logit_n = arrays.scores(logits, y_n.size)
    if num_folds < 2:
        raise ValueError(f"Expected at least 2 folds. Received {num_folds}.")
    if not candidates or set(candidates) - set(CANDIDATES):
        raise ValueError(f"Expected some of {', '.join(CANDIDATES)} as candidates. Received {candidates!r}.")
    fewest = int(min(y_n.sum(), (1 - y_n).sum())) if y_n.size else 0
    if fewest < max(MIN_CLASS_ROWS, num_folds):
        return CalibrationChoice(NoCalibration(), {}, f"not calibrated: only {fewest} rows of one class")
    if groups is not None and np.unique(np.asarray(groups)).size < num_folds:
        return CalibrationChoice(NoCalibration(), {}, f"not calibrated: fewer than {num_folds} groups")
    fold_n = _folds(y_n, groups, num_folds, seed)
    smallest_training = y_n.size - int(np.bincount(fold_n).max())
    allowed = {
        name: fit
        for name, fit in CANDIDATES.items()
        if name in candidates
        and (name != IsotonicCalibration.method or smallest_training >= MIN_ISOTONIC_ROWS)
    }
    losses = {name: _out_of_fold_losses(fit, logit_n, y_n, fold_n) for name, fit in allowed.items()}
    means = {name: float(loss_n.mean()) for name, loss_n in losses.items()}
    best = min(means, key=lambda name: means[name])
    chosen = next(name for name in allowed if _within_one_error(losses[name], losses[best]))
    reason = f"{chosen} has the lowest cross-validated log loss ({means[chosen]:.4f} nats)"
    if chosen != best:
        reason = (
            f"{chosen} ({means[chosen]:.4f} nats) is simpler than {best} ({means[best]:.4f}), within noise"
        )
    return CalibrationChoice(allowed[chosen](logit_n, y_n), means, reason)


def _folds(y_n: IntArray, groups: ArrayLike | None, num_folds: int, seed: int) -> IntArray:
    """Return a fold per row: stratified by label, or whole groups dealt out at random."""
    generator = np.random.default_rng(seed)
    if groups is not None:
        distinct, group_n = arrays.codes(groups, y_n.size, "groups")
        fold_of_group = np.arange(distinct.size) % num_folds
        return generator.permutation(fold_of_group)[group_n]
    fold_n = np.empty(y_n.size, dtype=np.int64)
    for label in (0, 1):
        rows = np.flatnonzero(y_n == label)
        fold_n[generator.permutation(rows)] = np.arange(rows.size) % num_folds
    return fold_n


def _out_of_fold_losses(fit: Fit, logit_n: FloatArray, y_n: IntArray, fold_n: IntArray) -> FloatArray:
    """Return the log loss of each row under a calibration that was fitted without its fold."""
    loss_n = np.empty(y_n.size)
    for fold in np.unique(fold_n):
        held_out = fold_n == fold
        p = fit(logit_n[~held_out], y_n[~held_out]).probability(logit_n[held_out])
        likelihood = np.where(y_n[held_out] == 1, p, 1 - p)
        loss_n[held_out] = -np.log(np.maximum(likelihood, PROBABILITY_FLOOR))
    return loss_n


def _within_one_error(loss_n: FloatArray, best_n: FloatArray) -> bool:
    difference_n = loss_n - best_n
    standard_error = difference_n.std(ddof=1) / np.sqrt(difference_n.size)
    return bool(difference_n.mean() <= standard_error)
