"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.cases_file import load_cases, save_cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.duplicates import Pairs
from pipelines.medical_segmentation.protocol import Division, Fold
from pipelines.medical_segmentation.score import Scorer
from pipelines.medical_segmentation.tasks import FittedTask, Tables
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored, stored_folder
from shared.publishing.plain import plain


class Ingested(IngestedTable):
    """Rows of the manifest whose images can be used, and the cases as a stored folder.

    spacing_mm: of the grid of volumes, None for pictures.
    """

    cases: Ref
    spacing_mm: tuple[float, ...] | None


class Divided(Handle):
    """A stored `Division`. method: how it was made, in words."""

    division: Ref
    num_folds: int
    is_given: bool
    method: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, division: Division, method: str) -> "Divided":
        """Store a division."""
        pairs = division.duplicates
        document = {
            "folds": [[fold.train.tolist(), fold.test.tolist()] for fold in division.folds],
            "left_out": division.left_out.tolist(),
            "groups": division.groups.tolist(),
            "duplicates": [pairs.first.tolist(), pairs.second.tolist(), pairs.correlation.tolist()],
        }
        return cls(
            division=default_store().put_json(document),
            num_folds=len(division.folds),
            is_given=division.is_given,
            method=method,
            notes=division.notes,
        )

    def opened(self) -> Division:
        """The stored division."""
        document = default_store().json(self.division)
        first, second, correlation = document["duplicates"]
        folds = tuple(
            Fold(number, _places(train), _places(test))
            for number, (train, test) in enumerate(document["folds"])
        )
        return Division(
            folds,
            self.is_given,
            _places(document["left_out"]),
            _places(document["groups"]),
            Pairs(_places(first), _places(second), np.array(correlation, dtype=np.float64)),
            self.notes,
        )


class Served(Handle):
    """A scorer as a stored folder, and the record of its training."""

    scorer: Ref
    record: Ref


class FittedFold(Served):
    """tables: what was said of the test cases, see `tasks.Task.predict`. audit: what was looked for between parts."""

    number: int
    tables: dict[str, Ref]
    audit: dict[str, Any]


@contextmanager
def opened(stored: Ref, config: MedicalConfig) -> Iterator[Scorer]:
    """A stored scorer with the configuration of this run, read from a scratch folder."""
    with restored(stored) as folder:
        yield replace(Scorer.load(folder), config=config)


@contextmanager
def opened_cases(stored: Ref) -> Iterator[Cases]:
    """Stored cases, read from a scratch folder."""
    with restored(stored) as folder:
        yield load_cases(folder)


def stored_cases(cases: Cases) -> Ref:
    """Cases as a stored folder."""
    return stored_folder(lambda folder: save_cases(cases, folder))


def stored_scorer(fitted: FittedTask) -> dict[str, Ref]:
    """The fields of `Served`."""
    record = default_store().put_json(plain(fitted.record))
    return {"scorer": stored_folder(fitted.scorer.save), "record": record}


def stored_tables(tables: Tables) -> dict[str, Ref]:
    """Each table in the store."""
    return {name: default_store().put_frame(table) for name, table in tables.items()}


def of_folds(folds: Sequence[FittedFold]) -> dict[str, pl.DataFrame]:
    """The tables of all folds, by name."""
    store = default_store()
    return {
        name: pl.concat([store.frame(fold.tables[name]) for fold in folds], how="vertical_relaxed")
        for name in folds[0].tables
    }


def _places(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)
