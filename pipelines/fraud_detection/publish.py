"""The gate of fraud detection: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.handles import Divided, Fitted, Ingested, opened
from pipelines.fraud_detection.over_folds import OverFolds
from pipelines.fraud_detection.score import Scorer
from shared.data.store import Ref, default_store
from shared.evaluation.binary import average_precision
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.publishing.bundle import Bundle

# The largest loss of average precision that still counts as not worse.
MARGIN = 0.02


@step(reuse=False)
def publish(
    ingested: Ingested, divided: Divided, fitted: Fitted, bundle: Ref, config: FraudConfig
) -> Published:
    """Register the bundle; promote it when it is not worse than the champion in average precision on the last test."""

    def compare(champion: Bundle, version: str) -> Mapping[str, Any]:
        store = default_store()
        test = store.frame(divided.folds[-1].test)
        with opened(fitted.scorers[-1], config) as scorer:
            challenging = scorer.scores(test)
            # the champion looks back on the challenger's history: both score the same moment
            defending = defending_scores(
                Scorer.from_bundle(champion, version).with_history(scorer.history), test
            )
        table = test.select("time", "is_fraud").with_columns(
            pl.Series("challenger", challenging), pl.Series("champion", defending), fold=pl.lit(1)
        )
        known = table.filter(pl.col("is_fraud").is_not_null())
        over = OverFolds.of(
            known,
            ["challenger", "champion"],
            average_precision,
            num_replicates=config.evaluation.num_bootstraps,
            seed=config.seed,
        )
        return over.compare("challenger", "champion").to_json() | {"metric": "average precision"}

    record = default_store().json(fitted.records)[-1]
    history = (record["head"] or record["autoencoder"])["history"]
    return publish_bundle(bundle, history=history, compare=compare, margin=MARGIN)


def defending_scores(champion: Scorer, test: pl.DataFrame) -> Any:
    """Scores of the champion, whose features may be others than those in the test table."""
    columns = [name for name in champion.history.columns if name in test.columns]
    return champion.scores(champion.features_of(test.select(columns)))
