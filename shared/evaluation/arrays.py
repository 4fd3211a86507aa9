"""Checked inputs for all of evaluation: what is wrong with the arrays is said before any arithmetic."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def labels(y: ArrayLike) -> IntArray:
    """Return 0/1 labels of shape (n,).

    Raises ValueError when `y` is not one-dimensional or holds anything but 0 and 1 (NaN included).
    """
    array = np.asarray(y)
    if array.ndim != 1:
        raise ValueError(f"Expected labels of shape (n,). Received shape {array.shape}.")
    if array.size and not np.isin(array, (0, 1)).all():
        raise ValueError(f"Expected labels 0 and 1. Received {np.unique(array)[:5].tolist()}.")
    return array.astype(np.int64)


def scores(score: ArrayLike, num_rows: int | None = None, *, probability: bool = False) -> FloatArray:
    """Return finite scores of shape (n,) as float64.

    Raises ValueError for another shape or length, for NaN and infinity, and, with `probability`, for values
    outside 0 to 1.
    """
    array = np.asarray(score, dtype=np.float64)
    if array.ndim != 1 or (num_rows is not None and array.size != num_rows):
        expected = "(n,)" if num_rows is None else f"({num_rows},)"
        raise ValueError(f"Expected scores of shape {expected}. Received shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(
            f"Expected finite scores. Received {int((~np.isfinite(array)).sum())} that are NaN or infinite."
        )
    if probability and array.size and (array.min() < 0 or array.max() > 1):
        raise ValueError(f"Expected probabilities from 0 to 1. Received {array.min():g} to {array.max():g}.")
    return array


def weights(weight: ArrayLike | None, num_rows: int) -> FloatArray | None:
    """Return finite, non-negative weights of shape (n,), or None for equal weights."""
    if weight is None:
        return None
    array = scores(weight, num_rows)
    if array.size and array.min() < 0:
        raise ValueError(f"Expected weights of at least 0. Received {array.min():g}.")
    return array


def codes(values: ArrayLike, num_rows: int, what: str) -> tuple[NDArray[Any], IntArray]:
    """Return the distinct values and the index of each row's value. Raises ValueError for another length."""
    array = np.asarray(values)
    if array.shape != (num_rows,):
        raise ValueError(f"Expected {what} of shape ({num_rows},). Received shape {array.shape}.")
    distinct, code = np.unique(array, return_inverse=True)
    return distinct, code.astype(np.int64)


def confidence_level(confidence: float) -> float:
    """Return the two-sided confidence level after checking that it lies strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"Expected a confidence between 0 and 1, e.g. 0.95. Received {confidence!r}.")
    return confidence
