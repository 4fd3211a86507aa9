"""`fieldwork/InventoryControl-v0`: how many lots of a perishable good to order each morning.

A day: the delivery of the morning is on the shelf and an order is placed, which comes `lead_time_days` later. Then
demand comes. A share of the customers takes the freshest units, the others the oldest; what is not there is lost.
Units whose last day it was are thrown away, the rest are kept at a cost.

Demand is negative binomial, its mean the product of `mean_demand`, a factor of the weekday and a level that moves one
step up or down now and then. Planners know the distribution: the forecast that they see is the true mean, as long as
the level stays. No other chance is in it.

The reward is minus the costs of the day, EUR: of placing an order, of keeping units, of each unit thrown away
(purchase and disposal) and of each unit that was asked for in vain (its margin and goodwill). What is bought for units
that are sold is the same under every policy and left out.
"""

from typing import Annotated, Any, Self

import numpy as np
from gymnasium.vector import AutoresetMode
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.dqn_agent.cards import Feature
from pipelines.dqn_agent.environments.simulator import Outcome, SimulatedEnv, SimulatedVectorEnv

HORIZON_DAYS = 200
NUM_WEEKDAYS = 7
_TAIL = 1e-9
# Beyond it the probability of no demand at all is no longer a number that a computer holds.
_LARGEST_MEAN = 500.0

_Factor = Annotated[float, Field(ge=0)]


class InventorySettings(BaseModel):
    """The good, its demand and its costs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean_demand: float = Field(12.0, gt=0, le=1000, description="units a day, at a factor and a level of 1")
    weekday_factors: tuple[_Factor, ...] = Field(
        (0.7, 0.7, 0.8, 1.0, 1.4, 1.7, 0.7), min_length=7, max_length=7, description="from Monday on"
    )
    levels: tuple[_Factor, ...] = Field(
        (0.7, 1.0, 1.4), min_length=1, max_length=20, description="demand of quiet to busy times, as factors"
    )
    level_change: float = Field(0.03, ge=0, le=0.5, description="chance of a level up a day, and of one down")
    dispersion: float = Field(2.0, ge=1, le=100, description="variance of demand over its mean; 1 is Poisson")
    lead_time_days: int = Field(2, ge=0, le=14, description="days from an order to its delivery")
    shelf_life_days: int | None = Field(4, ge=1, le=30, description="days on the shelf; None keeps for ever")
    freshest_first: float = Field(
        0.3, ge=0, le=1, description="share of customers who take the freshest unit"
    )
    lot_units: int = Field(6, ge=1, le=1000, description="units of a lot")
    max_lots: int = Field(10, ge=1, le=1000, description="lots of an order at most")
    order_cost_eur: float = Field(15.0, ge=0, description="of placing an order, EUR")
    holding_cost_eur: float = Field(0.1, ge=0, description="of keeping a unit over night, EUR")
    waste_cost_eur: float = Field(2.5, ge=0, description="of a unit thrown away, EUR")
    lost_cost_eur: float = Field(4.0, ge=0, description="of a unit asked for in vain, EUR")

    @model_validator(mode="after")
    def _mean_within_limit(self) -> Self:
        largest = self.mean_demand * max(self.weekday_factors) * max(self.levels)
        if largest > _LARGEST_MEAN:
            raise ValueError(f"Expected at most {_LARGEST_MEAN:g} units on a mean day. Received {largest:g}.")
        return self

    @property
    def num_ages(self) -> int:
        """Kinds of stock that are told apart."""
        return self.shelf_life_days or 1

    @property
    def num_due(self) -> int:
        """Orders that are under way when the next one is placed."""
        return max(self.lead_time_days - 1, 0)

    @property
    def num_forecasts(self) -> int:
        """Days of the forecast: until the delivery of the next order has to last, and one more."""
        return self.lead_time_days + 2


class InventorySimulator:
    """State: stock by days left, oldest first; orders due in 1, 2, ... days; weekday; level."""

    cost_terms: tuple[str, ...] = ("ordering", "holding", "waste", "lost_sales")
    reward_unit = "EUR"
    num_draws = 3

    def __init__(self, settings: InventorySettings) -> None:
        self.settings = settings
        self.actions = tuple(
            f"order {lots} lots" if lots != 1 else "order 1 lot" for lots in range(settings.max_lots + 1)
        )
        # of shape (levels * weekdays, ...): row level * 7 + weekday
        self.means = settings.mean_demand * np.outer(settings.levels, settings.weekday_factors)
        later = (np.arange(NUM_WEEKDAYS)[:, None] + np.arange(settings.num_forecasts)) % NUM_WEEKDAYS
        self._forecasts = self.means[:, later].reshape(-1, settings.num_forecasts)
        self.demand_probabilities = _probabilities(self.means.ravel(), settings.dispersion)
        cumulative = np.minimum(self.demand_probabilities.cumsum(1), 1.0)
        cumulative[:, -1] = 1.0
        # rows one above the other, each shifted by its number: one search finds the demand of all worlds
        self._steps = (cumulative + np.arange(len(cumulative))[:, None]).ravel()
        self._unit_costs = np.array(
            [
                settings.order_cost_eur,
                settings.holding_cost_eur,
                settings.waste_cost_eur,
                settings.lost_cost_eur,
            ]
        )
        self.features = _features(settings, float(self.means.max()))

    def first(self, draws: np.ndarray) -> np.ndarray:
        """Any weekday and level; a delivery of two usual days has come, and all orders under way are of one day."""
        settings, num = self.settings, len(draws)
        usual = min(round(settings.mean_demand / settings.lot_units), settings.max_lots) * settings.lot_units
        state = np.zeros((num, settings.num_ages + settings.num_due + 2))
        state[:, settings.num_ages - 1] = min(2 * usual, settings.max_lots * settings.lot_units)
        state[:, settings.num_ages : -2] = usual
        state[:, -2] = np.floor(draws[:, 0] * NUM_WEEKDAYS)
        state[:, -1] = np.floor(draws[:, 1] * len(settings.levels))
        return state

    def after(self, state: np.ndarray, action: np.ndarray, draws: np.ndarray) -> Outcome:
        """One day. draws: of demand, of who takes the freshest, of the level."""
        settings, ages = self.settings, self.settings.num_ages
        after = state.copy()
        stock, due = after[:, :ages], after[:, ages:-2]
        ordered = action * float(settings.lot_units)
        arriving = self._moved_up(stock, due, ordered)
        demand = self._demand(state, draws[:, 0])
        held = stock.sum(1)
        fresh = np.floor(settings.freshest_first * demand + draws[:, 1])
        _take(stock[:, ::-1], fresh)
        _take(stock, demand - fresh)
        left = stock.sum(1)
        wasted = stock[:, 0].copy() if settings.shelf_life_days else np.zeros_like(left)
        if settings.shelf_life_days:
            stock[:, :-1] = stock[:, 1:]
            stock[:, -1] = 0.0
        stock[:, -1] += arriving
        after[:, -2] = (state[:, -2] + 1) % NUM_WEEKDAYS
        self._move_level(after[:, -1], draws[:, 2])
        amounts = np.stack([action > 0, left - wasted, wasted, demand - (held - left)], axis=1)
        return Outcome(after, np.zeros(len(state)), amounts * self._unit_costs)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Stock by days left, orders under way, forecast from today on; units."""
        return np.concatenate([state[:, :-2], self._forecasts[_row(state)]], axis=1, dtype=np.float32)

    def _moved_up(self, stock: np.ndarray, due: np.ndarray, ordered: np.ndarray) -> np.ndarray:
        """The delivery of tomorrow morning; orders under way come a day nearer."""
        if not self.settings.lead_time_days:
            stock[:, -1] += ordered
            return np.zeros_like(ordered)
        if not self.settings.num_due:
            return ordered
        arriving: np.ndarray = due[:, 0].copy()
        due[:, :-1] = due[:, 1:]
        due[:, -1] = ordered
        return arriving

    def _demand(self, state: np.ndarray, draws: np.ndarray) -> np.ndarray:
        row = _row(state)
        found = np.searchsorted(self._steps, row + draws, side="right")
        demand: np.ndarray = (found - row * self.demand_probabilities.shape[1]).astype(np.float64)
        return demand

    def _move_level(self, level: np.ndarray, draws: np.ndarray) -> None:
        change = self.settings.level_change
        level += (draws >= 1 - change).astype(np.float64) - (draws < change)
        np.clip(level, 0, len(self.settings.levels) - 1, out=level)


class InventoryEnv(SimulatedEnv):
    """One shop. settings: fields of InventorySettings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(InventorySimulator(InventorySettings(**settings)))


class InventoryVectorEnv(SimulatedVectorEnv):
    """Many shops. settings: fields of InventorySettings."""

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = HORIZON_DAYS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ) -> None:
        simulator = InventorySimulator(InventorySettings(**settings))
        super().__init__(simulator, num_envs, max_episode_steps, autoreset_mode)


def _row(state: np.ndarray) -> np.ndarray:
    row: np.ndarray = (state[:, -1] * NUM_WEEKDAYS + state[:, -2]).astype(np.intp)
    return row


def _take(stock: np.ndarray, wanted: np.ndarray) -> None:
    """Take units out of (N, ages), from the first column on, as long as there are any."""
    until = np.cumsum(stock, axis=1) - wanted[:, None]
    np.clip(until, 0.0, stock, out=stock)


def _probabilities(means: np.ndarray, dispersion: float) -> np.ndarray:
    """Of each number of units, (means, units from 0 on), up to where all tails are below 1e-9 and cut off."""
    if dispersion == 1:
        columns = [np.exp(-means)]
        factor, size = means, np.zeros_like(means)
    else:
        size, factor = means / (dispersion - 1), np.full_like(means, 1 - 1 / dispersion)
        columns = [dispersion**-size]
    total = columns[0]
    while (total < 1 - _TAIL).any():
        units = len(columns)
        grown = (size + units - 1) if dispersion > 1 else 1.0
        columns.append(columns[-1] * factor * grown / units)
        total = total + columns[-1]
    return np.stack(columns, axis=1) / total[:, None]


def _features(settings: InventorySettings, largest_mean: float) -> tuple[Feature, ...]:
    largest = float(settings.max_lots * settings.lot_units)
    most = largest if settings.shelf_life_days else None
    names = [
        f"stock_for_{days}_days" if days > 1 else "stock_for_1_day"
        for days in range(1, settings.num_ages + 1)
    ]
    if not settings.shelf_life_days:
        names = ["stock"]
    stock = [Feature(name=name, unit="units", low=0.0, high=most) for name in names]
    due = [
        Feature(
            name=f"due_in_{days}_days" if days > 1 else "due_in_1_day", unit="units", low=0.0, high=largest
        )
        for days in range(1, settings.num_due + 1)
    ]
    forecasts = [
        Feature(
            name=f"forecast_in_{days}_days"
            if days > 1
            else "forecast_tomorrow"
            if days
            else "forecast_today",
            unit="units",
            low=0.0,
            high=float(np.ceil(largest_mean)),
        )
        for days in range(settings.num_forecasts)
    ]
    return (*stock, *due, *forecasts)
