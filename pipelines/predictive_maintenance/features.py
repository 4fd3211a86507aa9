"""Readings to what networks see: on the grid, by regime, on one scale; fitted on training units alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.grid import Grid, typical_step
from pipelines.predictive_maintenance.regimes import Regimes
from pipelines.predictive_maintenance.scaling import Scaling
from pipelines.predictive_maintenance.schema import Role
from shared.errors import RequestError

# Means of fewer values than this are off by more than a tenth of the spread.
MIN_VALUES = 100


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A fleet as networks see it: on the grid, with the channels kept, scaled; 0, their mean, where nothing is known.

    regime: int64 of shape (rows,), at the last reading. is_unseen: bool of shape (rows,), run there in a way that
    training did not have.
    """

    fleet: Fleet
    regime: np.ndarray
    is_unseen: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Scaled values, float32 of shape (rows, channels kept)."""
        return self.fleet.values

    def columns_of(self, role: Role) -> np.ndarray:
        """Positions of the kept channels of a role in `values`."""
        return self.fleet.columns_of(role)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels kept, in the order of `values`."""
        return tuple(channel.name for channel in self.fleet.channels)


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """What was fitted to the training units: the step of the grid, the operating regimes, the scaling within each.

    step: in the fleet's time unit. max_gap_steps: see `Grid`. limit: scaled values are cut to +- this.
    """

    step: float
    max_gap_steps: float
    limit: float
    regimes: Regimes
    scaling: Scaling

    @classmethod
    def fit(cls, train: Fleet, seed: int, *, max_gap_steps: float = 10.0, limit: float = 10.0) -> Self:
        """From the training units alone. Raises RequestError where no sensor ever changes."""
        settings = train.values[:, train.columns_of("setting")]
        regimes = Regimes.fit(settings, seed)
        # Where settings jump between regimes, what is left of them within one is noise.
        used = train.columns_of("sensor") if regimes.num_regimes > 1 else np.arange(len(train.channels))
        names = [train.channels[column].name for column in used]
        values = np.where(regimes.is_ambiguous(settings)[:, None], np.nan, train.values[:, used])
        scaling = Scaling.fit(values, regimes.assign(settings), regimes.num_regimes, names, MIN_VALUES)
        sensors = {channel.name for channel in train.channels if channel.role == "sensor"}
        if not sensors & set(scaling.names):
            raise RequestError(
                f"Expected a sensor that changes. Received {len(sensors)} that never do within an operating regime."
            )
        return cls(typical_step(train), max_gap_steps, limit, regimes, scaling)

    def apply(self, fleet: Fleet) -> Prepared:
        """Any fleet of the same channels, as training saw it."""
        settings = fleet.values[:, fleet.columns_of("setting")]
        regime = self.regimes.assign(settings)
        position = {channel.name: place for place, channel in enumerate(fleet.channels)}
        kept = [position[name] for name in self.scaling.names]
        # Scaled before it is carried: a value that was seen in one regime would be far off by the mean of another.
        scaled = self.scaling.transform(fleet.values[:, kept], regime, self.limit)
        scaled[self.regimes.is_ambiguous(settings)] = np.nan
        grid = Grid.of(fleet, self.step, self.max_gap_steps)
        gridded = grid.fleet(fleet, scaled, tuple(fleet.channels[place] for place in kept))
        filled = replace(gridded, values=np.nan_to_num(gridded.values, nan=0.0))
        return Prepared(filled, regime[grid.source], self.regimes.is_unseen(settings)[grid.source])

    def notes(self) -> Iterator[str]:
        """What a reader of the report should know."""
        if self.regimes.num_regimes > 1:
            yield (
                f"{self.regimes.num_regimes} operating regimes were found; sensors are scaled within each, and the "
                "settings serve to tell regimes apart."
            )
        if self.scaling.dropped:
            yield f"Left out because they never change within a regime: {', '.join(self.scaling.dropped)}."
        sparse = int(self.scaling.borrowed.any(axis=1).sum())
        if sparse:
            yield f"{sparse} regimes have too few values of some channel and are scaled by those of all rows."

    def to_json(self) -> dict[str, Any]:
        plain = {"step": self.step, "max_gap_steps": self.max_gap_steps, "limit": self.limit}
        return {**plain, "regimes": self.regimes.to_json(), "scaling": self.scaling.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            float(document["step"]),
            float(document["max_gap_steps"]),
            float(document["limit"]),
            Regimes.from_json(document["regimes"]),
            Scaling.from_json(document["scaling"]),
        )
