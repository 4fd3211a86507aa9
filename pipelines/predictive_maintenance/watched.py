"""What is watched of every machine, so that other machines, sensors or work are noticed."""

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.score import ANOMALY, Latest, Scorer


def watched(scorer: Scorer, latest: Latest) -> tuple[pl.DataFrame, np.ndarray]:
    """A row for each unit, the mean of each scaled channel over the last window; and as score, float64 of shape
    (units,), the remaining life, or the anomaly score."""
    names = latest.seen.prepared.names
    means = latest.windows[:, :, : len(names)].double().mean(1).numpy()
    score = latest.table[ANOMALY if scorer.forecaster is None else FORECAST]
    return pl.DataFrame(means, schema=list(names)), score.to_numpy()
