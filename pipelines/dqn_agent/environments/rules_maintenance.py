"""What planners of maintenance do: wait for the failure, overhaul at fixed intervals, or by a limit on a sensor.

Each number is the one with the highest mean reward on simulated machines.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.dqn_agent.environments.maintenance import OVERHAUL, RUN, MaintenanceSimulator
from pipelines.dqn_agent.environments.rules import Rule
from pipelines.dqn_agent.environments.search import best

# Places in the observation.
_VIBRATION_TREND, _LOAD, _DAYS_RUN = 2, 4, 5


@dataclass(frozen=True, slots=True)
class RunToFailure:
    """Nothing is done before a failure."""

    name: str = "run_to_failure"

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.full(len(observations), RUN)

    def describe(self) -> str:
        return "Runs until it fails."


@dataclass(frozen=True, slots=True)
class FixedInterval:
    """An overhaul after so many days of running. days: a number, or one for each observation."""

    days: float | np.ndarray
    name: str = "fixed_interval"

    def act(self, observations: np.ndarray) -> np.ndarray:
        return _overhaul(observations[:, _DAYS_RUN] >= self.days)

    def describe(self) -> str:
        return f"Overhauls after {self.days:.0f} days of running."


@dataclass(frozen=True, slots=True)
class ConditionLimit:
    """An overhaul when the trend of the vibration reaches a limit, mm/s."""

    limit: float | np.ndarray
    name: str = "condition_limit"

    def act(self, observations: np.ndarray) -> np.ndarray:
        return _overhaul(observations[:, _VIBRATION_TREND] >= self.limit)

    def describe(self) -> str:
        return f"Overhauls when the vibration is {self.limit:.2f} mm/s above its usual level."


@dataclass(frozen=True, slots=True)
class ConditionLimitByLoad:
    """Another limit on days of low load, when an overhaul costs little production. low: loads below the usual one."""

    limit_at_low_load: float | np.ndarray
    limit: float | np.ndarray
    name: str = "condition_limit_by_load"

    def act(self, observations: np.ndarray) -> np.ndarray:
        limit = np.where(observations[:, _LOAD] < 1, self.limit_at_low_load, self.limit)
        return _overhaul(observations[:, _VIBRATION_TREND] >= limit)

    def describe(self) -> str:
        return (
            f"Overhauls when the vibration is {self.limit:.2f} mm/s above its usual level, on days of low load from "
            f"{self.limit_at_low_load:.2f} mm/s."
        )


def fit(simulator: MaintenanceSimulator, num_days: int, seed: int) -> tuple[Rule, ...]:
    """All rules of maintenance with their best numbers."""
    (interval,) = best(
        simulator, lambda days: FixedInterval(days).act, [np.linspace(5, 150, 30)], num_days, seed
    )
    limits = np.linspace(0.2, 1.0, 17) * simulator.settings.vibration_effect
    (limit,) = best(simulator, lambda limit: ConditionLimit(limit).act, [limits], num_days, seed)
    low, usual = best(
        simulator, lambda low, limit: ConditionLimitByLoad(low, limit).act, [limits] * 2, num_days, seed
    )
    return (
        RunToFailure(),
        FixedInterval(interval),
        ConditionLimit(limit),
        ConditionLimitByLoad(low, usual),
    )


def _overhaul(when: np.ndarray) -> np.ndarray:
    return np.where(when, OVERHAUL, RUN)
