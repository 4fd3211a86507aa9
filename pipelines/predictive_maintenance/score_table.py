"""A table of readings in, forecasts out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

import polars as pl

from pipelines.predictive_maintenance.data import read_to_score
from pipelines.predictive_maintenance.score import OUTPUT_CONTRACT, PIPELINE, Scorer
from pipelines.predictive_maintenance.watched import watched
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.tables import write_table
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    fitting,
    published,
    require_input_untouched,
    written,
)
from shared.training.runtime import single_thread


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Forecast the machines of a table; rows that break the contract go to `<output>.quarantine.parquet`.

    With `explain`, forecasts get their driving sensors, and `<output>.explanations.parquet` holds what each sensor adds
    to the remaining life of each machine. Raises RequestError when the table as a whole breaks the contract, when there
    is no such model, or when one of these files would be written over the input.
    """
    quarantine, explanations = (beside(output_path, what) for what in ("quarantine", "explanations"))
    require_input_untouched(input_path, output_path, quarantine, explanations)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    contract = scorer.schema.contract()
    with fitting(bundle, number):
        readings = read_to_score(input_path, scorer.schema)
    checked = check_table(readings.frame, contract)
    valid = checked.require()
    contributions = pl.DataFrame()
    with single_thread():
        latest = scorer.latest(valid)
        scored = scorer.worded(latest)
        if explain:
            scored, contributions = scorer.explained(latest, scored)
    forecasts = check_table(scored, load(OUTPUT_CONTRACT)).require()
    write_table(forecasts, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=contract.id_version,
        rows={
            "in": readings.frame.height,
            "quarantined": checked.quarantined.height,
            "scored": forecasts.height,
            **{name: int((forecasts["action"] == name).sum()) for name in ("service_now", "plan_service")},
        },
        output=str(output_path),
        quarantine=written(checked.quarantined, quarantine),
        explanations=written(contributions, explanations),
        drift=drift_since(bundle, *watched(scorer, latest)),
    )
