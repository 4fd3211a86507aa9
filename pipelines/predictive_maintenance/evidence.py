"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.predictive_maintenance.baselines import TITLES as BASELINES
from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.evaluate import HEADLINES
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary, headlines_first

QUESTION = (
    "Which machine will fail within its next hours, how sure are we, and when is the cheapest moment to service "
    "it?"
)
METRICS = {
    "test/rmse_true": "RMSE, true life",
    "test/rmse_clipped": "RMSE, clipped at the cap",
    "test/nasa_score": "NASA score",
    "test/interval_coverage": "Interval coverage",
    "test/fails_average_precision": "Average precision of failing",
    "test/anomaly_roc_auc": "ROC-AUC of the anomaly score",
}
LIMITS = (
    "Intervals and costs hold on average over machines like those of the training: the same build, the same kinds of "
    "failure, run in the same way. A failure without warning cannot be forecast from sensors.",
    "Remaining life is learnt up to a cap. A forecast at the cap says only that failure is not near.",
    "Costs are played on recorded lives. That a service makes a machine as good as new, and that it costs the same "
    "whenever it is done, is taken for granted.",
    "A sensor that was exchanged or recalibrated looks like wear. Watch drift, and begin a new unit after an overhaul.",
    "Driving sensors are what the networks used. They are not proof of a cause.",
    "Simulated fleets, such as C-MAPSS and the generator's, have few kinds of failure and no repairs in between. Real "
    "fleets are harder.",
)
OUT_OF_SCOPE = (
    "Deciding alone on a shutdown, or that a machine is safe: protection systems and people do that.",
    "Machines of another build, or run in ways that the training table does not have.",
    "Judging those who operate or service the machines.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the tables behind it.

    evaluation: `evaluation_document`, or `unjudged_document` without failures. explanation and contributions: see
    `explain_test`. training: see `fitting.Outcome`. fleet: `fleet_facts` of all machines. forecasts: every reading of
    the test machines, see `TestResults`.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Mapping[str, Any]
    fleet: Mapping[str, Any]
    forecasts: pl.DataFrame
    contributions: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    warnings: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: MaintenanceConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the served model, `baselines` of all others."""
    served, metrics = evidence.evaluation["served"], evidence.evaluation["metrics"]
    return RunSummary(
        pipeline="predictive_maintenance",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=headlines_first(metrics[served], HEADLINES),
        baselines={
            model: headlines_first(metrics[model], HEADLINES) for model in BASELINES if model in metrics
        },
        verdict=evidence.evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(evidence.training[served]),
    )
