"""What is learnt from each reading: remaining life up to a cap, failing within the horizon, and what is not known.

A machine that still runs says at each reading that it ran on for at least as long as it has since. That is a lower
bound of the remaining life, and where it reaches the cap it is the whole answer.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.predictive_maintenance.config import TargetConfig
from pipelines.predictive_maintenance.fleet import Fleet
from shared.errors import RequestError

MIN_FAILURES = 6
_MIN_HEALTHY = 300
_SHARE_OF_LIFE = 0.6
_SHARE_OF_CAP = 0.25


@dataclass(frozen=True, slots=True)
class Scale:
    """cap: up to which remaining life is forecast; horizon: of failing; both in the fleet's time unit."""

    cap: float
    horizon: float

    @classmethod
    def of(cls, train: Fleet, config: TargetConfig, usual_cap: float | None) -> Self:
        """As configured; else what results on a public set are usually given for (`usual_cap`); else from the lives
        of the training units that failed: 60 % of their median. The horizon: a quarter of the cap.

        Raises RequestError for a horizon beyond the cap.
        """
        cap = config.rul_cap or usual_cap or _rounded(_SHARE_OF_LIFE * _median_life(train))
        horizon = config.horizon or _rounded(_SHARE_OF_CAP * cap)
        if horizon > cap:
            raise RequestError(
                f"Expected target.horizon of at most target.rul_cap, {cap:g} {train.time_unit}: nothing is learnt "
                f"beyond. Received {horizon:g}."
            )
        return cls(cap, horizon)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Arrays of shape (rows,).

    rul: float64, remaining life up to the cap, or a lower bound of it where `is_bound`. fails: 1 where the machine
    fails within the horizon, else 0; not known (`is_known` is False) for those that ran out of sight before.
    """

    rul: np.ndarray
    is_bound: np.ndarray
    fails: np.ndarray
    is_known: np.ndarray

    @classmethod
    def of(cls, fleet: Fleet, scale: Scale) -> Self:
        remaining, censored = fleet.remaining(), fleet.is_censored()
        within = remaining <= scale.horizon
        return cls(
            rul=np.minimum(remaining, scale.cap),
            is_bound=censored & (remaining < scale.cap),
            fails=(within & ~censored).astype(np.float64),
            is_known=~(censored & within),
        )


def has_failures(fleet: Fleet, units: np.ndarray) -> bool:
    """Whether enough of some units were seen to fail to learn remaining life from: at least `MIN_FAILURES`."""
    return int(fleet.of_units(units).lives.failed.sum()) >= MIN_FAILURES


def healthy_rows(fleet: Fleet, targets: Targets, scale: Scale) -> np.ndarray:
    """Rows of a fleet on its grid that show healthy operation, ascending: those as far from failure as the cap.

    Where these are few, the first half of each life stands in.
    """
    far = np.flatnonzero(targets.rul >= scale.cap)
    if len(far) >= _MIN_HEALTHY:
        return far
    place = np.arange(fleet.num_rows) - fleet.offsets[fleet.row_life]
    return np.flatnonzero(2 * place < np.diff(fleet.offsets)[fleet.row_life])


def _median_life(train: Fleet) -> float:
    spans = train.time[train.offsets[1:] - 1] - train.lives.start
    failed = train.lives.failed
    return float(np.median(spans[failed] if failed.any() else spans))


def _rounded(value: float) -> float:
    """To two significant digits, which is all that such a rule is worth."""
    return float(f"{value:.2g}")
