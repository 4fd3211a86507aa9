"""The part of the report about grades: which are taken for which, and how well patients for a specialist are found."""

import numpy as np

from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.evidence import EvidenceDocuments
from pipelines.medical_segmentation.figures import confusion, recall_by_grade
from pipelines.medical_segmentation.grading import NETWORK, TITLES
from pipelines.medical_segmentation.wording import share
from shared.publishing.blocks import Block, Figure, Paragraph, Section
from shared.publishing.figures import reliability, roc


def confusion_section(config: MedicalConfig, evidence: EvidenceDocuments) -> Section:
    """Confusion, recall of each grade, and the probability of a grade that a specialist must see."""
    results, metrics = evidence.results, evidence.evaluation["metrics"][NETWORK]
    first = config.evaluation.referable_from
    is_referable = (results["grade"] >= first).to_numpy().astype(np.int64)
    blocks: list[Block] = [
        Paragraph(_off_text(evidence)),
        Figure(
            confusion(evidence.evaluation["confusion"]),
            "Test cases of each true grade by the grade given; the darker, the larger the share of the true grade.",
            "Confusion of grades",
        ),
        Figure(
            recall_by_grade(metrics),
            "Share of the cases of each grade that are given it, with 95 % intervals.",
            "Recall by grade",
        ),
        Figure(
            roc(is_referable, {TITLES[NETWORK]: results["referable"]}),
            f"Telling grades from {first} on, which a specialist must see, from lower ones, at every cut of their "
            "probability.",
            "Receiver operating characteristic of referable grades",
        ),
        Figure(
            reliability(is_referable, results["referable"]),
            f"Probability of a grade from {first} on against how often it is one.",
            "Observed share over predicted probability of a referable grade",
        ),
    ]
    return Section("Grades", blocks)


def _off_text(evidence: EvidenceDocuments) -> str:
    results = evidence.results
    off = (results["predicted"] - results["grade"]).abs().to_numpy()
    return (
        f"Of {results.height:,} test cases {share(float((off == 0).mean()), 0)} are given their grade, "
        f"{share(float((off == 1).mean()), 0)} the one beside it, and {share(float((off > 1).mean()), 0)} one further "
        "off, which costs at least four times as much in quadratic weighted kappa. 1 is agreement, 0 is chance; always "
        "giving the same grade has 0."
    )
