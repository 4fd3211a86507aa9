"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.credit_scoring import baselines
from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.evaluate import NETWORK
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary

QUESTION = "Will this applicant default, why, and can the lender defend the decision?"
TITLES = {
    "test/roc_auc": "ROC-AUC",
    "test/brier": "Brier score",
    "test/ks": "KS",
    "test/ece": "Calibration error (ECE)",
    "test/average_precision": "Average precision",
}
LIMITS = (
    "Only applicants whose credit was granted have an outcome. Without reject inference the estimates do not hold "
    "for people who used to be refused.",
    "The model knows associations, not causes: a reason names what the estimate rests on, and a recourse what would "
    "change the estimate, not what would change the person's fate.",
    "Protected attributes are never inputs, but other columns can stand in for them. The audit by group measures "
    "that; it does not remove it.",
    "Reasons are drafts for an adverse-action notice. A compliance officer decides whether the phrases fit the law.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the two tables behind it."""

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    predictions: pl.DataFrame
    contributions: pl.DataFrame
    training: Mapping[str, Any]
    calibration_reason: str
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: CreditConfig
) -> RunSummary:
    """The summary of a run before its model is published."""
    evaluation = evidence.evaluation
    metrics = {model: dict(by_name) for model, by_name in evaluation["metrics"].items()}
    for model, by_name in (evaluation["repeated"] or {"metrics": {}})["metrics"].items():
        metrics[model] |= by_name
    return RunSummary(
        pipeline="credit_scoring",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=metrics[NETWORK],
        baselines={name: metrics[name] for name in baselines.NAMES},
        verdict=evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(evidence.training),
    )
