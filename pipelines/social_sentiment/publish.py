"""The gate of social-media sentiment: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.handles import Divided, Fitted, Ingested
from pipelines.social_sentiment.held_out import TEST_LABELS
from pipelines.social_sentiment.held_out import compare as compared
from shared.data.store import Ref, default_store
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.orchestration.stored import Evidence
from shared.publishing.bundle import Bundle

# The largest loss of macro-recall that still counts as not worse.
MARGIN = 0.01


@step(reuse=False)
def publish(
    ingested: Ingested,
    divided: Divided,
    served: Fitted,
    evaluated: Evidence,
    bundle: Ref,
    config: SentimentConfig,
) -> Published:
    """Register the bundle; promote it when it is not worse than the champion in macro-recall on posts new to both."""
    store = default_store()

    def compare(champion: Bundle, _version: str) -> Mapping[str, Any] | None:
        texts = ingested.posts().frame["text"][divided.division().test]
        theirs = pl.read_parquet(champion.path(TEST_LABELS))
        return compared(store.frame(evaluated.table), texts, theirs, len(ingested.labels), config)

    history = store.json(served.record)["history"]
    return publish_bundle(bundle, history=history, compare=compare, margin=MARGIN)
