"""The parts of the report that show cases: the worst, typical and best, those for a human, and where evidence lay."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.medical_segmentation.evidence import EvidenceDocuments
from pipelines.medical_segmentation.explain import DRAWN, FOUND, MASK_ALONE, NUM_EXPLAINED
from pipelines.medical_segmentation.gallery import ABSENT, BEST, REFERRED, RIGHT, TYPICAL, WORST, pictures_of
from pipelines.medical_segmentation.overlays import evidence_figure, overlay_figure
from pipelines.medical_segmentation.wording import UNITS, number, share
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    Kind,
    Paragraph,
    Section,
    Table,
    Value,
    show,
)

_GALLERIES = {
    WORST: "The worst test cases",
    TYPICAL: "Typical test cases, about the median Dice",
    BEST: "The best test cases",
    REFERRED: "Referred to a human, least sure first, beside the worst",
    ABSENT: "Found where nobody drew anything",
}
_OUTLINES = (
    "Blue, drawn through: what a person drew. Yellow, dashed: what the network found. Volumes are cut through the "
    "middle of the structure, the patient's right on the left. Sizes are those of all structures of a case together."
)
_CANNOT = (
    "What such a map can tell: from where in the image one layer spoke for the answer, and how strongly, on a scale "
    "that all pictures of a figure share.",
    "What it cannot tell: why the network answered so, whether the answer is right, or how sure it is. A map inside "
    "the lesion does not make the mask right, and one outside does not make it wrong: the surroundings count, too.",
    "A U-Net decides each pixel mostly by what lies next to it. The map of a mask therefore mostly repeats the mask; "
    "the table says whether it tells more about the network than the mask, which costs nothing.",
)


def pictures_section(evidence: EvidenceDocuments) -> Section:
    """Cases with both outlines, each gallery from the worst on."""
    blocks: list[Block] = [Paragraph(_OUTLINES)]
    for name, title in _GALLERIES.items():
        cases = evidence.explanation["galleries"][name]
        if cases:
            planes = pictures_of(evidence.explained, cases)
            figure = overlay_figure(planes, [_words(evidence.results, case) for case in cases])
            drawn = Figure(figure, f"{title}.", title, wide=True)
            blocks.append(drawn if name in (WORST, TYPICAL) else Details(title, [drawn]))
    return Section("What it looks like", blocks)


def _words(results: pl.DataFrame, case: str) -> str:
    """Dice and sizes of a case, two lines."""
    rows = results.filter(pl.col("case") == case)
    shown = rows.filter(pl.col("dice").is_not_nan())
    unit = UNITS[rows["unit"][0]]
    drawn, found = (number(float(rows[name].sum())) for name in ("size_truth", "size_found"))
    if shown.is_empty():
        confidence = float(rows["confidence"].to_numpy().min())
        return f"nothing drawn, found {found} {unit}\nconfidence {confidence:.2f}"
    referred = ", referred" if rows["referred"][0] else ""
    dice = float(shown["dice"].to_numpy().mean())
    return f"Dice {dice:.2f}{referred}\ndrawn {drawn}, found {found} {unit}"


def grades_section(evidence: EvidenceDocuments) -> Section:
    """Pictures that were graded wrong, and one of each grade that was graded right."""
    galleries = evidence.explanation["galleries"]
    blocks: list[Block] = []
    for name, title in (
        (WORST, "Graded furthest from the truth"),
        (RIGHT, "Graded right, the clearest of each grade"),
    ):
        if galleries[name]:
            planes = pictures_of(evidence.explained, galleries[name])
            words = [_grade_words(evidence.results, case) for case in galleries[name]]
            blocks.append(Figure(overlay_figure(planes, words), f"{title}.", title, wide=True))
    return Section("What it looks like", blocks or [Paragraph("There is nothing to show.")])


def _grade_words(results: pl.DataFrame, case: str) -> str:
    row = results.filter(pl.col("case") == case).row(0, named=True)
    return f"grade {row['grade']}, given {row['predicted']}\nmean grade {row['mean_grade']:.1f}"


def explanation_section(evidence: EvidenceDocuments) -> Section:
    """Grad-CAM of typical cases and of the worst, its checks, and what it cannot tell."""
    document = evidence.explanation
    attribution = document["attribution"]
    is_faithful = attribution["faithful"]
    kind: Kind = "good" if is_faithful else "neutral" if is_faithful is None else "warning"
    blocks: list[Block] = [
        Callout(kind, attribution["warning"] or _checks_text(document), "How far the maps hold")
    ]
    blocks.append(Bullets(_CANNOT if MASK_ALONE in document.get("others", {}) else _CANNOT[:2]))
    if attribution["faithfulness"]:
        blocks.append(_checks_table(document))
    first, second = (TYPICAL, WORST) if TYPICAL in document["galleries"] else (RIGHT, WORST)
    cases = [*document["galleries"][first][:NUM_EXPLAINED], *document["galleries"][second][:NUM_EXPLAINED]]
    if cases:
        blocks.append(_evidence(evidence, list(dict.fromkeys(cases))))
    return Section("Where the network looked", blocks)


def _evidence(evidence: EvidenceDocuments, cases: Sequence[str]) -> Figure:
    is_graded = "mean_grade" in evidence.results.columns
    words = [(_grade_words if is_graded else _words)(evidence.results, case) for case in cases]
    target, layer = evidence.explanation["attribution"]["target"], evidence.explanation["layer"]
    caption = (
        f"Grad-CAM of the {target}, at the layer {layer.removeprefix('network.network.')}; the brighter, the more "
        "evidence. Raw values, one scale for all pictures; zero has no colour. Typical cases first, then the worst."
    )
    return Figure(
        evidence_figure(
            pictures_of(evidence.explained, cases), words, evidence.explanation["attribution"]["unit"]
        ),
        caption,
        "Grad-CAM over pictures of cases",
        wide=True,
    )


def _checks_text(document: Mapping[str, Any]) -> str:
    attribution = document["attribution"]
    gain = attribution["faithfulness"]["deletion_gain"]
    text = (
        f"On {document['cases']:,} cases, putting {attribution['baseline']} in place of the strongest of "
        f"{document['cells']} cells first lowers the {attribution['target']} by {show(gain['value'], 2)} "
        f"{gain['unit']} more than a random order ({show(gain['low'], 2)} to {show(gain['high'], 2)}). Maps of "
        f"networks of random weights rank the cells with a correlation of {show(document['likeness_to_random'], 2)}. "
        f"In the median case {share(document['negative_share'], 0)} of the map speaks against it and is not drawn."
    )
    drawn = document["inside"][DRAWN]
    if drawn:
        text += (
            f" {share(drawn['share'], 0)} of the map lies inside what a person drew, which takes "
            f"{share(drawn['of_image'], 0)} of the image."
        )
    return text


def _checks_table(document: Mapping[str, Any]) -> Table:
    checks = {"Grad-CAM": document["attribution"]["faithfulness"]}
    if MASK_ALONE in document["others"]:
        checks["The found mask alone"] = document["others"][MASK_ALONE]
    rows: list[list[Value]] = [
        [name, _gain(found["deletion_gain"]), _gain(found["insertion_gain"]), None, None]
        for name, found in checks.items()
    ]
    inside = document["inside"]
    rows[0][3], rows[0][4] = (_inside(inside[name]) for name in (DRAWN, FOUND))
    unit = document["attribution"]["unit"]
    columns: list[Column | str] = [
        "Order of the cells",
        Column(f"Removing the strongest first\n{unit} below a random order", number=True),
        Column(f"Keeping the strongest longest\n{unit} above a random order", number=True),
        Column("Of the map inside what was drawn\nabove its share of the image", number=True),
        Column("Inside what was found\nabove its share of the image", number=True),
    ]
    if inside[FOUND] is None:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(columns, rows, "Checks of the maps, means with 95 % intervals")


def _gain(gain: Mapping[str, Any]) -> str:
    return f"{show(gain['value'], 2)}\n{show(gain['low'], 2)} to {show(gain['high'], 2)}"


def _inside(found: Mapping[str, Any] | None) -> str | None:
    if found is None:
        return None
    return f"{share(found['gain'], 0)}\n{share(found['low'], 0)} to {share(found['high'], 0)}"
