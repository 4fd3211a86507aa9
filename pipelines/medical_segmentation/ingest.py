"""From a manifest to cases that can be learnt from, with what became of the others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.data import Manifest, median_spacing, read_studies, refused_rows
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.studies import CONTRACT, Refused, Study
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

_NUM_REASONS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a source gave. usable: rows of the manifest whose images can be used; cases: these.

    checked: of the manifest; its quarantine has the cases that cannot be used too. spacing_mm: of the grid of volumes.
    """

    checked: TableCheck
    usable: pl.DataFrame
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
        _require_few(checked, cases)
        refused = refused_rows(valid, cases.refused)
        return cls(
            checked=replace(checked, quarantined=in_quarantine(checked, refused)),
            usable=valid.filter(pl.col("case").is_in(list(cases.names))),
            cases=cases,
            spacing_mm=spacing,
            notes=(*manifest.notes, *cases.notes, *refusals(cases.refused)),
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


def in_quarantine(checked: TableCheck, refused: pl.DataFrame) -> pl.DataFrame:
    """The quarantine of a manifest, with the rows of cases that could not be used."""
    return (
        pl.concat([checked.quarantined, refused], how="diagonal_relaxed")
        if refused.height
        else checked.quarantined
    )


def refusals(refused: Iterable[Refused]) -> Iterator[str]:
    """One line for each case that could not be used."""
    return (f"{one.name}: {one.reason}" for one in refused)


def _shows_the_same(study: Study, cases: Cases, place: int) -> bool:
    assert study.mask is not None, "only cases with a mask are read again"
    counts = np.bincount(study.mask.reshape(-1), minlength=len(cases.labels) + 1)[1:]
    return bool(np.array_equal(counts, cases.num_pixels[place]))


def _require_few(checked: TableCheck, cases: Cases) -> None:
    """Cases that cannot be used count against the contract's limit like rows that break it."""
    cases.require()
    limit, num_lost = checked.contract.max_quarantined_percent, len(cases.refused)
    if 100 * (checked.quarantined.height + num_lost) > limit * checked.num_rows and num_lost:
        lines = [
            f"Expected at most {limit:g} % of the images to be of no use. Received {num_lost} of {checked.num_rows}:",
            *list(refusals(cases.refused))[:_NUM_REASONS],
            "Correct them, or leave them out.",
        ]
        raise RequestError("\n".join(lines))
