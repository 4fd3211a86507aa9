"""Beat-by-beat results in the form of ANSI/AAMI EC57: sensitivity and positive predictivity of each class.

Gross results count all beats of all recordings, average ones give every recording the same weight. The jk-index is
that of Mar et al. (2011), "Optimization of ECG classification by means of feature selection": half of Cohen's kappa
plus an eighth of the sensitivities and positive predictivities of S and V, so 1 for a perfect classifier.
"""

from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.labels import CLASSES

JUDGED = CLASSES[:4]
_OF_J = ("S", "V")


def confusion(marked: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Beats of each marked class (rows) that were called each class (columns), int64 of shape (4, 4); see JUDGED."""
    counts = np.zeros((len(JUDGED), len(JUDGED)), dtype=np.int64)
    for row, one in enumerate(JUDGED):
        for column, other in enumerate(JUDGED):
            counts[row, column] = ((marked == one) & (found == other)).sum()
    return counts


def sensitivity(counts: np.ndarray) -> np.ndarray:
    """Share of the marked beats of each class that were called so, (4,); NaN for a class without beats."""
    return _shares(np.diag(counts), counts.sum(axis=1))


def predictivity(counts: np.ndarray) -> np.ndarray:
    """Share of the beats called each class that were marked so (+P), (4,); NaN for a class that was never called."""
    return _shares(np.diag(counts), counts.sum(axis=0))


def accuracy(counts: np.ndarray) -> float:
    """Share of beats that were called as marked."""
    return float(np.trace(counts) / counts.sum())


def jk_index(counts: np.ndarray) -> float:
    """See the module; NaN where S or V has no beats. A class that is never called has a predictivity of 0."""
    places = [JUDGED.index(name) for name in _OF_J]
    j = sensitivity(counts)[places].sum() + np.nan_to_num(predictivity(counts))[places].sum()
    total = counts.sum()
    by_chance = (counts.sum(axis=0) * counts.sum(axis=1)).sum() / total**2
    kappa = (accuracy(counts) - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")
    return float(kappa / 2 + j / 8)


def ec57_card(table: pl.DataFrame) -> dict[str, Any]:
    """Plain values: of each class beats, gross and average sensitivity and predictivity; accuracy, mean sensitivity,
    jk-index, and the confusion matrix. table: one row a beat, of record, beat_class and predicted_class."""
    known = table.filter(pl.col("beat_class").is_in(JUDGED))
    of_record = [
        confusion(rows["beat_class"].to_numpy(), rows["predicted_class"].to_numpy())
        for _, rows in known.group_by("record", maintain_order=True)
    ]
    if not of_record:
        return {}
    counts = np.sum(of_record, axis=0)
    sensitive, precise = sensitivity(counts), predictivity(counts)
    classes = {
        name: {
            "beats": int(counts[place].sum()),
            "sensitivity": float(sensitive[place]),
            "predictivity": float(precise[place]),
            "average_sensitivity": _mean([sensitivity(one)[place] for one in of_record]),
            "average_predictivity": _mean([predictivity(one)[place] for one in of_record]),
        }
        for place, name in enumerate(JUDGED)
    }
    return {
        "classes": classes,
        "accuracy": accuracy(counts),
        "mean_sensitivity": _mean(list(sensitive)),
        "jk_index": jk_index(counts),
        "confusion": counts.tolist(),
        "records": len(of_record),
    }


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: list[Any]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
