"""From a manifest to cases that can be learnt from, with what became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.data import Manifest, median_spacing, read_studies
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.studies import CONTRACT, Study
from shared.contracts.contract import load
from shared.contracts.refused import Refused, require_few, without_refused
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a source gave. usable: rows of the manifest whose images can be used; cases: these.

    checked: of the manifest; its quarantine has the cases that cannot be used too. spacing_mm: of the grid of volumes.
    """

    checked: TableCheck
    cases: Cases
    spacing_mm: tuple[float, ...] | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, data: DataConfig, image: ImageConfig) -> Self:
        """Read all images and masks of a manifest, one at a time.

        Raises RequestError when more cannot be used than the contract allows.
        """
        checked = check_table(manifest.frame, load(CONTRACT))
        valid = checked.require()
        spacing = image.spacing_mm or median_spacing(manifest, valid, data)
        studies = read_studies(manifest, valid, data)
        cases = gather_cases(studies, manifest.labels, image, valid.height, spacing)
        require_few(checked, cases.require().refused, what="images")
        return cls(
            checked=without_refused(checked, cases.refused, key="case", rule="image"),
            cases=cases,
            spacing_mm=spacing,
            notes=(*manifest.notes, *cases.notes, *map(str, cases.refused)),
        )


def read_again(manifest: Manifest, rows: pl.DataFrame, cases: Cases, data: DataConfig) -> Iterator[Study]:
    """Cases that were read before, once more for their masks at full size.

    Raises RequestError for files that are gone or that changed.
    """
    places = {name: place for place, name in enumerate(cases.names)}
    for study in read_studies(manifest, rows, data):
        if isinstance(study, Refused):
            raise RequestError(
                f"Expected the files of {study.name} as they were when the run began. Received: {study.reason} Put "
                "them back, or run again with --no-cache."
            )
        place = places[study.case]
        if study.shape != cases.frames[place].own or not _shows_the_same(study, cases, place):
            raise RequestError(
                f"Expected the files of {study.case} as they were when the run began. Received others: run again with "
                "--no-cache."
            )
        yield study


def _shows_the_same(study: Study, cases: Cases, place: int) -> bool:
    assert study.mask is not None, "only cases with a mask are read again"
    counts = np.bincount(study.mask.reshape(-1), minlength=len(cases.labels) + 1)[1:]
    return bool(np.array_equal(counts, cases.num_pixels[place]))
