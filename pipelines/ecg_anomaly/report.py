"""The report of a run: for the technician who reviews recordings, and for the engineer who answers for the alarms."""

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.evaluate import DETECTOR, TITLES
from pipelines.ecg_anomaly.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.ecg_anomaly.report_alarms import alarms_section, end_to_end_section
from pipelines.ecg_anomaly.report_beats import beats_section, explanation_section
from pipelines.ecg_anomaly.report_classes import classes_section
from pipelines.ecg_anomaly.report_data import hours_of, recordings_section
from pipelines.ecg_anomaly.wording import NOT_A_MEDICAL_DEVICE, READERS, share
from shared.publishing.blocks import Callout, Kind, Report, Section, Value, show
from shared.publishing.report import render
from shared.publishing.standard import limits_section, results_section, run_section, training_section
from shared.publishing.summary import RunSummary

_NUM_DRAWN = 3


def run_report(config: EcgConfig, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results(summary, evidence),
        alarms_section(config, evidence),
        beats_section(evidence),
        explanation_section(evidence),
        end_to_end_section(evidence),
        classes_section(summary.source, evidence),
        recordings_section(evidence),
        _training(evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="ECG anomaly detection: evaluation report",
            subtitle=f"{QUESTION} {NOT_A_MEDICAL_DEVICE}",
            sections=sections,
            facts=_facts(config, summary, evidence),
        )
    )


def _facts(config: EcgConfig, summary: RunSummary, evidence: EvidenceDocuments) -> dict[str, Value]:
    counts = evidence.evaluation["counts"]
    return {
        "Data": summary.source,
        "Preset": summary.preset,
        "Contract": summary.contract,
        "Tested": f"{counts['records']} recordings of {counts['patients']} patients, "
        f"{show(hours_of(evidence.recordings, evidence.beats), 1)} h",
        "Threshold": f"{evidence.threshold['title']}, "
        + (
            f"{share(config.threshold.false_alarms)} false alarms"
            if config.threshold.rule == "conformal"
            else "nothing promised"
        ),
        "R peaks": config.beats.peaks,
    }


def _results(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    notes = [
        "Every recording was tested once, by models that had seen neither it nor its patient; all of them learnt from "
        "the same normal beats. All beats count, also those of poor signal. Intervals: whole patients drawn anew. An "
        "AUROC of 0.5 is chance."
    ]
    ranked = {name: title for name, title in METRICS.items() if not name.startswith("test/sensitivity")}
    section = results_section(
        summary,
        ranked,
        model_title=f"{TITLES[DETECTOR]} (served)",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]],
        notes=notes,
        other_titles=TITLES,
        num_drawn=_NUM_DRAWN,
    )
    first = Callout("warning", f"{READERS} {NOT_A_MEDICAL_DEVICE}", "Who this is for")
    return Section(section.title, [first, *section.blocks])


def _training(evidence: EvidenceDocuments) -> Section:
    record = evidence.training["network"]
    section = training_section(
        {**record, "best_epoch": record["epochs"] - 1},
        kept="The number of epochs is fixed and the weights of the last one are kept: no patient was held back to "
        "choose them.",
        caption="Mean negative log-likelihood of a sample in each epoch, nats up to a constant, on the normal beats "
        "that the served autoencoder learnt from.",
        validation=(),
    )
    return Section("Training: autoencoder", section.blocks)
