"""A table of interactions in, recommendations out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

from pipelines.recommender.data import read_histories
from pipelines.recommender.explain import contribution_table
from pipelines.recommender.score import INPUT_CONTRACT, PIPELINE, Scorer
from pipelines.recommender.watched import watched
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

OUTPUT_CONTRACT = "recommendations"


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Recommend to every user of the table; rows that break the contract go to `<output>.quarantine.parquet`.

    With `explain`, `<output>.explanations.parquet` holds what each item of a history adds to each recommended item.
    Raises RequestError when the table as a whole breaks the contract, when there is no such model, or when one of
    these files would be written over the input.
    """
    quarantine, explanations = (beside(output_path, what) for what in ("quarantine", "explanations"))
    require_input_untouched(input_path, output_path, quarantine, explanations)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    frame = read_histories(input_path, scorer.config.data)
    checked = check_table(frame, load(INPUT_CONTRACT))
    valid = checked.require()
    recommendations = check_table(scorer.score(valid), load(OUTPUT_CONTRACT)).require()
    write_table(recommendations, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=load(INPUT_CONTRACT).id_version,
        rows={
            "in": len(frame),
            "quarantined": checked.quarantined.height,
            "scored": recommendations.height,
            "users": recommendations["user_id"].n_unique(),
            "fallback_users": recommendations.filter("fallback")["user_id"].n_unique(),
        },
        output=str(output_path),
        quarantine=written(checked.quarantined, quarantine),
        explanations=written(contribution_table(scorer, valid, recommendations), explanations)
        if explain
        else None,
        drift=drift_since(bundle, *watched(scorer, scorer.audience(valid), recommendations)),
    )
