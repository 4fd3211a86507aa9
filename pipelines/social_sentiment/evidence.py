"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.evaluate import HEADLINES
from pipelines.social_sentiment.predictions import NETWORK
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary, headlines_first

QUESTION = (
    "What do people say about us, how is it changing, which posts decide it, and how far can the count be "
    "trusted?"
)
METRICS = {
    "test/macro_recall": "Macro-recall",
    "test/macro_f1": "Macro-F1",
    "test/accuracy": "Accuracy",
    "test/ece": "Calibration error",
}
LIMITS = (
    "A label is what annotators read into a text without its thread, pictures or author. They disagree on about one "
    "post in five, and no model can agree with all of them.",
    "Sarcasm, quotations and allusions are taken at their word more often than not.",
    "Dialects, slang and languages that the training posts do not have are judged worse, without a sign.",
    "Posts are not people: shares are those of the posts that were collected, by whoever writes most and by the search "
    "terms that found them. They are no survey of customers or voters.",
    "Corrected shares take it that posts of one label are written as they were in calibration. Where the language of a "
    "label changes, with a new topic or a new joke, they are biased.",
    "Language moves on. Have a sample of recent posts read every few months, test on it, and train again.",
    "Deciding words show what the model reacted to, not what the author meant.",
)
OUT_OF_SCOPE = (
    "Judging individuals: a label of a single post says little about the person who wrote it. Not for hiring, credit, "
    "policing, moderation without a human, or finding out what somebody believes.",
    "Posts that were collected against the terms of a platform or without a lawful basis. Texts are personal data.",
    "Answering for other languages, platforms or kinds of text than those of the training posts, without a test there.",
)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the tables behind it.

    evaluation: see `evaluate.evaluation_document`. explanation, explained: document and table of
    `explain.explain_test`. training: `Trained.record` of the served network. calibration: see
    `calibrate.Calibration.summary`. posts: see `facts.facts_of`. table: test posts, see
    `predictions.predict_test`. trend, shares: document and table of `trend.trend_of_test`. notes: what was read
    otherwise than given or left out.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Mapping[str, Any]
    calibration: Mapping[str, Any]
    posts: Mapping[str, Any]
    trend: Mapping[str, Any]
    table: pl.DataFrame
    explained: pl.DataFrame
    shares: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: SentimentConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the network, `baselines` of all others."""
    metrics = evidence.evaluation["metrics"]
    return RunSummary(
        pipeline="social_sentiment",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=headlines_first(metrics[NETWORK], HEADLINES),
        baselines={
            model: headlines_first(found, HEADLINES) for model, found in metrics.items() if model != NETWORK
        },
        verdict=evidence.evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(evidence.training),
    )
