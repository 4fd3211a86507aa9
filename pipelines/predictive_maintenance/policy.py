"""When to service: the cheapest threshold on the forecast, and what it costs beside what planners do without one.

A policy is played on the recorded lives of machines that the network had not seen: reading by reading, a service is
ordered when the forecast says so, and done `lead_time` later unless the machine has failed by then. What counts is the
cost for each unit of time in operation (renewal reward: Barlow and Proschan 1965). A machine that was still running
when its record ended adds its time.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.config import DecisionConfig, MaintenanceConfig
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.targets import Scale
from shared.evaluation.bootstrap import metric_with_interval

Action = Literal["service_now", "plan_service", "run_on"]
TITLES = {
    "forecast": "Service by forecast",
    "fixed_interval": "Fixed interval",
    "run_to_failure": "Run to failure",
    "perfect": "Perfect foresight",
}
_NUM_THRESHOLDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came of each life, arrays of shape (lives,): time in operation, and whether it ended in a failure or in a
    service; neither where the record ends before."""

    unit: np.ndarray
    time: np.ndarray
    failed: np.ndarray
    serviced: np.ndarray

    def cost(self, decision: DecisionConfig) -> np.ndarray:
        """Cost of each life."""
        return decision.cost_failure * self.failed + decision.cost_service * self.serviced

    def rate(self, decision: DecisionConfig) -> float:
        """Cost for each unit of time in operation."""
        return float(self.cost(decision).sum() / self.time.sum())


@dataclass(frozen=True, slots=True, eq=False)
class RecordedLives:
    """Lives that were forecast reading by reading, in the order of the readings.

    offsets: int64 of shape (lives + 1,). age and signal (remaining life by which a service is ordered) of shape
    (rows,). length: age at failure, or at the end of the record where `failed` is False; (lives,).
    """

    unit: np.ndarray
    offsets: np.ndarray
    age: np.ndarray
    signal: np.ndarray
    length: np.ndarray
    failed: np.ndarray

    @classmethod
    def of(cls, table: pl.DataFrame, signal: np.ndarray) -> Self:
        """From a table of `forecasts.facts`, whose readings of a life are together and in order."""
        life = pl.struct("unit_id", "life").rle_id()
        starts = np.flatnonzero(
            np.diff(table.select(life).to_series().to_numpy().astype(np.int64), prepend=-1)
        )
        offsets = np.append(starts, table.height)
        last = offsets[1:] - 1
        censored = table["is_censored"].to_numpy()[last]
        left = np.where(censored, 0.0, table["remaining"].to_numpy()[last])
        age = table["age"].to_numpy()
        units = table["unit_id"].rank("dense").to_numpy()[starts]
        return cls(units, offsets, age, signal, age[last] + left, ~censored)

    def taken(self, lives: np.ndarray) -> Self:
        """Some of the lives, by their numbers."""
        rows = [np.arange(self.offsets[life], self.offsets[life + 1]) for life in lives]
        sizes = np.array([len(one) for one in rows], dtype=np.int64)
        chosen = np.concatenate(rows) if rows else np.array([], dtype=np.int64)
        return type(self)(
            self.unit[lives],
            np.concatenate([[0], np.cumsum(sizes)]),
            self.age[chosen],
            self.signal[chosen],
            self.length[lives],
            self.failed[lives],
        )

    def by_forecast(self, threshold: float, decision: DecisionConfig) -> Played:
        """A service is ordered at the first reading whose signal is at most the threshold."""
        ordered = np.full(len(self.length), np.inf)
        alarms = np.flatnonzero(self.signal <= threshold)
        life = np.searchsorted(self.offsets, alarms, side="right") - 1
        first = np.unique(life, return_index=True)
        ordered[first[0]] = self.age[alarms[first[1]]]
        return self._ended(ordered + decision.lead_time)

    def by_age(self, interval: float) -> Played:
        """A service at a fixed age."""
        return self._ended(np.full(len(self.length), interval))

    def run_to_failure(self) -> Played:
        """Nothing is done before a failure."""
        return self._ended(np.full(len(self.length), np.inf))

    def with_foresight(self) -> Played:
        """A service at the very moment before each failure: what no policy can beat."""
        return Played(self.unit, self.length, np.zeros(len(self.length), dtype=bool), self.failed)

    def _ended(self, service_at: np.ndarray) -> Played:
        # whose record ends before the service is due was still running: nothing has come of it yet
        serviced = service_at < self.length
        return Played(self.unit, np.minimum(service_at, self.length), self.failed & ~serviced, serviced)


def best_threshold(lives: RecordedLives, decision: DecisionConfig) -> float:
    """The threshold with the lowest cost rate on these lives; of equal ones the lowest, which orders later."""
    return _cheapest(_thresholds(lives), lambda threshold: lives.by_forecast(threshold, decision), decision)


def cost_curve(lives: RecordedLives, decision: DecisionConfig) -> list[dict[str, float]]:
    """What comes of these lives at every threshold, ascending: failures, services and time of all in operation."""
    curve = []
    for threshold in _thresholds(lives):
        played = lives.by_forecast(float(threshold), decision)
        ended = {"failures": float(played.failed.sum()), "services": float(played.serviced.sum())}
        curve.append({"threshold": float(threshold), **ended, "time": float(played.time.sum())})
    return curve


def best_interval(lives: RecordedLives, decision: DecisionConfig) -> float:
    """The fixed age of service with the lowest cost rate on these lives."""
    grid = np.unique(np.quantile(lives.length, np.linspace(0.0, 1.0, _NUM_THRESHOLDS)))
    return _cheapest(grid, lives.by_age, decision)


def play(lives: RecordedLives, fold: np.ndarray, decision: DecisionConfig) -> dict[str, Played]:
    """All policies on all lives. fold: of each life; its threshold and interval come from the other folds' lives."""
    parts: dict[str, list[Played]] = {name: [] for name in TITLES}
    for number in np.unique(fold):
        others, own = lives.taken(np.flatnonzero(fold != number)), lives.taken(np.flatnonzero(fold == number))
        parts["forecast"].append(own.by_forecast(best_threshold(others, decision), decision))
        parts["fixed_interval"].append(own.by_age(best_interval(others, decision)))
        parts["run_to_failure"].append(own.run_to_failure())
        parts["perfect"].append(own.with_foresight())
    return {name: _joined(played) for name, played in parts.items()}


def policies_document(out_of_fold: pl.DataFrame, scale: Scale, config: MaintenanceConfig) -> dict[str, Any]:
    """What each policy costs on the lives of the training machines, as plain values: rate with its interval over
    machines, failures and services; threshold and interval of the table; the forecast at every threshold."""
    decision = config.decision
    lives = RecordedLives.of(out_of_fold, out_of_fold[FORECAST].to_numpy())
    fold = out_of_fold["fold"].to_numpy()[lives.offsets[:-1]]
    played = play(lives, fold, decision)
    settings: dict[str, Any] = {
        "groups": lives.unit,
        "higher_is_better": False,
        "num_replicates": config.evaluation.num_bootstraps,
        "seed": config.seed,
    }
    rows = {}
    for name, one in played.items():
        rate = metric_with_interval(f"{name}/cost_rate", _rate, one.time, one.cost(decision), **settings)
        rows[name] = {
            "cost_rate": rate.to_json(),
            "failures": int(one.failed.sum()),
            "services": int(one.serviced.sum()),
            "mean_time": float(one.time.mean()),
        }
    return {
        "policies": rows,
        "lives": len(lives.length),
        "failed_lives": int(lives.failed.sum()),
        "decision": decide(out_of_fold, scale, decision).to_json(),
        "curve": cost_curve(lives, decision),
        "fixed_interval": best_interval(lives, decision),
        "costs": decision.model_dump(),
    }


def decide(out_of_fold: pl.DataFrame, scale: Scale, decision: DecisionConfig) -> "Decision":
    """The decision that is served: its threshold from all lives; what may fail within the horizon is planned."""
    lives = RecordedLives.of(out_of_fold, out_of_fold[FORECAST].to_numpy())
    threshold = best_threshold(lives, decision)
    return Decision(threshold, threshold + scale.horizon)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is served. threshold: service_now at or below this remaining life; plan_by: plan_service at or below this;
    both in the fleet's time unit, compared with the estimated remaining life."""

    threshold: float
    plan_by: float

    def action(self, signal: np.ndarray) -> list[Action]:
        """The proposal for each signal."""
        return [
            "service_now"
            if value <= self.threshold
            else "plan_service"
            if value <= self.plan_by
            else "run_on"
            for value in signal
        ]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**document)


def _thresholds(lives: RecordedLives) -> np.ndarray:
    grid: np.ndarray = np.unique(np.quantile(lives.signal, np.linspace(0.0, 1.0, _NUM_THRESHOLDS)))
    return grid


def _cheapest(grid: np.ndarray, policy: Callable[[float], Played], decision: DecisionConfig) -> float:
    rates = [policy(float(value)).rate(decision) for value in grid]
    return float(grid[int(np.argmin(rates))])


def _rate(time: np.ndarray, cost: np.ndarray) -> float:
    return float(cost.sum() / time.sum())


def _joined(parts: list[Played]) -> Played:
    return Played(*(np.concatenate([getattr(part, name) for part in parts]) for name in Played.__slots__))
