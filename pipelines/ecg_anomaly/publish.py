"""The gate of ECG anomaly detection: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.handles import Served
from pipelines.ecg_anomaly.held_out import TEST_SCORES
from pipelines.ecg_anomaly.held_out import compare as compared
from shared.data.store import Ref, default_store
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.orchestration.stored import Evidence
from shared.publishing.bundle import Bundle

# The largest loss of AUROC that still counts as not worse.
MARGIN = 0.01


@step(reuse=False)
def publish(served: Served, evaluated: Evidence, bundle: Ref, config: EcgConfig) -> Published:
    """Register the bundle; promote it when it is not worse than the champion in AUROC on patients new to both."""
    store = default_store()

    def compare(champion: Bundle, _version: str) -> Mapping[str, Any] | None:
        theirs = pl.read_parquet(champion.path(TEST_SCORES))
        return compared(store.frame(evaluated.table), theirs, config)

    history = store.json(served.record)["network"]["history"]
    return publish_bundle(bundle, history=history, compare=compare, margin=MARGIN)
