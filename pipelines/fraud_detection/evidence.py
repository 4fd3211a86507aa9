"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.fraud_detection.config import FraudConfig
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary

QUESTION = "Which of today's transactions should our analysts look at, and why?"
METRICS = {
    "test/average_precision": "Average precision",
    "test/roc_auc": "ROC-AUC",
    "test/card_precision_at_100": "Card precision@100",
    "test/recall_at_budget": "Recall at the alert budget",
}
LIMITS = (
    "A score says how unusual a transaction is, or how much it resembles past frauds. It does not prove that anybody "
    "did wrong, and most alerts of any such system are false.",
    "Frauds that nobody reported count as genuine, in training and in the test. Transactions that were refused are "
    "missing, and with them what the customer would have said.",
    "Fraudsters adapt: the test shows the weeks after the training, not the months after. Train again every week, and "
    "watch drift and the share of alerts that are confirmed.",
    "Simulated data, such as the generator's and the Handbook's, hold few kinds of fraud with simple causes. Average "
    "precision on real bank data is far lower, about 0.1 in the Handbook's own tables.",
    "The bundle holds the last weeks of transactions, because features of new ones look back on them. Treat it like "
    "the data themselves.",
)
OUT_OF_SCOPE = (
    "Refusing payments or closing accounts without a person who looks at the case.",
    "Judging customers rather than transactions, such as for credit or employment.",
    "Transactions of another bank, country or period than the training table.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the tables behind it.

    daily: values of each test day; contributions: of the transactions on which explanations were
    checked, with their features as `name/value`; training:
    record of each fold, the served one last.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Sequence[Mapping[str, Any]]
    daily: pl.DataFrame
    contributions: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    warnings: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: FraudConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the served model, `baselines` of all others."""
    evaluation = evidence.evaluation
    served, metrics = evaluation["served"], evaluation["metrics"]
    return RunSummary(
        pipeline="fraud_detection",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=metrics[served],
        baselines={model: values for model, values in metrics.items() if model != served},
        verdict=evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(training_of_all(evidence.training)),
    )


def training_of_all(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the served autoencoder; seconds are of all networks of all folds together."""
    networks = [fold[name] for fold in folds for name in ("autoencoder", "head") if fold[name]]
    seconds = sum(network["seconds"] + network["selection"]["seconds"] for network in networks)
    return {**folds[-1]["autoencoder"], "seconds": seconds}
