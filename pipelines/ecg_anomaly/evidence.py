"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.evaluate import DETECTOR, HEADLINES
from pipelines.ecg_anomaly.recordings import Recordings
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary, headlines_first

QUESTION = (
    "Which heartbeats of this recording look abnormal, where in the beat, and can the alarm rate be trusted?"
)
METRICS = {
    "test/auroc": "AUROC, all abnormal beats",
    "test/auroc_v": "AUROC, ventricular",
    "test/auroc_s": "AUROC, supraventricular",
    "test/average_precision": "Average precision",
    "test/false_alarm_rate": "False alarms among normal beats",
    "test/sensitivity_v": "Ventricular beats flagged",
    "test/sensitivity_s": "Supraventricular beats flagged",
    "test/sensitivity_f": "Fusion beats flagged",
}
LIMITS = (
    "Not a medical device: nothing here was approved for diagnosis, monitoring or treatment.",
    "A flag says that a beat is unlike the normal beats of the training patients and unlike the usual beat of this "
    "patient. It does not say what it is, and a patient whose usual beat is abnormal is not flagged for it.",
    "The false-alarm rate is promised on average over patients like those of the training. Single patients have more "
    "or fewer: the table of recordings says how far they differ.",
    "One lead is judged. What does not show in it is not found.",
    "Atrial fibrillation, flutter and pauses are rhythms, not beats: they are not what is looked for. Ventricular "
    "flutter has no beats to speak of, and what is found in it is arbitrary.",
    "Paced beats look abnormal without being so: leave paced recordings out.",
    "Noise shapes beats too. Look at the signal quality of a flagged beat before its shape.",
)
OUT_OF_SCOPE = (
    "Diagnosis, or deciding alone on treatment: people who can read an ECG do that.",
    "Watching patients for alarms that somebody must answer at once.",
    "Leads, recorders or patients that the training recordings do not have, without looking at the results first.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the recordings and tables behind it.

    evaluation: see `evaluation_document`. explanation, explained: document and table of `explain.explain_test`.
    training: record of the served detector, see `Fitted`. threshold: `Thresholds.to_json` of the served detector.
    recordings: all that can be used, with the beats that were marked. beats: every beat of the test recordings, see
    `predictions.predict_fold`. found: the beats that the peak detector found there. audit: the findings of all folds.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Mapping[str, Any]
    threshold: Mapping[str, Any]
    recordings: Recordings
    beats: pl.DataFrame
    found: pl.DataFrame
    explained: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: EcgConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the detector, `baselines` of all others.

    Rows count recordings.
    """
    metrics = evidence.evaluation["metrics"]
    return RunSummary(
        pipeline="ecg_anomaly",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=headlines_first(metrics[DETECTOR], HEADLINES),
        baselines={
            model: headlines_first(found, HEADLINES) for model, found in metrics.items() if model != DETECTOR
        },
        verdict=evidence.evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(evidence.training["network"]),
    )
