"""The report of a run: for the planner who orders services, and for the engineer who answers for the forecasts."""

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.evaluate import TITLES
from pipelines.predictive_maintenance.evidence import (
    LIMITS,
    METRICS,
    OUT_OF_SCOPE,
    QUESTION,
    EvidenceDocuments,
)
from pipelines.predictive_maintenance.report_data import fleet_section, words_of
from pipelines.predictive_maintenance.report_decision import decision_section
from pipelines.predictive_maintenance.report_explanation import explanation_section
from pipelines.predictive_maintenance.report_forecasts import (
    anomaly_section,
    certainty_section,
    forecasts_section,
    protocol_section,
)
from shared.publishing.blocks import Kind, Report, Section, Value
from shared.publishing.report import render
from shared.publishing.standard import limits_section, results_section, run_section, training_section
from shared.publishing.summary import RunSummary

_NUM_DRAWN = 3


def run_report(config: MaintenanceConfig, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page.

    Without failures to learn from, all that is about remaining life is left out.
    """
    forecasts_life = evidence.evaluation["out_of_fold"] is not None
    sections = [_results(summary, evidence)]
    if forecasts_life:
        sections += [
            decision_section(evidence),
            protocol_section(summary, evidence),
            forecasts_section(evidence),
            certainty_section(config, summary, evidence),
        ]
    sections += [
        explanation_section(evidence),
        anomaly_section(evidence),
        fleet_section(evidence),
        *_training(evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="Predictive maintenance: evaluation report",
            subtitle=QUESTION,
            sections=sections,
            facts=_facts(summary, evidence, forecasts_life),
        )
    )


def _facts(summary: RunSummary, evidence: EvidenceDocuments, forecasts_life: bool) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "Data": summary.source,
        "Preset": summary.preset,
        "Contract": summary.contract,
        "Machines": evidence.fleet["machines"],
    }
    if not forecasts_life:
        return facts
    words = words_of(evidence)
    return facts | {
        "Forecast up to": words.time(words.scale.cap),
        "Horizon of failing": words.time(words.scale.horizon),
    }


def _results(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    served = evidence.evaluation["served"]
    notes = [
        "No reading of a test machine was seen in training; remaining life is judged once for each machine. Intervals: "
        "whole machines drawn anew. All models learn from the same machines; baselines look back on 30 readings, as "
        "published."
    ]
    return results_section(
        summary,
        METRICS,
        model_title=f"{TITLES[served]} (served)",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]],
        notes=notes,
        other_titles=TITLES,
        num_drawn=_NUM_DRAWN,
    )


def _training(evidence: EvidenceDocuments) -> list[Section]:
    titles = {"network": "Training: CNN-LSTM", "autoencoder": "Training: LSTM autoencoder"}
    sections = []
    for name, title in titles.items():
        record = evidence.training[name]
        if record is None:
            continue
        section = training_section(
            {**record, "best_epoch": record["epochs"] - 1},
            kept="The number of epochs is fixed and the weights of the last one are kept: no machine was held back to "
            "choose them.",
            caption="Loss in each epoch on the training machines; of several networks, the last one.",
            validation=(),
        )
        sections.append(Section(title, section.blocks))
    return sections
