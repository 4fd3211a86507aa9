"""A generated fleet, as a table and as arrays, and fleets made by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.config import MaintenanceConfig, tiny
from pipelines.predictive_maintenance.fitting import (
    Outcome,
    can_forecast,
    fit_alarm,
    fit_forecaster,
    fitted_to,
)
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.generator import Generated, generate
from pipelines.predictive_maintenance.protocol import Division, divide
from pipelines.predictive_maintenance.schema import Channel, ReadingsSchema
from pipelines.predictive_maintenance.score import Scorer
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.train import Trainer
from shared.contracts.table import check_table
from shared.training.runtime import single_thread

MakeFleet = Callable[..., Fleet]


@pytest.fixture(scope="session")
def generated() -> Generated:
    return generate(60, 12, 3, 200, seed=0)


@pytest.fixture(scope="session")
def fleet(generated: Generated) -> Fleet:
    checked = check_table(generated.frame, generated.schema.contract()).require()
    return Fleet.of(checked, generated.schema)


@pytest.fixture(scope="session")
def make_fleet() -> MakeFleet:
    """A fleet of units with the times given, one sensor `s` and one setting `load`; each unit fails at its end."""

    def make(
        times: Sequence[Sequence[float]],
        sensor: Sequence[float | None] | None = None,
        *,
        ends_failed: bool = True,
        **columns: object,
    ) -> Fleet:
        units = [f"u{unit}" for unit, own in enumerate(times) for _ in own]
        time = [float(moment) for own in times for moment in own]
        failed = [int(place == len(own) - 1 and ends_failed) for own in times for place in range(len(own))]
        values = np.arange(len(time), dtype=float).tolist() if sensor is None else list(sensor)
        base = {"unit_id": units, "time": time, "failed": failed, "load": [1.0] * len(time), "s": values}
        schema = ReadingsSchema(
            name="hand", channels=(Channel(name="load", role="setting"), Channel(name="s"))
        )
        return Fleet.of(pl.DataFrame({**base, **columns}, strict=False), schema)

    return make


@dataclass(frozen=True)
class Small:
    """A generated fleet with its division, and what a short training on it gave."""

    config: MaintenanceConfig
    frame: pl.DataFrame
    schema: ReadingsSchema
    fleet: Fleet
    division: Division
    trainer: Trainer
    outcome: Outcome

    @property
    def scorer(self) -> Scorer:
        return self.outcome.scorer

    def test_frame(self) -> pl.DataFrame:
        """The readings of the test machines."""
        names = [self.fleet.unit_names[unit] for unit in self.division.test]
        return self.frame.filter(pl.col("unit_id").is_in(names))


def _small(generated: Generated, frame: pl.DataFrame) -> Small:
    base = tiny()
    config = base.model_copy(update={"training": base.training.model_copy(update={"min_steps": 40})})
    fleet = Fleet.of(frame, generated.schema)
    division = divide(fleet, config.protocol.test_share, config.protocol.num_folds, config.seed)
    trainer = Trainer(config, Scale.of(fleet.of_units(division.train), config.target, None))
    forecasts = can_forecast(fleet, division)
    preparation = trainer.prepare(fleet.of_units(fitted_to(division, forecasts=forecasts)))
    with single_thread():
        fit = fit_forecaster if forecasts else fit_alarm
        outcome = fit(fleet, division, preparation, generated.schema, trainer)
    return Small(config, frame, generated.schema, fleet, division, trainer, outcome)


@pytest.fixture(scope="session")
def small(generated: Generated) -> Small:
    """With failures: remaining life is forecast."""
    return _small(generated, generated.frame)


@pytest.fixture(scope="session")
def unfailed(generated: Generated) -> Small:
    """The first half of each machine's record, without any failure: an alarm is all there can be."""
    half = pl.col("time") <= pl.col("time").max().over("unit_id") / 2
    return _small(generated, generated.frame.filter(half).with_columns(failed=pl.lit(0, dtype=pl.Int64)))
