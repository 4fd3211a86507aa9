"""The gate of predictive maintenance: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.handles import Divided, Fitted, Ingested, opened
from pipelines.predictive_maintenance.metrics import rmse
from pipelines.predictive_maintenance.score import Scorer
from shared.data.store import Ref, default_store
from shared.evaluation.compare import paired_bootstrap
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.orchestration.stored import Evidence
from shared.publishing.bundle import Bundle

# The largest loss of RMSE that still counts as not worse, as a share of the cap.
MARGIN = 0.01
# Times on the grid differ from those of readings in the last digits.
_LATE = 1e-6


@step(reuse=False)
def publish(
    ingested: Ingested,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    bundle: Ref,
    config: MaintenanceConfig,
) -> Published:
    """Register the bundle; promote it when it is not worse than the champion in RMSE on the test machines."""

    def compare(champion: Bundle, version: str) -> Mapping[str, Any] | None:
        store, defending = default_store(), Scorer.from_bundle(champion, version)
        judged = store.frame(evaluated.table).filter("is_last", ~pl.col("is_censored"))
        with opened(fitted.scorer, config) as challenging:
            if challenging.forecaster is None or defending.forecaster is None or judged.is_empty():
                return None
            asked = until(store.frame(ingested.table), judged)
            mine, theirs = (scorer.latest(asked).table for scorer in (challenging, defending))
        ends = judged.select("unit_id", end=pl.col("time") + pl.col("remaining"))
        target = mine.join(ends, on="unit_id", maintain_order="left").select(pl.col("end") - pl.col("time"))
        comparison = paired_bootstrap(
            rmse,
            *(
                np.minimum(values.to_numpy(), divided.cap)
                for values in (target.to_series(), mine[FORECAST], theirs[FORECAST])
            ),
            higher_is_better=False,
            num_replicates=config.evaluation.num_bootstraps,
            seed=config.seed,
        )
        return comparison.to_json() | {"metric": "RMSE against the clipped life"}

    record = default_store().json(fitted.record)
    history = (record["network"] or record["autoencoder"])["history"]
    return publish_bundle(bundle, history=history, compare=compare, margin=MARGIN * divided.cap)


def until(readings: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """The readings of some machines up to the moment at which each is forecast, columns unit_id and time of `judged`.

    So two models get the same question, whatever grid each has.
    """
    moments = judged.select("unit_id", moment=pl.col("time") + _LATE)
    return readings.join(moments, on="unit_id").filter(pl.col("time") <= pl.col("moment")).drop("moment")
