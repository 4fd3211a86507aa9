"""A picture of each scored image with the outline of what was found, for the person who looks at it."""

from dataclasses import replace
from typing import Any

from pipelines.medical_segmentation.case_files import CaseFolder
from pipelines.medical_segmentation.gallery import planes_of
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.overlays import overlay_figure
from pipelines.medical_segmentation.score import Scorer
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.tasks import Said
from pipelines.medical_segmentation.wording import found_words
from shared.data.files import atomic_write


def draw_outlines(scorer: Scorer, study: Study, said: Said, folder: CaseFolder) -> None:
    """Write one SVG for a study: its picture, or three planes of its volume, with size and confidence in words."""
    cases = gather_cases(
        [replace(study, mask=None)], scorer.labels, scorer.config.image, 1, scorer.form.spacing_mm
    )
    planes = planes_of(cases, 0, cases.transfers(scorer.intensity)[0], said.mask)
    words = "\n".join(_words(row) for row in said.rows[:2])
    atomic_write(folder.path / folder.name_of(study.case, ".svg"), overlay_figure([planes], [words]))


def _words(row: dict[str, Any]) -> str:
    if row["grade"] is not None:
        return f"grade {row['grade']}, probability {row['confidence']:.2f}"
    return f"{found_words(row)}, confidence {row['confidence']:.2f}"
