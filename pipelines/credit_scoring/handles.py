"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.schema import LenderSchema
from pipelines.credit_scoring.score import Scorer
from shared.data.store import Ref
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored
from shared.training.runtime import single_thread


class Ingested(IngestedTable):
    """Contract-valid applications with an outcome, and how this lender's columns are read."""

    lender: LenderSchema


class Divided(Handle):
    """The three parts and what the leak audit said of them."""

    train: Ref
    validation: Ref
    test: Ref
    method: str
    audit: dict[str, Any]


class Fitted(Handle):
    """The trained, calibrated scorer as a stored folder, and the record of its training."""

    scorer: Ref
    training: dict[str, Any]
    calibration_reason: str


@contextmanager
def opened(stored: Ref, config: CreditConfig) -> Iterator[Scorer]:
    """A stored scorer with the configuration of this run, from a scratch folder: for a few thousand rows at a time."""
    with restored(stored) as folder, single_thread():
        yield replace(Scorer.load(folder), config=config)
