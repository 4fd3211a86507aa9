"""The part of the report in the form of ANSI/AAMI EC57: what a classifier on top of the detector calls each beat."""

from collections.abc import Mapping
from typing import Any

from pipelines.ecg_anomaly.ec57 import JUDGED
from pipelines.ecg_anomaly.evidence import EvidenceDocuments
from pipelines.ecg_anomaly.public import MITDB
from pipelines.ecg_anomaly.wording import CLASS_TITLES
from shared.publishing.blocks import Block, Column, Paragraph, Section, Table, Value

# Trained on DS1, tested on DS2; collected in the table of mondejar/ecg-classification.
_PUBLISHED = (
    ("Mondéjar-Guerra et al. 2019, ensemble of SVMs", 0.945, 0.703, 0.773),
    ("Zhang et al. 2014", 0.883, 0.868, 0.663),
    ("Mar et al. 2011", 0.899, 0.802, 0.649),
    ("Mondéjar-Guerra et al. 2019, single SVM", 0.884, 0.696, 0.640),
    ("de Chazal et al. 2004", 0.862, 0.832, 0.612),
)


def classes_section(source: str, evidence: EvidenceDocuments) -> Section:
    """Sensitivity and predictivity of each class, the confusion matrix, and published results for MIT-BIH."""
    document = evidence.evaluation["ec57"]
    text = (
        "The detector says that a beat is unlike normal ones; it is served. A small classifier on top of it, which has "
        "seen the abnormal beats of the training patients, says which class it is: evaluated here to compare with "
        "the literature, not served."
    )
    if not document:
        return Section(
            "Classes of beats (EC57)", [Paragraph("Nobody marked the beats of the test recordings.")]
        )
    blocks: list[Block] = [Paragraph(text), _class_table(document), _confusion_table(document)]
    if source == MITDB:
        blocks.append(_published_table(document))
    return Section("Classes of beats (EC57)", blocks)


def _class_table(document: Mapping[str, Any]) -> Table:
    columns: list[Column | str] = ["Class", Column("Beats", number=True)]
    columns += [
        Column(title, number=True, digits=3)
        for title in ("Se\ngross", "+P\ngross", "Se\naverage", "+P\naverage")
    ]
    names = ("beats", "sensitivity", "predictivity", "average_sensitivity", "average_predictivity")
    rows: list[list[Value]] = [
        [CLASS_TITLES[one], *(document["classes"][one][name] for name in names)] for one in JUDGED
    ]
    notes = [
        "Gross: all beats of all recordings. Average: every recording has the same weight; those without beats of the "
        "class are left out. Unclassifiable beats do not count. The first five minutes are not left out: nothing is "
        "adapted to them.",
        f"Accuracy {document['accuracy']:.3f}, mean sensitivity {_number(document['mean_sensitivity'])}, jk-index "
        f"{_number(document['jk_index'])} (half of Cohen's kappa and an eighth of Se and +P of S and V; 1 is perfect).",
    ]
    return Table(columns, rows, f"Beat by beat, {document['records']} test recordings", notes)


def _confusion_table(document: Mapping[str, Any]) -> Table:
    columns: list[Column | str] = ["Marked"]
    columns += [Column(f"called {CLASS_TITLES[one].lower()}", number=True) for one in JUDGED]
    rows: list[list[Value]] = [
        [CLASS_TITLES[one], *counts] for one, counts in zip(JUDGED, document["confusion"], strict=True)
    ]
    return Table(columns, rows, "Confusion of classes")


def _published_table(document: Mapping[str, Any]) -> Table:
    columns: list[Column | str] = ["Method"]
    columns += [
        Column(title, number=True, digits=3) for title in ("Accuracy", "Mean sensitivity", "jk-index")
    ]
    own: list[Value] = ["This run"]
    own += [_known(document[name]) for name in ("accuracy", "mean_sensitivity", "jk_index")]
    note = (
        "Published results: classifiers of all classes, trained on the records DS1 and tested on DS2. This run has a "
        "small classifier on a detector that learnt from normal beats alone, one lead, and another division unless "
        "data.subset is all: they are context, not a ranking."
    )
    return Table(columns, [own, *_PUBLISHED], "Beside the literature", [note], emphasis=(0,))


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _number(value: float | None) -> str:
    known = _known(value)
    return "not defined" if known is None else f"{known:.3f}"
