"""What every model says of the readings of the test machines: the table that the evaluation is computed from."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.baselines import baseline_windows, fit_baselines, window_statistics
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.model import RUL
from pipelines.predictive_maintenance.protocol import forecast_rows
from pipelines.predictive_maintenance.score import Scorer, in_float64
from pipelines.predictive_maintenance.targets import Targets
from pipelines.predictive_maintenance.train import outputs


def forecast_test(scorer: Scorer, train: Fleet, test: Fleet) -> pl.DataFrame:
    """Facts and forecasts of every reading of the test machines, see `TestResults`; baselines are fitted to `train`."""
    seen = scorer.seen(test)
    fleet = seen.prepared.fleet
    table = scorer.forecasts(seen, np.arange(fleet.num_rows))
    is_last = np.zeros(fleet.num_rows, dtype=bool)
    is_last[forecast_rows(fleet, np.arange(fleet.num_units), scorer.config.seed)] = True
    table = table.with_columns(is_last=pl.Series(is_last))
    if scorer.forecaster is None:
        return table
    learnt = scorer.preparation.apply(train)
    targets = Targets.of(learnt.fleet, scorer.scale)
    baselines = fit_baselines(learnt.fleet, targets, baseline_windows(learnt), scorer.scale, scorer.config)
    statistics, age = window_statistics(baseline_windows(seen.prepared)), table["age"].to_numpy()
    return table.with_columns(
        pl.Series(name, forecast(statistics, age)) for name, forecast in baselines.items()
    )


def member_forecasts(scorer: Scorer, test: Fleet, table: pl.DataFrame) -> Mapping[str, np.ndarray]:
    """What each single network says of the rows by which the test is judged, from 0 to the cap, by its seed.

    table: see `forecast_test`.
    """
    assert scorer.forecaster is not None, "there is no network"
    judged = table.select((pl.col("is_last") & ~pl.col("is_censored")).arg_true()).to_series()
    rows = judged.to_numpy().astype(np.int64)
    windows = scorer.seen(test).inputs.windows
    found = {}
    for number, network in enumerate(scorer.forecaster.network.members):
        shares = outputs(in_float64(network), windows, rows)[:, RUL]
        found[str(scorer.config.seed + number)] = np.clip(shares, 0.0, 1.0) * scorer.scale.cap
    return found
