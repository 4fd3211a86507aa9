"""The report of a run: for the one who leads the analysts, and for the one who built the model."""

from pipelines.fraud_detection.evaluate import AUTOENCODER, HEAD, TITLES
from pipelines.fraud_detection.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.fraud_detection.report_decision import days_section, decision_section
from pipelines.fraud_detection.report_explanation import explanation_section
from pipelines.fraud_detection.score import Scorer
from shared.publishing.blocks import Block, Callout, Column, Kind, Paragraph, Report, Section, Table
from shared.publishing.report import render
from shared.publishing.standard import (
    data_section,
    limits_section,
    results_section,
    run_section,
    training_section,
)
from shared.publishing.summary import RunSummary

_PROTOCOLS = {
    "strict": "As tested: wait for labels, no compromised cards",
    "compromised_kept": "Cards known to be compromised stay in the test",
    "random_split": "Random division of the same weeks",
}


def run_report(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results(summary, evidence),
        decision_section(scorer.decision, scorer.config.decision, evidence),
        days_section(evidence),
        *_leakage(evidence),
        explanation_section(scorer, evidence),
        *_training(evidence),
        _data(evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="Fraud detection: evaluation report",
            subtitle=QUESTION,
            sections=sections,
            facts={
                "Data": summary.source,
                "Preset": summary.preset,
                "Contract": summary.contract,
                "Served": TITLES[evidence.evaluation["served"]],
                "Features": len(scorer.scaling.names),
            },
        )
    )


def _results(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    evaluation = evidence.evaluation
    notes = [
        "Average precision and ROC-AUC are means over the folds, the other two over the days. Intervals: whole days of "
        "each fold drawn anew. All models are fitted anew for each fold, on the same rows and features."
    ]
    if HEAD in evaluation["metrics"]:
        notes.append(
            "Autoencoders and the four models from Mahalanobis on have never seen a label, except through the known "
            "frauds at a terminal and by leaving known frauds out of their training."
        )
    return results_section(
        summary,
        METRICS,
        model_title=f"{TITLES[evaluation['served']]} (served)",
        verdict_kind=kinds[evaluation["verdict"]["beats"]],
        notes=notes,
        others="other model",
        other_titles=TITLES,
        num_drawn=2,
    )


def _leakage(evidence: EvidenceDocuments) -> list[Section]:
    found = evidence.evaluation["leakage"]
    if found is None:
        return []
    by_name = {row["protocol"]: row for row in found}
    strict = by_name["strict"]["average_precision"]
    rows = [
        [
            title,
            by_name[name]["average_precision"],
            by_name[name]["average_precision"] - strict,
            by_name[name]["roc_auc"],
            by_name[name]["rows"],
            by_name[name]["frauds"],
        ]
        for name, title in _PROTOCOLS.items()
    ]
    columns: list[Column | str] = [
        "Division",
        Column("Average precision", number=True, digits=3),
        Column("Flattery", number=True, digits=3),
        Column("ROC-AUC", number=True, digits=3),
        Column("Transactions", number=True),
        Column("Frauds", number=True),
    ]
    text = (
        "Gradient boosting on the weeks of the last fold, divided in three ways. What the lower two gain over the "
        "first would be gone on the first day of use: blocked cards do not pay, and no label comes early."
    )
    table = Table(columns, rows, "The same model by three protocols", emphasis=(0,))
    return [Section("What careless protocols would show", [Paragraph(text), table])]


def _training(evidence: EvidenceDocuments) -> list[Section]:
    record = evidence.training[-1]
    sections = []
    for name in (HEAD, AUTOENCODER):
        if record[name] is None:
            continue
        selection = record[name]["selection"]
        section = training_section(
            selection,
            kept=f"The validation loss was lowest in epoch {selection['best_epoch'] + 1}; so many epochs were then "
            "trained on the training week of the fold.",
            caption="Loss in each epoch on the validation fold, from which the number of epochs is taken.",
            validation=("loss", "average_precision") if name == HEAD else ("loss",),
        )
        sections.append(Section(f"Training: {TITLES[name].lower()}", section.blocks))
    return sections


def _data(evidence: EvidenceDocuments) -> Section:
    section = data_section(
        split=evidence.split,
        audit=evidence.audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    warnings: list[Block] = [Callout("warning", text, "Labels are missing") for text in evidence.warnings]
    return Section(section.title, [*warnings, *section.blocks])
