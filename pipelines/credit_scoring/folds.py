"""Repeated cross-validation folds: each row is tested once in every repeat, with the classes in balance."""

from dataclasses import dataclass

import numpy as np

from shared.errors import RequestError


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One training and test set: ascending int64 row indices. `repeat` and `fold` count from 0."""

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray


def repeated_stratified(target: np.ndarray, num_folds: int, num_repeats: int, seed: int) -> list[Fold]:
    """Stratified folds, anew for each repeat (5 x 2: `num_folds=2, num_repeats=5`).

    Sizes of the folds, and of each class within them, differ by at most one row. The order depends on the
    seed only. Raises RequestError when a class has fewer rows than there are folds.
    """
    labels = _labels(target, num_folds, num_repeats)
    counts = np.bincount(labels)
    _require_members(np.asarray(target), labels, counts, num_folds)
    folds: list[Fold] = []
    for repeat in range(num_repeats):
        generator = np.random.default_rng([seed, repeat])
        shuffled = generator.permutation(len(labels))
        # Dealt out class after class without a restart: the folds share the remainders evenly too.
        dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
        fold_of_row = np.empty(len(labels), dtype=np.int64)
        fold_of_row[dealt] = np.arange(len(labels)) % num_folds
        folds.extend(_folds(fold_of_row, repeat, num_folds))
    return folds


def _labels(target: np.ndarray, num_folds: int, num_repeats: int) -> np.ndarray:
    """Class numbers from 0; checks what folds need."""
    if num_folds < 2 or num_repeats < 1:
        raise RequestError(
            f"Expected 2 or more folds and 1 or more repeats. Received {num_folds}, {num_repeats}."
        )
    values = np.asarray(target)
    if values.ndim != 1 or (values.dtype.kind == "f" and np.isnan(values).any()):
        raise RequestError(
            "Expected one class for each row. Received missing values or a table: check the target."
        )
    classes, labels = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise RequestError(f"Expected at least two classes in the target. Received {classes.tolist()}.")
    return labels


def _require_members(target: np.ndarray, labels: np.ndarray, counts: np.ndarray, num_folds: int) -> None:
    rarest = int(np.argmin(counts))
    if counts[rarest] < num_folds:
        name = target[np.flatnonzero(labels == rarest)[0]]
        raise RequestError(
            f"Expected at least {num_folds} rows of each class for {num_folds} folds. "
            f"Received {counts[rarest]} of class {name}: use fewer folds or more data."
        )


def _folds(fold_of_row: np.ndarray, repeat: int, num_folds: int) -> list[Fold]:
    return [
        Fold(repeat, fold, np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold))
        for fold in range(num_folds)
    ]
