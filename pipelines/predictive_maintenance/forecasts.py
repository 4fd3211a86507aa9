"""Forecasts of many readings side by side with what came true: the table that all numbers are computed from."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from torch import Tensor

from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.model import FAILS, HIGH, LOW, RUL
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.train import Trainer, outputs
from shared.training.fit import FitResult

# Names of what a `CnnLstm` says, in the fleet's time unit; failing as log-odds.
FORECAST, FORECAST_LOW, FORECAST_HIGH, LOG_ODDS = "forecast", "forecast_low", "forecast_high", "log_odds"


def facts(fleet: Fleet, rows: np.ndarray) -> pl.DataFrame:
    """What is known of some readings of a fleet on the grid: unit_id, life, time, age, remaining, is_censored and
    time_unit.

    remaining: time to the failure, or a lower bound of it where is_censored.
    """
    life = fleet.row_life[rows]
    names = np.array(fleet.unit_names, dtype=object)
    return pl.DataFrame(
        {
            "unit_id": pl.Series(names[fleet.lives.unit[life]], dtype=pl.String),
            "life": fleet.lives.number[life],
            "time": fleet.time[rows],
            "age": fleet.age()[rows],
            "remaining": fleet.remaining()[rows],
            "is_censored": fleet.is_censored()[rows],
            "time_unit": pl.repeat(fleet.time_unit, len(rows), eager=True),
        }
    )


def as_columns(found: np.ndarray, scale: Scale) -> list[pl.Series]:
    """Outputs of a `CnnLstm`, (rows, 4), as columns in the fleet's time unit; the estimate from 0 to the cap."""
    return [
        pl.Series(FORECAST, np.clip(found[:, RUL], 0.0, 1.0) * scale.cap),
        pl.Series(FORECAST_LOW, found[:, LOW] * scale.cap),
        pl.Series(FORECAST_HIGH, found[:, HIGH] * scale.cap),
        pl.Series(LOG_ODDS, found[:, FAILS]),
    ]


def out_of_fold(
    fleet: Fleet, folds: Sequence[np.ndarray], trainer: Trainer
) -> tuple[pl.DataFrame, list[FitResult]]:
    """Every reading of the training machines, forecast by a network that was fitted to the other folds alone; and
    its fold; and how each network was trained.

    fleet: as it was read. folds: units of each part. Grid, regimes and scaling are fitted anew for each, too.
    """
    parts, results = [], []
    for number, held_out in enumerate(folds):
        others = np.concatenate([units for place, units in enumerate(folds) if place != number])
        train = fleet.of_units(np.sort(others))
        preparation = trainer.prepare(train)
        network, result = trainer.forecaster(
            trainer.learnable(train, preparation), trainer.config.seed, f"fold-{number}"
        )
        found = forecast(network.eval(), fleet.of_units(held_out), preparation, trainer)
        parts.append(found.with_columns(fold=pl.lit(number)))
        results.append(result)
    return pl.concat(parts), results


def forecast(
    network: Callable[[Tensor], Tensor], fleet: Fleet, preparation: Preparation, trainer: Trainer
) -> pl.DataFrame:
    """Every reading of a fleet: facts and forecasts."""
    data = trainer.learnable(fleet, preparation)
    rows = np.arange(data.fleet.num_rows)
    return facts(data.fleet, rows).with_columns(
        as_columns(outputs(network, data.inputs.windows, rows), trainer.scale)
    )
