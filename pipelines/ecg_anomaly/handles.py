"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.protocol import Division, Fold
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.recordings_file import load_recordings, save_recordings
from pipelines.ecg_anomaly.score import Scorer
from pipelines.ecg_anomaly.train import Fitted
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored, stored_folder
from shared.publishing.plain import plain
from shared.training.runtime import single_thread


class Ingested(IngestedTable):
    """Rows of the manifest whose recordings can be used, and the recordings as stored folders.

    annotated: with the beats that were marked. detected: with those that the peak detector finds.
    """

    annotated: Ref
    detected: Ref


class Divided(Handle):
    """fold: which one tests each recording, in the order of the stored ones; -1 trains only, -2 is left out."""

    fold: tuple[int, ...]
    num_folds: int
    is_given: bool
    method: str
    notes: tuple[str, ...]

    def division(self) -> Division:
        """The recordings of each part."""
        fold = np.array(self.fold)
        folds = tuple(
            Fold(number, np.flatnonzero((fold != number) & (fold > -2)), np.flatnonzero(fold == number))
            for number in range(self.num_folds)
        )
        return Division(folds, self.is_given, np.flatnonzero(fold == -2))


class Served(Handle):
    """A scorer as a stored folder, and the record of its training."""

    scorer: Ref
    record: Ref


class FittedFold(Served):
    """predictions: all models on the marked beats of the test recordings; found: the detector on beats that nobody
    marked. audit: what was looked for between the parts."""

    number: int
    predictions: Ref
    found: Ref
    audit: dict[str, Any]


@contextmanager
def opened(stored: Ref, config: EcgConfig) -> Iterator[Scorer]:
    """A stored scorer with the configuration of this run, read from a scratch folder."""
    with restored(stored) as folder, single_thread():
        yield replace(Scorer.load(folder), config=config)


@contextmanager
def opened_recordings(stored: Ref) -> Iterator[Recordings]:
    """Stored recordings, read from a scratch folder."""
    with restored(stored) as folder:
        yield load_recordings(folder)


def stored_recordings(recordings: Recordings) -> Ref:
    """Recordings as a stored folder."""
    return stored_folder(lambda folder: save_recordings(recordings, folder))


def stored_scorer(fitted: Fitted, scorer: Scorer) -> dict[str, Ref]:
    """The fields of `Served`."""
    return {"scorer": stored_folder(scorer.save), "record": default_store().put_json(plain(fitted.record))}


def of_folds(folds: Sequence[FittedFold]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions, and found beats, of all folds."""
    store = default_store()
    return (
        pl.concat([store.frame(fold.predictions) for fold in folds]),
        pl.concat([store.frame(fold.found) for fold in folds]),
    )
