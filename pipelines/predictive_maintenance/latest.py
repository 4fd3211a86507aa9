"""A fleet as the networks see it, and the last reading of each of its machines, from which it is forecast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.predictive_maintenance.features import Prepared
from pipelines.predictive_maintenance.inputs import Inputs

_MAX_NAMES, _MAX_NAME_LENGTH = 3, 40


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A fleet as the networks see it."""

    prepared: Prepared
    inputs: Inputs


@dataclass(frozen=True, slots=True, eq=False)
class Latest:
    """The last reading of each unit of a fleet. rows: where it lies, (units,). table: what is forecast from it."""

    seen: Seen
    rows: np.ndarray
    table: pl.DataFrame

    @property
    def windows(self) -> Tensor:
        """The last window of each unit, (units, L, C)."""
        return self.seen.inputs.windows.gather(torch.from_numpy(self.rows))

    @property
    def has_failed(self) -> np.ndarray:
        """Whether each unit failed at its last reading, (units,)."""
        fleet = self.seen.prepared.fleet
        failed: np.ndarray = fleet.lives.failed[fleet.row_life[self.rows]]
        return failed

    def taken_at(self) -> pl.Series:
        """When each reading was taken, UTC; null where the table does not say."""
        moments = self.seen.prepared.fleet.taken_at
        values = [None] * len(self.rows) if moments is None else moments[self.rows]
        return pl.Series("taken_at", values, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")

    def remarks(self, max_gap_steps: float) -> Iterator[list[str]]:
        """What must be known about the forecast of each unit: sentences, none where all is as in training."""
        prepared, windows = self.seen.prepared, self.seen.inputs.windows
        steps_ago = prepared.fleet.steps_ago
        for row in self.rows:
            found, num_readings = [], int(windows.num_observed[row])
            if prepared.is_unseen[row]:
                found.append("It was last run in a way that training did not have.")
            if num_readings < windows.length:
                found.append(f"Short history: {num_readings} of {windows.length} readings.")
            if steps_ago is not None and len(stale := np.flatnonzero(2 * steps_ago[row] > max_gap_steps)):
                found.append(f"No recent value of {_listed([prepared.names[place] for place in stale])}.")
            yield found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_MAX_NAME_LENGTH] for name in names[:_MAX_NAMES])
    return shown + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
