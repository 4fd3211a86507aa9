"""What is watched of every case, so that another camera, scanner or population is noticed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.intensity import Fingerprint
from pipelines.medical_segmentation.studies import SPACING_COLUMNS

# A mean grade and a confidence are watched alike: of each only how it is spread.
_SCORES = ("confidence", "mean_grade")


def watched(
    fingerprint: Fingerprint, shape: Sequence[int], spacing_mm: Sequence[float] | None, score: float
) -> dict[str, Any]:
    """Facts of one case: mean brightness by channel, edges in pixels, spacing (NaN where unknown), and the score: the
    lowest confidence, or the mean grade."""
    axes = ("slices", "rows", "columns")[-len(shape) :]
    steps = [np.nan] * len(shape) if spacing_mm is None else spacing_mm
    brightness = fingerprint.mean.tolist()
    return {
        **{f"brightness_{channel}": value for channel, value in enumerate(brightness)},
        **dict(zip(axes, map(float, shape), strict=True)),
        **dict(zip(SPACING_COLUMNS[-len(shape) :], map(float, steps), strict=True)),
        "score": float(score),
    }


def watched_cases(cases: Cases, results: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """The same of tested cases, as `as_table` gives it; results: see `tasks.Task.predict`."""
    name = next(name for name in _SCORES if name in results.columns)
    scores = dict(results.group_by("case", maintain_order=True).agg(pl.col(name).min()).iter_rows())
    facts = [
        watched(cases.fingerprints[place], cases.frames[place].own, cases.spacing_mm[place], scores[case])
        for place, case in enumerate(cases.names)
        if case in scores
    ]
    return as_table(facts)


def as_table(facts: Sequence[dict[str, Any]]) -> tuple[pl.DataFrame, np.ndarray]:
    """One row a case, and the score of each, float64 of shape (cases,), as profiles and drift take them."""
    table = pl.DataFrame(facts)
    return table.drop("score"), table["score"].to_numpy()
