"""Intervals that keep their promise, and probabilities: fixed on forecasts of machines that the network had not seen.

Conformalised quantile regression (Romano, Patterson and Candès 2019): the interval of the network is widened, or
narrowed, by what it takes to hold the promised share of the out-of-fold machines; whole machines are what is drawn
anew. That is done apart for forecasts near, on the way to and far from failure, because errors differ there, and near
failure is where an interval counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.forecasts import FORECAST, FORECAST_HIGH, FORECAST_LOW, LOG_ODDS
from pipelines.predictive_maintenance.protocol import EARLIEST_SHARE, LATEST_SHARE
from pipelines.predictive_maintenance.targets import Scale
from shared.evaluation.calibration import Calibration, calibration_from_json
from shared.evaluation.choose_calibration import choose_calibration
from shared.evaluation.conformal import conformal_quantile, interval_scores

STAGES = ("near failure", "on the way", "far from failure")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """widening: what is added to both ends of the interval at each of `STAGES`, thirds of the cap by the forecast, in
    the fleet's time unit. probability: from log-odds of failing within the horizon."""

    scale: Scale
    coverage: float
    widening: tuple[float, ...]
    num_units: tuple[int, ...]
    probability: Calibration
    reason: str

    @classmethod
    def fit(cls, table: pl.DataFrame, scale: Scale, coverage: float, seed: int) -> Self:
        """From out-of-fold forecasts (`forecasts.out_of_fold`) of lives whose end is known.

        Readings count that are as far into their life as those that test machines are forecast from. Those of the
        first days are easy, and with them intervals are too narrow later on: on C-MAPSS FD001 they hold 87 instead of
        91 % of such moments of machines that were not calibrated on (2026-11).
        """
        share = pl.col("age") / (pl.col("age") + pl.col("remaining"))
        known = table.filter(~pl.col("is_censored") & share.is_between(EARLIEST_SHARE, LATEST_SHARE))
        units = known["unit_id"].rank("dense").to_numpy()
        low, high = (known[name].to_numpy() for name in (FORECAST_LOW, FORECAST_HIGH))
        scores = interval_scores(np.minimum(known["remaining"].to_numpy(), scale.cap), low, high)
        stage = stage_of(known[FORECAST].to_numpy(), scale)
        everywhere = conformal_quantile(scores, coverage, groups=units)
        widening, num_units = [], []
        for number in range(len(STAGES)):
            chosen = stage == number
            num_units.append(len(np.unique(units[chosen])))
            own = (
                conformal_quantile(scores[chosen], coverage, groups=units[chosen]) if chosen.any() else np.inf
            )
            widening.append(own if np.isfinite(own) else everywhere)
        return cls(scale, coverage, tuple(widening), tuple(num_units), *_probability(table, scale, seed))

    def completed(self, table: pl.DataFrame) -> pl.DataFrame:
        """Forecasts with low, high and failure_probability, see `interval` and `failure_probability`."""
        low, high = self.interval(table)
        return table.with_columns(
            low=pl.Series(low),
            high=pl.Series(high),
            failure_probability=pl.Series(self.failure_probability(table)),
        )

    def interval(self, table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the remaining life of each row, from 0 on; NaN where the upper end is open.

        A network that learnt remaining life up to the cap cannot say more than that it lies beyond.
        """
        add = np.array(self.widening)[stage_of(table[FORECAST].to_numpy(), self.scale)]
        low = np.clip(table[FORECAST_LOW].to_numpy() - add, 0.0, self.scale.cap)
        high = np.maximum(table[FORECAST_HIGH].to_numpy() + add, low)
        return low, np.where(high >= self.scale.cap, np.nan, high)

    def failure_probability(self, table: pl.DataFrame) -> np.ndarray:
        """Probability of failing within the horizon, of each row."""
        return self.probability.probability(table[LOG_ODDS].to_numpy())

    def to_json(self) -> dict[str, Any]:
        return {
            "cap": self.scale.cap,
            "horizon": self.scale.horizon,
            "coverage": self.coverage,
            # JSON knows no infinity: null is an interval without any promise
            "widening": [value if np.isfinite(value) else None for value in self.widening],
            "num_units": list(self.num_units),
            "probability": self.probability.to_json(),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            Scale(document["cap"], document["horizon"]),
            document["coverage"],
            tuple(np.inf if value is None else value for value in document["widening"]),
            tuple(document["num_units"]),
            calibration_from_json(document["probability"]),
            document["reason"],
        )


def stage_of(forecast: np.ndarray, scale: Scale) -> np.ndarray:
    """Number of the stage of each forecast, see `STAGES`."""
    share = forecast / scale.cap * len(STAGES)
    return np.clip(share.astype(np.int64), 0, len(STAGES) - 1)


def _probability(table: pl.DataFrame, scale: Scale, seed: int) -> tuple[Calibration, str]:
    is_known = ~pl.col("is_censored") | (pl.col("remaining") > scale.horizon)
    known = table.filter(is_known).with_columns(fails=pl.col("remaining") <= scale.horizon)
    choice = choose_calibration(
        known[LOG_ODDS].to_numpy(),
        known["fails"].to_numpy().astype(np.int64),
        candidates=("none", "temperature", "platt"),
        groups=known["unit_id"].to_numpy(),
        seed=seed,
    )
    return choice.calibration, choice.reason
