"""What planners of stock do: order up to a level, or when the position falls to a reorder point.

The position is what is on the shelf and under way. Levels are a number of units, or a multiple of the forecast until
the next order's delivery has been sold; the strongest rule also leaves out what will have expired by then. Each number
is the one with the lowest mean cost on simulated days.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.dqn_agent.environments.inventory import InventorySettings, InventorySimulator
from pipelines.dqn_agent.environments.rules import Rule
from pipelines.dqn_agent.environments.search import Act, best


@dataclass(frozen=True, slots=True)
class ReorderPoint:
    """(s, S): at or below `reorder` units, order up to `target`, in whole lots rounded up. With reorder = target - 1 it
    is the order-up-to rule. Numbers, or one for each observation."""

    reorder: float | np.ndarray
    target: float | np.ndarray
    settings: InventorySettings
    name: str = "reorder_point"

    def act(self, observations: np.ndarray) -> np.ndarray:
        return _lots(_position(observations, self.settings), self.reorder, self.target, self.settings)

    def describe(self) -> str:
        if self.name == "order_up_to":
            return f"Each day orders up to {self.target:.0f} units on the shelf and under way."
        return f"At or below {self.reorder:.0f} units on the shelf and under way, orders up to {self.target:.0f}."


@dataclass(frozen=True, slots=True)
class ForecastCover:
    """(s, S) in multiples of the forecast from today until the last day before the next delivery but one.

    without_expiring: units that will have expired by the delivery, if demand is as forecast, do not count.
    """

    reorder: float | np.ndarray
    target: float | np.ndarray
    settings: InventorySettings
    without_expiring: bool = False

    @property
    def name(self) -> str:
        """As in tables."""
        return "forecast_cover_by_age" if self.without_expiring else "forecast_cover"

    def act(self, observations: np.ndarray) -> np.ndarray:
        settings = self.settings
        forecasts = observations[:, -settings.num_forecasts :]
        needed = forecasts[:, : settings.lead_time_days + 1].sum(1)
        position = _position(observations, settings)
        if self.without_expiring:
            position = position - _expiring(observations[:, : settings.num_ages], forecasts, settings)
        return _lots(position, self.reorder * needed, self.target * needed, settings)

    def describe(self) -> str:
        counted = ", without what will expire," if self.without_expiring else ""
        return (
            f"When units on the shelf and under way{counted} are at most {self.reorder:.2f} times the forecast of the "
            f"next {self.settings.lead_time_days + 1} days, orders up to {self.target:.2f} times."
        )


def fit(simulator: InventorySimulator, num_days: int, seed: int) -> tuple[Rule, ...]:
    """All rules of stock with their best numbers."""
    settings = simulator.settings
    usual = float(simulator.means.mean()) * (settings.lead_time_days + 1)
    highest = 2 * usual + 1.5 * _usual_batch(simulator)
    levels = np.linspace(0.0, highest, 23)
    multiples = np.linspace(0.0, highest / usual, 23)

    def order_up_to(target: np.ndarray | float) -> ReorderPoint:
        return ReorderPoint(np.ceil(target) - 1, np.ceil(target), settings, "order_up_to")

    def reorder_point(reorder: np.ndarray | float, target: np.ndarray | float) -> ReorderPoint:
        return ReorderPoint(np.floor(reorder), np.ceil(target), settings)

    (level,) = best(simulator, lambda target: order_up_to(target).act, [levels], num_days, seed)
    pair = best(simulator, lambda *both: reorder_point(*both).act, [levels] * 2, num_days, seed, rising=True)
    rules: list[Rule] = [order_up_to(level), reorder_point(*pair)]
    for without_expiring in (False, True) if settings.shelf_life_days else (False,):

        def act_of(reorder: np.ndarray, target: np.ndarray, flag: bool = without_expiring) -> Act:
            return ForecastCover(reorder, target, settings, flag).act

        low, high = best(simulator, act_of, [multiples] * 2, num_days, seed, rising=True)
        rules.append(ForecastCover(low, high, settings, without_expiring))
    return tuple(rules)


def _usual_batch(simulator: InventorySimulator) -> float:
    """Units of an order that balance its cost with keeping them (Harris's square root), if they can be sold."""
    settings, mean = simulator.settings, float(simulator.means.mean())
    most = float(settings.max_lots * settings.lot_units)
    if settings.shelf_life_days:
        most = min(most, settings.shelf_life_days * mean)
    if not settings.holding_cost_eur:
        return most
    return min(most, float(np.sqrt(2 * settings.order_cost_eur * mean / settings.holding_cost_eur)))


def _position(observations: np.ndarray, settings: InventorySettings) -> np.ndarray:
    position: np.ndarray = observations[:, : settings.num_ages + settings.num_due].sum(1)
    return position


def _lots(
    position: np.ndarray, reorder: float | np.ndarray, target: float | np.ndarray, settings: InventorySettings
) -> np.ndarray:
    lots = np.ceil((target - position) / settings.lot_units)
    lots = np.clip(lots, 0, settings.max_lots)
    return np.where(position <= reorder, lots, 0).astype(np.int64)


def _expiring(stock: np.ndarray, forecasts: np.ndarray, settings: InventorySettings) -> np.ndarray:
    """Units that expire before the next delivery, when the oldest are sold first and demand is as forecast."""
    left = stock.astype(np.float64)
    expired = np.zeros(len(left))
    for day in range(min(settings.lead_time_days, settings.num_ages)):
        until = np.cumsum(left, axis=1) - forecasts[:, day, None]
        left = np.clip(until, 0.0, left)
        expired += left[:, 0]
        left = np.concatenate([left[:, 1:], np.zeros((len(left), 1))], axis=1)
    return expired
