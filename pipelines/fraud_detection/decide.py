"""Which transactions are looked at: the budget of the analysts, and the point from which looking does not pay."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import DecisionConfig
from shared.evaluation.thresholds import budget_threshold

_MAX_POINTS = 300


@dataclass(frozen=True, slots=True)
class Decision:
    """Cut-offs on the scale of the score, fixed on validation.

    alerts_per_day: transactions looked at on a day, the most suspicious first. budget_cut_off: the score from which so
    many a day come on average; it decides for single transactions, whose day is not over. cost_cut_off: the score below
    which looking costs more than it saves; minus infinity, as None in JSON, where no labels tell.
    """

    alerts_per_day: int
    budget_cut_off: float
    cost_cut_off: float = -np.inf

    def of_the_day(self, scores: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Alerts among transactions of whole days: inside the budget and worth it; bool of shape (rows,)."""
        alerts: np.ndarray = (ranks <= self.alerts_per_day) & (scores >= self.cost_cut_off)
        return alerts

    def at_once(self, score: float) -> bool:
        """Whether a single transaction is an alert before its day is over."""
        return score >= max(self.budget_cut_off, self.cost_cut_off)

    def to_json(self) -> dict[str, Any]:
        cost = self.cost_cut_off
        return asdict(self) | {"cost_cut_off": cost if np.isfinite(cost) else None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        cost = document["cost_cut_off"]
        return cls(
            document["alerts_per_day"], document["budget_cut_off"], -np.inf if cost is None else float(cost)
        )


@dataclass(frozen=True, slots=True, eq=False)
class CostCurve:
    """What looking at everything from a cut-off on costs: arrays of shape (points,), highest cut-off first.

    alerts_per_day and cost_per_day are means over days; the cost is that of looking at the alerts and of the frauds
    that were missed, in the currency of the table.
    """

    cut_off: np.ndarray
    alerts_per_day: np.ndarray
    cost_per_day: np.ndarray

    @property
    def cheapest(self) -> int:
        """The point of the lowest cost; of equal ones, that with the fewest alerts."""
        return int(np.argmin(self.cost_per_day))

    def thinned(self) -> "CostCurve":
        """At most a few hundred points, the cheapest among them: evenly over alerts and over their logarithm."""
        size = len(self.cut_off)
        even = np.linspace(0, size - 1, _MAX_POINTS // 2)
        steep = np.geomspace(1, size, _MAX_POINTS // 2) - 1
        rows = np.unique(np.r_[even, steep].round().astype(int))
        rows = np.unique(np.r_[rows, self.cheapest])
        return CostCurve(self.cut_off[rows], self.alerts_per_day[rows], self.cost_per_day[rows])

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in self.__slots__}


def cost_curve(labelled: pl.DataFrame, scores: np.ndarray, config: DecisionConfig) -> CostCurve:
    """Costs of every cut-off on transactions with time, amount and is_fraud, and their scores of shape (rows,)."""
    num_days = num_days_of(labelled)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    fraud = labelled["is_fraud"].to_numpy()[order] == 1
    at_stake = np.where(fraud, labelled["amount"].to_numpy()[order], 0.0) * config.lost_share
    saved = np.concatenate([[0.0], np.cumsum(at_stake)])
    alerts = np.arange(len(ranked) + 1)
    cost = alerts * config.cost_per_alert + saved[-1] - saved
    # a cut-off takes all equal scores or none
    ends = np.append(True, np.append(np.diff(ranked) != 0, True)) if len(ranked) else np.array([True])
    cut_off = np.concatenate([[np.nextafter(ranked[0], np.inf)], ranked]) if len(ranked) else np.array([0.0])
    return CostCurve(cut_off[ends], alerts[ends] / num_days, cost[ends] / num_days)


def choose(validation: pl.DataFrame, scores: np.ndarray, config: DecisionConfig) -> Decision:
    """Cut-offs from validation transactions, with costs where it is known of any whether it was fraud."""
    budget = budget_threshold(scores, config.alerts_per_day * num_days_of(validation))
    known = validation["is_fraud"].is_not_null().to_numpy()
    if not validation["is_fraud"].eq(1).any():
        return Decision(config.alerts_per_day, budget.value)
    curve = cost_curve(validation.filter(known), scores[known], config)
    return Decision(config.alerts_per_day, budget.value, float(curve.cut_off[curve.cheapest]))


def num_days_of(frame: pl.DataFrame) -> int:
    """Days in UTC with a transaction, at least 1."""
    return max(1, frame["time"].dt.date().n_unique())
