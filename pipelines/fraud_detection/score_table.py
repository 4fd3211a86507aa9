"""A table of transactions in, alerts out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

import polars as pl

from pipelines.fraud_detection.data import read_to_score
from pipelines.fraud_detection.score import INPUT_CONTRACT, OUTPUT_CONTRACT, PIPELINE, Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.tables import write_table
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    published,
    require_input_untouched,
    written,
)
from shared.training.runtime import single_thread


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Score the transactions of a table; rows that break the contract go to `<output>.quarantine.parquet`.

    With `explain`, alerts get their reasons, and `<output>.explanations.parquet` holds what each feature adds to the
    score of each alert. Raises RequestError when the table as a whole breaks the contract, when there is no such model,
    or when one of these files would be written over the input.
    """
    quarantine, explanations = (beside(output_path, what) for what in ("quarantine", "explanations"))
    require_input_untouched(input_path, output_path, quarantine, explanations)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    transactions = read_to_score(input_path, scorer.config.data)
    checked = check_table(transactions.frame, load(INPUT_CONTRACT))
    valid = checked.require()
    contributions = pl.DataFrame()
    with single_thread():
        features = scorer.features_of(valid)
        scored = scorer.alerts(valid, features)
        if explain:
            scored, contributions = scorer.explained(features, scored)
    alerts = check_table(scored, load(OUTPUT_CONTRACT)).require()
    write_table(alerts, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=load(INPUT_CONTRACT).id_version,
        rows={
            "in": transactions.frame.height,
            "quarantined": checked.quarantined.height,
            "scored": alerts.height,
            "alerts": int(alerts["alert"].sum()),
        },
        output=str(output_path),
        quarantine=written(checked.quarantined, quarantine),
        explanations=written(contributions, explanations),
        drift=drift_since(bundle, features.select(scorer.scaling.names), alerts["score"].to_numpy()),
    )
