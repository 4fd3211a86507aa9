"""A table in, decisions out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipelines.credit_scoring.data import read_to_score
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.steps import PIPELINE
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.tables import write_table
from shared.errors import RequestError
from shared.monitoring.drift import drift
from shared.monitoring.profile import ReferenceProfile
from shared.publishing.registry import Registry

OUTPUT_CONTRACT = "credit_decisions"


class ScoreSummary(BaseModel):
    """What a scoring run did: counts, places, drift."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    version: str
    contract: str
    rows: dict[str, int]
    output: str
    quarantine: str | None
    explanations: str | None
    drift: dict[str, Any]
    seconds: float = 0.0


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Score the rows that keep the contract; the others go to `<output>.quarantine.parquet` with their rules.

    With `explain`, `<output>.explanations.parquet` holds what each column adds to each applicant's log-odds.
    Raises RequestError when the table as a whole breaks the contract, when there is no such model, or when one of
    these files would be written over the input.
    """
    quarantine, explanations = (_beside(output_path, what) for what in ("quarantine", "explanations"))
    if input_path.resolve() in (quarantine.resolve(), explanations.resolve()):
        raise RequestError(
            f"Expected an OUTPUT that leaves the INPUT {input_path} alone. Choose another name."
        )
    registry = Registry()
    found = registry.version(PIPELINE, version)
    bundle = registry.bundle(PIPELINE, found.version)
    scorer = Scorer.from_bundle(bundle, str(found.version))
    frame = read_to_score(input_path, scorer.schema).drop("defaulted", strict=False)
    checked = check_table(frame, scorer.schema.contract(scoring=True))
    valid = checked.require()
    decisions = check_table(scorer.score(valid), load(OUTPUT_CONTRACT)).require()
    write_table(decisions, output_path)
    profile = ReferenceProfile.from_json(bundle.json("profile.json"))
    report = drift(profile, valid.select(scorer.schema.feature_names), scorer.probability(valid))
    return ScoreSummary(
        pipeline=PIPELINE,
        version=str(found.version),
        contract=scorer.schema.contract().id_version,
        rows={"in": len(frame), "quarantined": checked.quarantined.height, "scored": decisions.height},
        output=str(output_path),
        quarantine=_written(checked.quarantined, quarantine),
        explanations=_written(_contributions(scorer, valid), explanations) if explain else None,
        drift={"drifted": report.drifted, "columns": list(report.drifted_columns)},
    )


def _contributions(scorer: Scorer, frame: pl.DataFrame) -> pl.DataFrame:
    attribution = scorer.explain(frame)
    columns = {name: attribution.values[:, i] for i, name in enumerate(attribution.names)}
    return pl.DataFrame({"application_id": frame["application_id"], **columns})


def _beside(output: Path, what: str) -> Path:
    return output.with_name(f"{output.stem}.{what}.parquet")


def _written(frame: pl.DataFrame, path: Path) -> str | None:
    """Where the frame was written; None when there is nothing to write."""
    if frame.height == 0:
        return None
    write_table(frame, path)
    return str(path)
