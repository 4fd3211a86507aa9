"""The report of a run: for the researcher who measures, and for the reader of images who checks."""

from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.evaluate import NETWORK
from pipelines.medical_segmentation.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.medical_segmentation.report_cases import cases_section, referral_section
from pipelines.medical_segmentation.report_data import images_section
from pipelines.medical_segmentation.report_grades import confusion_section
from pipelines.medical_segmentation.report_pictures import (
    explanation_section,
    grades_section,
    pictures_section,
)
from pipelines.medical_segmentation.tasks import task_of
from pipelines.medical_segmentation.wording import NOT_A_MEDICAL_DEVICE, READERS, cell
from shared.publishing.blocks import (
    Callout,
    Column,
    Kind,
    Report,
    Section,
    Table,
    Value,
    direction,
)
from shared.publishing.report import render
from shared.publishing.standard import (
    limits_section,
    readable,
    results_section,
    run_section,
    training_section,
)
from shared.publishing.summary import RunSummary

# What the table of all models has; the first of it is drawn, as baselines have nothing else.
_RANKED = ("test/dice", "test/iou", "test/hd95", "test/nsd", "test/quadratic_kappa")
_NUM_DRAWN = 1
_IS_GRADING = "grading"


def run_report(config: MedicalConfig, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results(config, summary, evidence),
        *_about_cases(config, evidence),
        explanation_section(evidence),
        images_section(evidence),
        _training(config, evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    title = "grading" if config.task == _IS_GRADING else "segmentation"
    return render(
        Report(
            title=f"Medical image {title}: evaluation report",
            subtitle=f"{QUESTION} {NOT_A_MEDICAL_DEVICE}",
            sections=sections,
            facts=_facts(config, summary, evidence),
        )
    )


def _about_cases(config: MedicalConfig, evidence: EvidenceDocuments) -> list[Section]:
    if config.task == _IS_GRADING:
        return [confusion_section(config, evidence), grades_section(evidence)]
    return [
        cases_section(config, evidence),
        referral_section(config, evidence),
        pictures_section(evidence),
    ]


def _facts(config: MedicalConfig, summary: RunSummary, evidence: EvidenceDocuments) -> dict[str, Value]:
    counts, cases = evidence.evaluation["counts"], evidence.cases
    facts: dict[str, Value] = {
        "Data": summary.source,
        "Preset": summary.preset,
        "Contract": summary.contract,
        "Tested": f"{counts['cases']:,} cases of {counts['patients']:,} patients",
    }
    if config.task == _IS_GRADING:
        return facts | {"Network": config.model.encoder}
    network = "U-Net for volumes" if cases.dimensions == 3 else f"U-Net on {config.model.encoder}"
    return facts | {"Structures": ", ".join(cases.labels.names), "Network": network}


def _results(config: MedicalConfig, summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    notes = [
        "Every case was tested once, by a network that had seen neither it nor its patient. Intervals: whole patients "
        "drawn anew."
    ]
    titles = task_of(config).titles
    ranked = {name: title for name, title in METRICS.items() if name in _RANKED}
    section = results_section(
        summary,
        ranked,
        model_title=f"{next(iter(titles.values()))} (served)",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]],
        notes=notes,
        other_titles=titles,
        num_drawn=_NUM_DRAWN,
    )
    first = Callout("warning", f"{READERS} {NOT_A_MEDICAL_DEVICE}", "Who this is for")
    return Section(section.title, [first, *section.blocks, _others_table(evidence)])


def _others_table(evidence: EvidenceDocuments) -> Table:
    """What has no baseline: of the network alone."""
    metrics = evidence.evaluation["metrics"][NETWORK]
    rows: list[list[Value]] = [
        [
            METRICS.get(name, readable(name.removeprefix("test/"))),
            cell(metric),
            metric.get("reason") or direction(metric),
        ]
        for name, metric in metrics.items()
        if name not in _RANKED
    ]
    columns: list[Column | str] = ["Of the network alone", Column("Value", number=True), "Direction"]
    return Table(columns, rows, "What the baselines do not have, with 95 % intervals")


def _training(config: MedicalConfig, evidence: EvidenceDocuments) -> Section:
    record = evidence.training["network"]
    loss = {"dice_ce": "cross-entropy plus 1 − Dice", "focal_tversky": "focal Tversky loss"}[
        config.training.loss
    ]
    loss = "binary cross-entropy of exceeding each grade" if config.task == _IS_GRADING else loss
    return training_section(
        {**record, "best_epoch": record["epochs"] - 1},
        kept="The number of epochs is fixed and the weights of the last one are kept: no patient was held back to "
        "choose them.",
        caption=f"Mean {loss} of the augmented training images in each epoch, of the network that is served.",
        validation=(),
    )
