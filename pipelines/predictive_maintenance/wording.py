"""What planners read: intervals that keep an open end open, and why a service is proposed, in short true sentences."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.alarm import Alarm
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.policy import Action, Decision
from pipelines.predictive_maintenance.targets import Scale

_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Proposal:
    """interval: of the remaining life in words, None where there is none."""

    action: Action
    reason: str
    interval: str | None

    def of_failed(self) -> Self:
        """The same for a machine that has just failed."""
        return replace(
            self,
            action="service_now",
            reason="It failed at this reading; the forecast is what was expected of it.",
        )

    def with_remarks(self, remarks: Sequence[str]) -> Self:
        """With what must be known about the forecast."""
        return replace(self, reason=" ".join([self.reason, *remarks]))


@dataclass(frozen=True, slots=True)
class Words:
    """Writes times with as many digits as a forecast up to the cap is worth."""

    scale: Scale
    time_unit: str

    @property
    def digits(self) -> int:
        """Decimals: a hundredth of the cap is more than is known."""
        return max(0, 1 - math.floor(math.log10(self.scale.cap)))

    def number(self, value: float) -> str:
        """A time without its unit."""
        return f"{value:,.{self.digits}f}"

    def time(self, value: float) -> str:
        """A time with its unit."""
        return f"{self.number(value)} {self.time_unit}"

    def interval(self, low: float, high: float | None) -> str:
        """Both ends, rounded outwards: `40 to 71 cycles`; `>= 40 cycles` where the upper end is open (None)."""
        unit = 10.0**-self.digits
        low = math.floor(low / unit + _NOISE) * unit
        if high is None:
            return f">= {self.time(low)}"
        return f"{self.number(low)} to {self.time(math.ceil(high / unit - _NOISE) * unit)}"


def by_forecast(table: pl.DataFrame, decision: Decision, words: Words) -> Iterator[Proposal]:
    """From remaining lives with their intervals, see `Calibrated.completed`."""
    threshold = words.time(decision.threshold)
    reasons = {
        "service_now": f"at or below the {threshold} at which a service costs least",
        "plan_service": f"within {words.time(words.scale.horizon)} of the {threshold} at which a service costs least",
        "run_on": f"more than the {words.time(decision.plan_by)} from which on a service is planned",
    }
    actions = decision.action(table[FORECAST].to_numpy())
    rows = table.select(FORECAST, "low", pl.col("high").fill_nan(None)).rows()
    for action, (rul, low, high) in zip(actions, rows, strict=True):
        interval = words.interval(low, high)
        yield Proposal(action, f"About {words.time(rul)} left ({interval}), {reasons[action]}.", interval)


def by_anomaly(scores: np.ndarray, alarm: Alarm) -> Iterator[Proposal]:
    """From anomaly scores, of a fleet without failures to learn from."""
    for action, score in zip(alarm.action(scores), scores, strict=True):
        relation = "above" if action == "plan_service" else "not above"
        reason = (
            f"Anomaly score {score:.2f}, {relation} {alarm.threshold:.2f}: {alarm.quiet_share:.0%} of usual operation "
            "stays at or below that."
        )
        yield Proposal(action, reason, None)
