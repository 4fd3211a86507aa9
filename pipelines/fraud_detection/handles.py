"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.protocol import Fold, Parts
from pipelines.fraud_detection.score import Scorer
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored
from shared.training.runtime import single_thread


class Ingested(IngestedTable):
    """Transactions that keep the contract, with warnings that their users must not overlook."""

    warnings: tuple[str, ...]


class Featured(Handle):
    """The table with features beside its columns."""

    table: Ref
    names: tuple[str, ...]
    labelled: bool
    categories: tuple[str, ...]


class FoldDays(Handle):
    """Days of a fold, midnights in UTC, and its transactions."""

    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime
    train: Ref
    test: Ref


class FoldParts(FoldDays):
    """A fold with its validation fold."""

    validation: FoldDays


class Divided(Handle):
    """All folds, oldest first, and what the leak audit said of them."""

    folds: tuple[FoldParts, ...]
    with_head: bool
    method: str
    audit: dict[str, Any]
    notes: tuple[str, ...]


class Fitted(Handle):
    """The scorer of each fold as a stored folder, and the record of its training. The last one is served."""

    scorers: tuple[Ref, ...]
    records: Ref


@contextmanager
def opened(stored: Ref, config: FraudConfig) -> Iterator[Scorer]:
    """A stored scorer with the configuration of this run, read from a scratch folder."""
    with restored(stored) as folder, single_thread():
        yield replace(Scorer.load(folder), config=config)


def stored_parts(parts: Parts) -> FoldParts:
    """The transactions of a fold in the store."""
    assert parts.validation is not None
    days = _stored_days(parts)
    return FoldParts(**days.model_dump(), validation=_stored_days(parts.validation))


def _stored_days(parts: Parts) -> FoldDays:
    store, fold = default_store(), parts.fold
    return FoldDays(
        train_start=fold.train_start,
        train_end=fold.train_end,
        test_start=fold.test_start,
        test_end=fold.test_end,
        train=store.put_frame(parts.train),
        test=store.put_frame(parts.test),
    )


def read_parts(stored: FoldDays) -> Parts:
    """The transactions of a stored fold."""
    store = default_store()
    fold = Fold(stored.train_start, stored.train_end, stored.test_start, stored.test_end)
    validation = read_parts(stored.validation) if isinstance(stored, FoldParts) else None
    return Parts(fold, store.frame(stored.train), store.frame(stored.test), validation)
