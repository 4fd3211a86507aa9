"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.recommender.config import RecommenderConfig
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary

QUESTION = "What should we show each user next, and is a neural model worth it here?"
TITLES = {
    "test/ndcg_at_20": "NDCG@20",
    "test/recall_at_20": "Recall@20",
    "test/hit_rate_at_10": "Hit rate@10",
    "test/ndcg_at_10": "NDCG@10",
    "test/hit_rate_at_20": "Hit rate@20",
    "test/long_tail_share": "Long tail",
}
LIMITS = (
    "Offline metrics measure how well the model guesses what people took by themselves. Whether showing an item makes "
    "anybody take it is a question for an experiment with real users.",
    "What was shown in the past shaped what was taken: popular items are favoured by the data before any model sees "
    "them, and the model passes that on.",
    "An item without interactions can be ranked by the hybrid alone, and only when it has attributes.",
    "The bundle holds the histories of the training users, because serving must never show an item twice. Treat it "
    "like the data themselves.",
    "A reason names the items that the score rests on; it does not know why the user took them.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the table of users behind it.

    selection: for each model its trials on validation, seconds, and the record of its training.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    selection: Mapping[str, Mapping[str, Any]]
    users: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: RecommenderConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the served model, `baselines` of all others."""
    evaluation = evidence.evaluation
    served, metrics = evaluation["served"], evaluation["metrics"]
    network = evaluation["network"]
    return RunSummary(
        pipeline="recommender",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=metrics[served],
        baselines={kind: values for kind, values in metrics.items() if kind != served},
        verdict=evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(_training(evidence.selection, network)),
    )


def _training(selection: Mapping[str, Mapping[str, Any]], network: str | None) -> Mapping[str, Any]:
    """Of the best network; seconds are of all models together. A run without one trained nothing by gradient."""
    seconds = sum(model["seconds"] for model in selection.values())
    if network is None:
        return {"device": "cpu", "samples_per_second": 0.0, "epochs": 0, "seconds": seconds}
    return {**selection[network]["training"], "seconds": seconds}
