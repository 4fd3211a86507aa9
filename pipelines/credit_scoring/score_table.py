"""A table in, decisions out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

import polars as pl

from pipelines.credit_scoring.data import read_to_score
from pipelines.credit_scoring.score import PIPELINE, Scorer
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

OUTPUT_CONTRACT = "credit_decisions"


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Score the rows that keep the contract; the others go to `<output>.quarantine.parquet` with their rules.

    With `explain`, `<output>.explanations.parquet` holds what each column adds to each applicant's log-odds.
    Raises RequestError when the table as a whole breaks the contract, when there is no such model, or when one of
    these files would be written over the input.
    """
    quarantine, explanations = (beside(output_path, what) for what in ("quarantine", "explanations"))
    require_input_untouched(input_path, output_path, quarantine, explanations)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    with fitting(bundle, number):
        frame = read_to_score(input_path, scorer.schema).drop("defaulted", strict=False)
    checked = check_table(frame, scorer.schema.contract(scoring=True))
    valid = checked.require()
    decisions = check_table(scorer.score(valid), load(OUTPUT_CONTRACT)).require()
    write_table(decisions, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=scorer.schema.contract().id_version,
        rows={"in": len(frame), "quarantined": checked.quarantined.height, "scored": decisions.height},
        output=str(output_path),
        quarantine=written(checked.quarantined, quarantine),
        explanations=written(_contributions(scorer, valid), explanations) if explain else None,
        drift=drift_since(bundle, valid.select(scorer.schema.feature_names), scorer.probability(valid)),
    )


def _contributions(scorer: Scorer, frame: pl.DataFrame) -> pl.DataFrame:
    attribution = scorer.explain(frame)
    columns = {name: attribution.values[:, i] for i, name in enumerate(attribution.names)}
    return pl.DataFrame({"application_id": frame["application_id"], **columns})
