"""What was said of images, for the person who goes through them: a list, those for a human first, and each of them.

Volumes are cut in three planes, turned as radiologists see them: head or front up, the patient's right on the left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from pipelines.medical_segmentation.data import read_studies
from pipelines.medical_segmentation.explain import evidence_of
from pipelines.medical_segmentation.gallery import levels
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.intensity import Fingerprint
from pipelines.medical_segmentation.masks import picture_mask, volume_mask
from pipelines.medical_segmentation.score import IMAGE, Scorer
from pipelines.medical_segmentation.score_files import to_score
from pipelines.medical_segmentation.studies import CONTRACT, Study
from pipelines.medical_segmentation.wording import found_words
from shared.contracts.contract import load
from shared.contracts.refused import Refused
from shared.contracts.table import check_table
from shared.errors import RequestError

PLANES = ("axial", "coronal", "sagittal")


def worklist(results: pl.DataFrame) -> pl.DataFrame:
    """One row a case: those that a human must see first, and of each kind the least sure first.

    results: see the contract `segmentation_results`. Columns: case, patient, refer, refer_reason, confidence (lowest of
    its structures), found (in words).
    """
    words = pl.Series("found", [_words(row) for row in results.iter_rows(named=True)], dtype=pl.String)
    return (
        results.with_columns(words)
        .group_by("case", maintain_order=True)
        .agg(
            pl.col("patient", "refer", "refer_reason").first(),
            pl.col("confidence").min(),
            pl.col("found").str.join("; "),
        )
        .sort("refer", "confidence", descending=[True, False], maintain_order=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Reviewed:
    """One scored case at the size of its file.

    levels: uint8 of shape (slices, rows, columns, channels), as screens show it; a picture is one slice. mask: uint8 of
    shape (slices, rows, columns), numbers of `names`, as it was written; None where the image was graded. spacing:
    between slices, rows and columns, in `unit`: mm, or px where it is unknown.
    """

    study: Study
    levels: np.ndarray
    mask: np.ndarray | None
    spacing: tuple[float, float, float]
    unit: str

    @classmethod
    def of(cls, scorer: Scorer, scored: Path, output: Path, results: pl.DataFrame, case: str) -> Self:
        """A case of what `score_files` scored: image or folder `scored`, results in the table `output`.

        Raises RequestError where its image cannot be read any more.
        """
        [row] = results.filter(pl.col("case") == case).head(1).to_dicts()
        study = _study(scorer, scored, case)
        transfer = scorer.intensity.transfer(Fingerprint.of(study), study.modality)
        shown = np.moveaxis(levels(study.pixels, transfer), 0, -1)
        mask = None if row["mask_file"] is None else _mask(output.parent, row["mask_file"], study, scorer)
        spacing = study.spacing_mm or (1.0,) * len(study.shape)
        deep = (1.0, *spacing) if len(spacing) == 2 else spacing
        if len(study.shape) == 2:
            shown, mask = shown[None], None if mask is None else mask[None]
        return cls(
            study, shown, mask, (deep[0], deep[1], deep[2]), "px" if study.spacing_mm is None else "mm"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the structures; the first has the number 1."""
        return self.study.labels.names

    @property
    def is_volume(self) -> bool:
        return len(self.study.shape) == 3

    def evidence(self, scorer: Scorer, structure: int) -> np.ndarray | None:
        """Grad-CAM of a structure by its number, or of the grade: float32 (slices, rows, columns), not negative.

        None where the structure was not found.
        """
        cases = gather_cases(
            [replace(self.study, mask=None)], scorer.labels, scorer.config.image, 1, scorer.form.spacing_mm
        )
        found = evidence_of(scorer, cases, 0, structure)
        if found is None:
            return None
        own: np.ndarray = cases.frames[0].to_own(torch.from_numpy(found)[None])[0].clamp(min=0).numpy()
        return own if self.is_volume else own[None]

    def fullest(self, plane: str) -> int:
        """The slice of a plane that shows most of what was found; the middle one where nothing was."""
        axis = PLANES.index(plane)
        others = tuple(other for other in range(3) if other != axis)
        if self.mask is None or not self.mask.any():
            return self.levels.shape[axis] // 2
        return int((self.mask > 0).sum(others).argmax())


def plane_of(values: np.ndarray, plane: str, place: int) -> np.ndarray:
    """One slice of (slices, rows, columns, ...) as radiologists see it; a picture is as it was taken."""
    axis = PLANES.index(plane)
    cut = values.take(place, axis=axis)
    return cut if values.shape[0] == 1 else np.flip(cut, (0, 1))


def steps_of(spacing: Sequence[float], plane: str) -> tuple[float, float]:
    """Height and width of a pixel of a plane, in the unit of `spacing`: see `Reviewed`."""
    height, width = (step for axis, step in enumerate(spacing) if axis != PLANES.index(plane))
    return height, width


def _study(scorer: Scorer, scored: Path, case: str) -> Study:
    manifest = to_score(scored, scorer)
    valid = check_table(manifest.frame, load(CONTRACT)).valid.filter(pl.col("case") == case)
    study = next(iter(read_studies(manifest, valid, scorer.config.data)), None)
    if study is None or isinstance(study, Refused):
        raise RequestError(
            f"Expected the image of {case} where it was scored. Received none: score it again."
        )
    return study


def _mask(folder: Path, name: str, study: Study, scorer: Scorer) -> np.ndarray:
    """The mask as it was written, so that what is seen is what is downloaded."""
    data = scorer.config.data
    if study.grid is not None:
        return volume_mask(folder / name, folder, study.grid, scorer.labels, data.max_voxels)
    return picture_mask(folder / name, folder, scorer.labels, data.max_pixels)[0]


def _words(row: dict[str, Any]) -> str:
    if row["structure"] == IMAGE and row["grade"] is not None:
        share = row["referable_probability"]
        return f"grade {row['grade']}, probability {share:.2f} of one for a specialist"
    return found_words(row) if row["num_pixels"] else f"no {row['structure']}"
