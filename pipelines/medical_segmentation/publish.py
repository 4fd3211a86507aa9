"""The gate of medical segmentation: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.handles import Served
from pipelines.medical_segmentation.held_out import TEST_RESULTS
from pipelines.medical_segmentation.held_out import compare as compared
from shared.data.store import Ref, default_store
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.orchestration.stored import Evidence
from shared.publishing.bundle import Bundle

# The largest loss of Dice, or of kappa, that still counts as not worse.
MARGIN = 0.01


@step(reuse=False)
def publish(served: Served, evaluated: Evidence, bundle: Ref, config: MedicalConfig) -> Published:
    """Register the bundle; promote it when it is not worse than the champion on patients new to both."""
    store = default_store()

    def compare(champion: Bundle, _version: str) -> Mapping[str, Any] | None:
        if champion.config["task"] != config.task:
            return None
        theirs = pl.read_parquet(champion.path(TEST_RESULTS))
        return compared(store.frame(evaluated.table), theirs, config)

    history = store.json(served.record)["network"]["history"]
    return publish_bundle(bundle, history=history, compare=compare, margin=MARGIN)
