"""From a divided fleet to what is served: with failures a forecaster of remaining life, without an alarm."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.alarm import Alarm
from pipelines.predictive_maintenance.calibrate import Calibrated
from pipelines.predictive_maintenance.explainer import normal_window
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.forecasts import out_of_fold
from pipelines.predictive_maintenance.policy import decide
from pipelines.predictive_maintenance.protocol import Division
from pipelines.predictive_maintenance.schema import ReadingsSchema
from pipelines.predictive_maintenance.score import Forecaster, Scorer
from pipelines.predictive_maintenance.targets import has_failures, healthy_rows
from pipelines.predictive_maintenance.train import Trainer, outputs
from shared.training.fit import training_record


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What training gives. out_of_fold: see `forecasts.out_of_fold`, None without failures. record: plain values of
    the training, `out_of_fold`, `network` and `autoencoder` as `training_record`, `calibration`; None for what there is
    not."""

    scorer: Scorer
    out_of_fold: pl.DataFrame | None
    record: dict[str, Any]


def can_forecast(fleet: Fleet, division: Division) -> bool:
    """Whether there are failures enough to learn remaining life from, whichever fold is left out."""
    return all(has_failures(fleet, division.others(number)) for number in range(len(division.folds)))


def fitted_to(division: Division, *, forecasts: bool) -> np.ndarray:
    """The units that the served networks are fitted to.

    All training units; without failures the last fold stays out: the alarm is fixed on it.
    """
    return division.train if forecasts else division.others(len(division.folds) - 1)


def fit_forecaster(
    fleet: Fleet, division: Division, preparation: Preparation, schema: ReadingsSchema, trainer: Trainer
) -> Outcome:
    """Networks for remaining life, with intervals, probabilities and costs from out-of-fold forecasts, and the
    autoencoder of healthy operation. preparation: of the training units."""
    config, scale = trainer.config, trainer.scale
    unseen, folds = out_of_fold(fleet, division.folds, trainer)
    calibrated = Calibrated.fit(unseen, scale, config.protocol.coverage, config.seed)
    data = trainer.learnable(fleet.of_units(division.train), preparation)
    network, results = trainer.ensemble(data, "network")
    healthy = healthy_rows(data.fleet, data.targets, scale)
    autoencoder, result = trainer.autoencoder(data, healthy, "autoencoder")
    scorer = Scorer(
        config,
        schema,
        scale,
        preparation,
        autoencoder,
        normal_window(data.inputs.windows, healthy),
        forecaster=Forecaster(network, calibrated, decide(unseen, scale, config.decision)),
    )
    record = {
        "out_of_fold": training_record(folds),
        "network": training_record(results),
        "autoencoder": training_record([result]),
        "calibration": calibrated.to_json(),
    }
    return Outcome(scorer, unseen, record)


def fit_alarm(
    fleet: Fleet, division: Division, preparation: Preparation, schema: ReadingsSchema, trainer: Trainer
) -> Outcome:
    """The autoencoder of all readings but those of the last fold, of which the alarm then promises how many it leaves
    quiet. preparation: of the units of the other folds."""
    last = len(division.folds) - 1
    data = trainer.learnable(fleet.of_units(division.others(last)), preparation)
    rows = np.arange(data.fleet.num_rows)
    autoencoder, result = trainer.autoencoder(data, rows, "autoencoder")
    unseen = trainer.learnable(fleet.of_units(division.folds[last]), preparation)
    scores = outputs(autoencoder.eval(), unseen.inputs.windows, np.arange(unseen.fleet.num_rows))
    scorer = Scorer(
        trainer.config,
        schema,
        trainer.scale,
        preparation,
        autoencoder,
        normal_window(data.inputs.windows, rows),
        alarm=Alarm.fit(scores, unseen.fleet.row_unit),
    )
    record = {
        "out_of_fold": None,
        "network": None,
        "autoencoder": training_record([result]),
        "calibration": None,
    }
    return Outcome(scorer, None, record)
