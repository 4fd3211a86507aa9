"""One machine over its time: what would have been forecast at each of its readings, and how its sensors moved."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.data import read_to_score
from pipelines.predictive_maintenance.features import Prepared
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.score import Scorer
from shared.contracts.table import check_table
from shared.training.runtime import single_thread

MOST_READINGS = 160
# One reading is noisy: deviations are means over so many, as in the explanations of a run.
_RECENT = 10


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """forecasts: see `Scorer.forecasts`, by time, the last reading last. deviations: for the same readings `time` and
    a column for each channel, the mean of its last readings in standard deviations from usual operation. latest: a row
    for each channel, of name, title, unit, value and usual, at the last reading. failures: times at which it failed."""

    forecasts: pl.DataFrame
    deviations: pl.DataFrame
    latest: pl.DataFrame
    failures: tuple[float, ...]


def valid_readings(path: Path, scorer: Scorer) -> pl.DataFrame:
    """The readings of a file that keep the contract, in its form. Raises RequestError as scoring the file does."""
    readings = read_to_score(path, scorer.schema)
    return check_table(readings.frame, scorer.schema.contract()).require()


def timeline(
    scorer: Scorer, readings: pl.DataFrame, unit_id: str, most_readings: int = MOST_READINGS
) -> Timeline:
    """The machine `unit_id` of a table valid under the schema's contract; of many readings, evenly spaced ones."""
    fleet = Fleet.of(readings.filter(pl.col("unit_id") == unit_id), scorer.schema)
    seen = scorer.seen(fleet)
    count = seen.prepared.fleet.num_rows
    rows = np.unique(np.linspace(0, count - 1, min(count, most_readings)).round().astype(np.int64))
    with single_thread():
        forecasts = scorer.forecasts(seen, rows)
    names = seen.prepared.names
    deviations = pl.DataFrame(_recent(seen.prepared)[rows], schema=list(names))
    ends = fleet.offsets[1:] - 1
    return Timeline(
        forecasts=forecasts,
        deviations=deviations.insert_column(0, forecasts["time"]),
        latest=_latest(scorer, seen.prepared, int(rows[-1])),
        failures=tuple(fleet.time[ends[fleet.lives.failed]].tolist()),
    )


def _recent(prepared: Prepared) -> np.ndarray:
    """Mean of the last readings of each row, within its stretch, float64 of shape (rows, channels)."""
    sums = np.concatenate([np.zeros((1, prepared.values.shape[1])), prepared.values.cumsum(0, np.float64)])
    row = np.arange(len(prepared.values))
    first = np.maximum(prepared.fleet.first_row, row - _RECENT + 1)
    means: np.ndarray = (sums[row + 1] - sums[first]) / (row + 1 - first)[:, None]
    return means


def _latest(scorer: Scorer, prepared: Prepared, row: int) -> pl.DataFrame:
    scaling, regime = scorer.preparation.scaling, prepared.regime[row]
    channels = prepared.fleet.channels
    return pl.DataFrame(
        {
            "name": [channel.name for channel in channels],
            "title": [channel.title for channel in channels],
            "unit": [channel.unit for channel in channels],
            "value": scaling.unscaled(prepared.values[row].astype(np.float64), regime),
            "usual": scaling.mean[regime],
        }
    )
