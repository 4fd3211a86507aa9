"""The model card of a run."""

from pipelines.medical_segmentation.evidence import (
    LIMITS,
    METRICS,
    OUT_OF_SCOPE,
    QUESTION,
    EvidenceDocuments,
)
from pipelines.medical_segmentation.score import Scorer
from pipelines.medical_segmentation.tasks import task_of
from shared.publishing.blocks import Value
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary

_TITLES = {
    "segmentation": "Medical segmentation: where a structure is and how large",
    "grading": "Medical grading: how severe the finding of an image is",
}


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    config = scorer.config
    return model_card(
        CardFacts(
            title=_TITLES[config.task],
            question=QUESTION,
            details=_details(scorer),
            intended_use=[
                "Measuring structures for research, with a person who can read these images looking at every case that "
                "matters; teaching. Not a medical device."
            ],
            out_of_scope=OUT_OF_SCOPE,
            training_data=_training_data(evidence),
            evaluation_data=_evaluation_data(evidence),
            split=[evidence.split],
            calibration=_calibration(evidence),
            explanation=[evidence.explanation["attribution"]["warning"] or ""],
            ethical_considerations=[
                "A structure that is missed looks like a healthy image: somebody who relies on that can be harmed.",
                "Public sets come from few hospitals, devices and populations. Others may look unlike them.",
                "Images can be traced to people. A bundle holds no pixels of them; the report shows some.",
            ],
            limits=list(LIMITS),
            model_titles=task_of(config).titles,
        ),
        summary,
        METRICS,
    )


def _details(scorer: Scorer) -> dict[str, Value]:
    config, form = scorer.config, scorer.form
    edges = " x ".join(map(str, form.patch))
    is_volume = len(form.patch) == 3
    details: dict[str, Value] = {
        "Network": "U-Net for volumes (DynUNet)" if is_volume else f"{config.model.encoder}, {config.task}",
        "Sees": f"{edges} {'voxels' if is_volume else 'pixels'} of {form.num_channels} channels",
        "Pretrained weights": config.model.encoder_weights or "none",
    }
    if form.spacing_mm is not None:
        details["Spacing"] = " x ".join(f"{step:.3g}" for step in form.spacing_mm) + " mm"
    if form.num_grades:
        return details | {"Grades": f"0 to {form.num_grades - 1}"}
    return details | {
        "Structures": ", ".join(scorer.labels.names),
        "Views": config.inference_of(len(form.patch)).views,
    }


def _training_data(evidence: EvidenceDocuments) -> list[str]:
    cases = evidence.cases
    return [f"{cases.num_cases} cases of {len(set(cases.patients))} patients.", *evidence.notes]


def _evaluation_data(evidence: EvidenceDocuments) -> list[str]:
    counts = evidence.evaluation["counts"]
    lines = [
        f"{counts['cases']} cases of {counts['patients']} patients, each judged by a network that had not seen its "
        "patient, at the size of the file."
    ]
    if counts.get("empty"):
        lines.append(
            f"{counts['empty']} of them show no structure and are in no mean; what was found there is counted apart."
        )
    return lines


def _calibration(evidence: EvidenceDocuments) -> list[str]:
    if evidence.calibrated is None:
        return []
    calibrated, kept = evidence.calibrated, evidence.evaluation["metrics"]["network"]
    lines = [
        f"Logits are divided by {calibrated['temperature']:.2f}, and cases of a confidence below "
        f"{calibrated['refer_below']:.2f} are referred: both fixed on {calibrated['num_cases']} cases that were "
        "neither learnt from nor tested."
    ]
    referred, dice = kept["test/referred"]["value"], kept["test/dice_kept"]["value"]
    if referred is not None and dice is not None:
        lines.append(
            f"Of the test cases {referred:.1%} are referred; the others have a mean Dice of {dice:.3f}."
        )
    return lines
