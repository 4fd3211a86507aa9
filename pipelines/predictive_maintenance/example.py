"""A fleet to try scoring with: generated machines in the middle of their lives."""

import polars as pl

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.generator import generate
from pipelines.predictive_maintenance.protocol import divide, forecast_rows


def running_fleet(config: MaintenanceConfig) -> pl.DataFrame:
    """The generated machines that are not trained on, each up to the moment from which the test forecasts it.

    In the form of the contract. `config` is that of a model whose source is `synthetic`: another one knows other
    sensors.
    """
    data, protocol = config.data, config.protocol
    made = generate(data.num_units, data.num_sensors, data.num_regimes, data.max_life, config.seed)
    fleet = Fleet.of(made.frame, made.schema)
    units = divide(fleet, protocol.test_share, protocol.num_folds, config.seed).test
    moments = pl.DataFrame(
        {
            "unit_id": [fleet.unit_names[unit] for unit in units],
            "moment": fleet.time[forecast_rows(fleet, units, config.seed)],
        }
    )
    readings = made.frame.join(moments, on="unit_id", maintain_order="left")
    return readings.filter(pl.col("time") <= pl.col("moment")).drop("moment")
