"""One case as read, before anything is done to its pixels, and the contracts that it has to keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.volumes import Grid

CONTRACT = "image_studies"
OUTPUT_CONTRACT = "segmentation_results"
# Columns of the manifest.
SPACING_COLUMNS = ("spacing_slice_mm", "spacing_row_mm", "spacing_column_mm")
COLUMNS = (
    "case", "patient", "image", "mask", *SPACING_COLUMNS, "modality", "part", "grade", "shows_structure",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """One image or volume.

    pixels: (channels, rows, columns) or (1, slices, rows, columns), in the type of the file; volumes in canonical
    order: slices to the head, rows to the front, columns to the right of the patient. mask: uint8 of the same shape
    without channels, numbers of `labels`; None where nobody drew one. spacing_mm: between neighbours along each axis
    of the mask, None where unknown. grid: how the voxels lie in the file, None for pictures. notes: what was read
    otherwise than stored, and in how many pixels.
    """

    case: str
    patient: str
    pixels: np.ndarray
    mask: np.ndarray | None
    labels: Labels
    modality: str
    spacing_mm: tuple[float, ...] | None = None
    grid: Grid | None = None
    part: str | None = None
    grade: int | None = None
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, after slices where there are any."""
        return self.pixels.shape[1:]
