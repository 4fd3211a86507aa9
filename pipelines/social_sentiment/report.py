"""The report of a run: for the team that watches what is said, and for the data scientist who answers for the count."""

from collections.abc import Mapping
from typing import Any

from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.evaluate import TITLES
from pipelines.social_sentiment.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.social_sentiment.predictions import NETWORK
from pipelines.social_sentiment.report_data import posts_data_section
from pipelines.social_sentiment.report_labels import abstention_section, labels_section, probabilities_section
from pipelines.social_sentiment.report_trend import trend_section
from pipelines.social_sentiment.report_words import posts_section, trust_section
from pipelines.social_sentiment.train import OWN
from pipelines.social_sentiment.wording import NOT_ABOUT_PEOPLE, READERS, share
from shared.publishing.blocks import (
    Callout,
    Column,
    KeyValues,
    Kind,
    Paragraph,
    Report,
    Section,
    Table,
    Value,
    show,
)
from shared.publishing.report import render
from shared.publishing.standard import limits_section, results_section, run_section, training_section
from shared.publishing.summary import RunSummary


def run_report(config: SentimentConfig, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results(summary, evidence),
        trend_section(evidence),
        posts_section(evidence),
        trust_section(evidence),
        labels_section(evidence),
        probabilities_section(evidence),
        abstention_section(evidence),
        posts_data_section(evidence),
        _training(config, evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="Social-media sentiment: evaluation report",
            subtitle=QUESTION,
            sections=sections,
            facts=_facts(config, summary, evidence),
        )
    )


def _facts(config: SentimentConfig, summary: RunSummary, evidence: EvidenceDocuments) -> dict[str, Value]:
    counts = evidence.evaluation["counts"]
    return {
        "Data": summary.source,
        "Preset": summary.preset,
        "Contract": summary.contract,
        "Tested": f"{counts['posts']:,} posts, {counts['groups']:,} of them that say different things",
        "Encoder": "own, learnt from the training posts alone"
        if config.model.encoder == OWN
        else config.model.encoder,
        "Label chosen by": config.decision.label_by,
    }


def _results(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    labels = evidence.evaluation["labels"]
    notes = [
        f"Macro-recall is the metric of TweetEval: the mean of the recalls of the {len(labels)} labels; always naming "
        f"one of them reaches {show(1 / len(labels), 3)}. Every post was judged once, by models that had seen neither "
        "it nor a copy of it. Intervals draw posts anew, those that say the same together."
    ]
    section = results_section(
        summary,
        METRICS,
        model_title=f"{TITLES[NETWORK]} (served)",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]],
        notes=notes,
        other_titles=TITLES,
    )
    first = Callout("neutral", f"{READERS} {NOT_ABOUT_PEOPLE}", "Who this is for")
    return Section(section.title, [first, *section.blocks, *_seeds(evidence.evaluation["seeds"])])


def _seeds(found: Mapping[str, Any]) -> list[Table | Paragraph]:
    """How far luck decides."""
    if found["standard_deviation"] is None:
        return [
            Paragraph("One network was trained: how far luck decides was not measured (training.num_seeds).")
        ]
    rows: list[list[Value]] = [
        ["Served" if name == NETWORK else f"Seed {name.rsplit('_', 1)[1]}", value]
        for name, value in found["macro_recall"].items()
    ]
    spread = f"Mean {show(found['mean'], 3)}, standard deviation {show(found['standard_deviation'], 3)}."
    columns: list[Column | str] = ["Network", Column("Macro-recall", number=True, digits=3)]
    return [Table(columns, rows, "Networks of other seeds, same posts", [spread])]


def _training(config: SentimentConfig, evidence: EvidenceDocuments) -> Section:
    record = evidence.training
    section = training_section(
        {**record, "best_epoch": record["epochs"] - 1},
        kept="The number of epochs is fixed and the weights of the last one are kept: no test post chose them.",
        caption="Mean cross-entropy of a post in each epoch, nats, on the training posts.",
        validation=(),
    )
    facts: dict[str, Value] = {
        "Tokens a second": round(record["tokens_per_second"]),
        "Posts a second": round(record["samples_per_second"]),
        "Padding": f"{share(record['padding_share'])} of the tokens in a batch, at most",
        "Tokens of a batch": config.training.tokens_per_batch,
        "Vocabulary": record["vocabulary"],
        "Parameters": record["num_parameters"],
    }
    return Section(section.title, [KeyValues(facts), *section.blocks])
