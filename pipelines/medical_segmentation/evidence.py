"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.evaluate import NETWORK
from pipelines.medical_segmentation.tasks import task_of
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary, headlines_first

QUESTION = "Where is the structure, how large is it, how sure are we, and which cases must a human look at?"
METRICS = {
    "test/dice": "Dice, mean over cases",
    "test/iou": "IoU, mean over cases",
    "test/hd95": "Hausdorff distance, 95th percentile",
    "test/nsd": "Normalised surface distance",
    "test/size_error": "Median error of the size, as a share of it",
    "test/found_where_absent": "Structures found where nobody drew one",
    "test/ece": "Calibration error of pixels",
    "test/dice_kept": "Dice of the cases that are not referred",
    "test/referred": "Cases referred to a human",
    "test/quadratic_kappa": "Quadratic weighted kappa",
    "test/referable_auc": "AUROC, patients for a specialist",
}
LIMITS = (
    "Not a medical device: nothing here was approved for diagnosis, treatment or screening.",
    "What is measured is agreement with the people who drew the masks of these images. Where they erred, or would "
    "disagree with each other, the numbers say nothing about the truth.",
    "Another camera, scanner, protocol or population can make masks wrong without a sign. The check against the "
    "brightness and contrast of the training images finds coarse differences alone.",
    "Confidence is how far the network agrees with itself, in mirrored views or in its probabilities: it can be wrong "
    "and agree.",
    "Areas and volumes are those of the found mask, at the spacing that the file or the manifest states.",
    "Small structures are missed more often than large ones, and cost a higher share of their size.",
)
OUT_OF_SCOPE = (
    "Diagnosis, or deciding on treatment: people who can read these images do that.",
    "Telling that a structure is absent: a case that is not referred is not thereby clear.",
    "Images of kinds that the training cases do not have, without looking at the results first.",
)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the cases and tables behind it.

    evaluation: see `evaluate.evaluation_document`, or `grading.grading_document`. explanation, explained: document and
    table of `explain.explain_test`. training: record of the served network, see `Fitted`. calibrated:
    `Calibrated.to_json` of the served network, None for grading. cases: all that can be used. results: of every test
    case, see `predictions.predict_fold` or `grading.grade_fold`. pixels: drawn from them, None for grading. notes: what
    was read otherwise than given, left out or joined. audit: the findings of all folds.
    """

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Mapping[str, Any]
    calibrated: Mapping[str, Any] | None
    cases: Cases
    results: pl.DataFrame
    pixels: pl.DataFrame | None
    explained: pl.DataFrame
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Mapping[str, Any]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: MedicalConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the network, `baselines` of all others.

    Rows count cases.
    """
    metrics = evidence.evaluation["metrics"]
    headlines = task_of(config).headlines
    return RunSummary(
        pipeline="medical_segmentation",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=headlines_first(metrics[NETWORK], headlines),
        baselines={
            model: headlines_first(found, headlines) for model, found in metrics.items() if model != NETWORK
        },
        verdict=evidence.evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary.out_of(evidence.training["network"]),
    )
