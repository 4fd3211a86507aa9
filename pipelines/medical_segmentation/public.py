"""The public sets as published: which folder trains, which tests, and what the masks mean.

Kvasir-SEG (Jha et al. 2020) in the division of EffiSegNet (Vezakis et al. 2024), 800/100/100; or as downloaded, 1,000
pairs without a division. It names no patients. Task 4 of the Medical Segmentation Decathlon (Antonelli et al. 2022) has
names none, either. That volumes 2k-1 and 2k are the two sides of one head is inferred, the source does not say so:
their grey values differ far less than those of other volumes (median 0.07 against 0.33 in the logarithms of their
percentiles, 21 such pairs among 59 volumes, 2026-11). They count as one patient.
"""

from pathlib import Path
from typing import Literal

from pipelines.medical_segmentation.folders import Row, pair_rows
from pipelines.medical_segmentation.labels import Labels
from shared.errors import RequestError

KVASIR, HIPPOCAMPUS = "kvasir_seg", "msd_hippocampus"
PUBLIC = (KVASIR, HIPPOCAMPUS)
POLYP = Labels(("polyp",), ((255,),))
HIPPOCAMPUS_PARTS = Labels(("anterior", "posterior"), ((1,), (2,)))
Subset = Literal["train_validation", "train_test"]


def public_rows(name: str, folder: Path, subset: Subset) -> tuple[list[Row], Labels, tuple[str, ...]]:
    """Rows, structures and notes of a public set that lies in a folder. Raises RequestError for a missing part."""
    if name == KVASIR:
        return _kvasir(folder, subset)
    rows = pair_rows(folder / "images", folder / "labels", folder)
    sides = "Volumes 2k-1 and 2k of the hippocampus set are taken for two sides of one head: they count as one patient."
    return [row | _FACTS[HIPPOCAMPUS] | _head(row) for row in rows], HIPPOCAMPUS_PARTS, (sides,)


# Every image of both sets shows its structure.
_FACTS: dict[str, Row] = {
    KVASIR: {"modality": "RGB", "shows_structure": True},
    HIPPOCAMPUS: {"modality": "MR", "shows_structure": True},
}


def _head(row: Row) -> Row:
    number = row["case"].removeprefix("hippocampus_")
    return {"patient": f"head_{(int(number) + 1) // 2:03d}"} if number.isdigit() else {}


def _kvasir(folder: Path, subset: Subset) -> tuple[list[Row], Labels, tuple[str, ...]]:
    no_patients = "Kvasir-SEG names no patients: each image counts as one of its own, near-duplicates apart."
    if not (folder / "train").is_dir() and subset == "train_validation":
        rows = pair_rows(folder / "images", folder / "masks", folder)
        whole = "This copy is the download without a division: folds."
        return [row | _FACTS[KVASIR] for row in rows], POLYP, (no_patients, whole)
    tested = subset.removeprefix("train_")
    rows = []
    for place, part in (("train", "train"), (tested, "test")):
        if not (folder / place / "images").is_dir():
            raise RequestError(
                f"Expected the folder {place} of the published division in {folder}. Received none: put it there "
                "(images and masks), or choose another part with data.subset."
            )
        found = pair_rows(folder / place / "images", folder / place / "masks", folder, prefix=f"{place}/")
        rows += [row | _FACTS[KVASIR] | {"part": part} for row in found]
    return rows, POLYP, (no_patients,)
