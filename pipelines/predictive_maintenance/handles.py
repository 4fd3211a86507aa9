"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.protocol import Division
from pipelines.predictive_maintenance.schema import ReadingsSchema
from pipelines.predictive_maintenance.score import Scorer
from pipelines.predictive_maintenance.targets import Scale
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored
from shared.training.runtime import single_thread


class Ingested(IngestedTable):
    """Readings that keep the fleet's contract. given_rul: see `Readings`. warnings: what users must not overlook."""

    fleet_schema: ReadingsSchema
    given_rul: dict[str, float]
    warnings: tuple[str, ...]

    def fleet(self) -> Fleet:
        """The readings as arrays."""
        return Fleet.of(default_store().frame(self.table), self.fleet_schema, self.given_rul)


class Divided(Handle):
    """The fold of each unit, in the order of the fleet, -1 for the test; what was fitted to the training units.

    forecasts: whether there are failures enough to forecast remaining life. cap and horizon: see `Scale`.
    """

    folds: Ref
    is_given: bool
    preparation: Ref
    forecasts: bool
    cap: float
    horizon: float
    method: str
    audit: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def scale(self) -> Scale:
        return Scale(self.cap, self.horizon)

    def division(self) -> Division:
        """The units of each part."""
        fold = default_store().frame(self.folds)["fold"].to_numpy()
        folds = tuple(np.flatnonzero(fold == number) for number in range(fold.max() + 1))
        return Division(folds, np.flatnonzero(fold < 0), self.is_given)


class Fitted(Handle):
    """The scorer as a stored folder, the record of its training, the out-of-fold forecasts; None without failures."""

    scorer: Ref
    record: Ref
    out_of_fold: Ref | None


@contextmanager
def opened(stored: Ref, config: MaintenanceConfig) -> Iterator[Scorer]:
    """A stored scorer with the configuration of this run, read from a scratch folder."""
    with restored(stored) as folder, single_thread():
        yield replace(Scorer.load(folder), config=config)
