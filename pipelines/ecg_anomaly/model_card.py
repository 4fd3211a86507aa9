"""The model card of a run."""

from pipelines.ecg_anomaly.evaluate import DETECTOR, TITLES
from pipelines.ecg_anomaly.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.ecg_anomaly.score import Scorer
from shared.publishing.blocks import Value
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="ECG anomaly detection: heartbeats that look abnormal",
            question=QUESTION,
            details=_details(scorer),
            intended_use=[
                "Showing people who can read an ECG which beats of a long recording to look at first; research and "
                "teaching. Not a medical device."
            ],
            out_of_scope=OUT_OF_SCOPE,
            training_data=_training_data(evidence),
            evaluation_data=_evaluation_data(evidence),
            split=[evidence.split],
            calibration=_calibration(evidence),
            explanation=[evidence.explanation["attribution"]["warning"] or ""],
            ethical_considerations=[
                "A beat that is not flagged is not thereby normal: somebody who relies on that can be harmed.",
                "Public recordings are of few patients of one country and time. Hearts of children, of people with "
                "congenital defects or of other ancestry may look abnormal without being so.",
            ],
            limits=list(LIMITS),
            model_titles=TITLES,
        ),
        summary,
        METRICS,
    )


def _details(scorer: Scorer) -> dict[str, Value]:
    config = scorer.config
    rate = config.signal.rate_hz
    return {
        "Served": TITLES[DETECTOR],
        "Autoencoder": config.model.kind,
        "Beat": f"{config.beats.num_samples} samples at {rate} Hz, {config.beats.before_ms:g} ms before the R peak",
        "Band": f"{config.signal.low_hz:g} to {config.signal.high_hz:g} Hz",
        "Usual beat": f"median of the last {config.beats.num_usual_beats} beats of the patient",
        "Threshold": f"{scorer.thresholds.everybody.value:.3f}, {scorer.thresholds.title}",
    }


def _training_data(evidence: EvidenceDocuments) -> list[str]:
    recordings = evidence.recordings
    return [
        f"{recordings.num_records} recordings of {len(set(recordings.patients))} patients; only normal beats are "
        "learnt from.",
        *evidence.notes,
    ]


def _evaluation_data(evidence: EvidenceDocuments) -> list[str]:
    counts = evidence.evaluation["counts"]
    beats = ", ".join(f"{count:,} {name}" for name, count in counts["beats"].items())
    return [
        f"{counts['records']} recordings of {counts['patients']} patients: {beats} beats (ANSI/AAMI EC57).",
        "Each was judged by models that had not seen its patient. Q, which says that nobody could tell, is not judged.",
    ]


def _calibration(evidence: EvidenceDocuments) -> list[str]:
    threshold = evidence.threshold
    said = (
        f"{threshold['title'].capitalize()}: fixed on {threshold['num_beats']:,} normal beats, each scored by a "
        "network that had not seen its patient."
    )
    if threshold["rule"] != "conformal":
        return [f"{said} It promises no false-alarm rate."]
    measured = evidence.evaluation["metrics"][DETECTOR]["test/false_alarm_rate"]["value"]
    spread = evidence.evaluation["over_records"]["false_alarm_rate"]
    lines = [
        f"{said} Promised are {threshold['false_alarms']:.1%} false alarms on average over patients like these."
    ]
    if measured is not None and spread["highest"] is not None:
        lines.append(
            f"Measured are {measured:.2%} over all test beats; single recordings have {spread['lowest']:.2%} to "
            f"{spread['highest']:.2%}."
        )
    return lines
