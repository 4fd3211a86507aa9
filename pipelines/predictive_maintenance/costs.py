"""What servicing by forecast costs at every threshold, at whatever costs a planner has.

Which lives fail, are serviced, and how long they run depends on the threshold and the lead time, not on the costs. So
from these three, kept for each threshold, the cost for each unit of time follows for any costs. Not imported here is
torch: a page looks at costs before anything is scored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What came of the recorded lives: arrays of one shape, an entry for each way to service them.

    failures and services: how many lives ended so. time: of all lives in operation, in the fleet's time unit.
    """

    failures: np.ndarray
    services: np.ndarray
    time: np.ndarray

    def cost_rate(self, cost_failure: float, cost_service: float) -> np.ndarray:
        """Cost for each unit of time in operation."""
        rate: np.ndarray = (cost_failure * self.failures + cost_service * self.services) / self.time
        return rate


@dataclass(frozen=True, slots=True, eq=False)
class CostCurve:
    """threshold: remaining life at or below which a service is ordered, ascending. by_forecast: outcomes at each.
    run_to_failure and perfect: of what bounds it from both sides."""

    threshold: np.ndarray
    by_forecast: Outcomes
    run_to_failure: Outcomes
    perfect: Outcomes

    @classmethod
    def of(cls, policies: Mapping[str, Any]) -> Self:
        """From what `policies_document` gave."""
        points = policies["curve"]
        columns = {
            name: np.array([point[name] for point in points], dtype=np.float64)
            for name in ("threshold", "failures", "services", "time")
        }
        return cls(
            columns["threshold"],
            Outcomes(columns["failures"], columns["services"], columns["time"]),
            *(_outcomes(policies, name) for name in ("run_to_failure", "perfect")),
        )

    def cheapest(self, cost_failure: float, cost_service: float) -> float:
        """The threshold with the lowest cost rate; of equal ones the lowest, which orders later."""
        return float(self.threshold[int(np.argmin(self.by_forecast.cost_rate(cost_failure, cost_service)))])

    def rate_at(self, threshold: float, cost_failure: float, cost_service: float) -> float:
        """Cost for each unit of time at the threshold of the curve that is nearest to this one."""
        place = int(np.argmin(np.abs(self.threshold - threshold)))
        return float(self.by_forecast.cost_rate(cost_failure, cost_service)[place])


def _outcomes(policies: Mapping[str, Any], name: str) -> Outcomes:
    policy = policies["policies"][name]
    return Outcomes(
        np.array(float(policy["failures"])),
        np.array(float(policy["services"])),
        np.array(policy["mean_time"] * policies["lives"]),
    )
