"""`fieldwork/MachineMaintenance-v0`: run the machine today, adjust it, or overhaul it before it fails.

Wear is hidden. It stays small for long and then grows faster and faster, as in the fleet of predictive maintenance:
each day by rate * strain * (0.1 + wear) times a random factor, where the strain grows with the load and each life has
its own rate. Shocks add to it now and then. At a wear of 1 the machine fails.

The planner sees what two sensors say today, each with noise and with the level of the load in it, and their trends:
exponential means of how far the sensors were above what is usual at the load, since the last overhaul. The load of the
day is known in the morning; it changes now and then.

- run: the machine makes its margin, in proportion to the load, unless it fails, which costs a repair and days.
- adjust: the day is lost and the wear falls by 20 to 60 %.
- overhaul: some days are lost, the wear is gone and the trends begin anew.

While the machine stands nothing that is decided has an effect. The reward is the margin that the load would have given
less all costs, where production that was lost is a cost; kEUR a day.
"""

from typing import Annotated, Any

import numpy as np
from gymnasium.vector import AutoresetMode
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtri

from pipelines.dqn_agent.cards import Feature
from pipelines.dqn_agent.environments.simulator import Outcome, SimulatedEnv, SimulatedVectorEnv

HORIZON_DAYS = 365
RUN, ADJUST, OVERHAUL = 0, 1, 2
# Columns of the state; the last four are vibration (mm/s), temperature (degC), and their trends.
WEAR, RATE, LOAD, AGE, STANDING, SENSORS, TRENDS = 0, 1, 2, 3, 4, slice(5, 7), slice(7, 9)
_NUM_COLUMNS = 9
_SMALLEST_DRAW = 2.0**-54
_MEMORY = 0.8
_LONGEST_RUN = 1000.0
# Vibration in mm/s and temperature in degC: without load and wear, what a load of 1 adds, and limits of the sensors.
_IDLE, _OF_LOAD, _AT_REST = np.array([1.5, 50.0]), np.array([1.5, 15.0]), np.array([0.0, 20.0])
_LARGEST = np.array([20.0, 150.0])

_Load = Annotated[float, Field(gt=0, le=2)]


class MaintenanceSettings(BaseModel):
    """The machine, its wear, its sensors and its costs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    loads: tuple[_Load, ...] = Field(
        (0.3, 1.0, 1.4), min_length=1, max_length=20, description="1 is the usual load"
    )
    load_change: float = Field(0.07, ge=0, le=0.5, description="chance of a load up a day, and of one down")
    wear_rate: float = Field(0.035, gt=0, le=1, description="growth of wear a day at the usual load")
    rate_spread: float = Field(
        0.35, ge=0, le=2, description="standard deviation of a life's rate, of its logarithm"
    )
    strain_power: float = Field(1.5, ge=0, le=5, description="power of the load in the growth of wear")
    growth_spread: float = Field(
        0.5, ge=0, le=2, description="standard deviation of a day's growth, of its logarithm"
    )
    shock_chance: float = Field(0.004, ge=0, le=1, description="chance of a shock on a day of running")
    shock_wear: float = Field(0.15, ge=0, le=1, description="mean wear that a shock adds")
    vibration_effect: float = Field(5.0, ge=0, le=15, description="of full wear on the vibration, mm/s")
    vibration_noise: float = Field(2.0, ge=0, le=5, description="standard deviation, mm/s")
    temperature_effect: float = Field(20.0, ge=0, le=60, description="of full wear on the temperature, degC")
    temperature_noise: float = Field(8.0, ge=0, le=30, description="standard deviation, degC")
    margin_keur: float = Field(1.0, ge=0, description="of a day at the usual load, kEUR")
    adjust_cost_keur: float = Field(0.5, ge=0, description="of an adjustment, kEUR")
    overhaul_cost_keur: float = Field(2.0, ge=0, description="of an overhaul, kEUR")
    overhaul_days: int = Field(4, ge=1, le=60, description="days lost by an overhaul")
    failure_cost_keur: float = Field(15.0, ge=0, description="of a repair after a failure, kEUR")
    failure_days: int = Field(8, ge=1, le=60, description="days lost by a failure")


class MaintenanceSimulator:
    """State: see the names of its columns; wear and rate are hidden."""

    actions: tuple[str, ...] = ("run", "adjust", "overhaul")
    cost_terms: tuple[str, ...] = ("adjustment", "overhaul", "failure", "lost_production")
    reward_unit = "kEUR"
    num_draws = 8

    def __init__(self, settings: MaintenanceSettings) -> None:
        self.settings = settings
        self._loads = np.array(settings.loads)
        self._effects = np.array([settings.vibration_effect, settings.temperature_effect])
        self._noises = np.array([settings.vibration_noise, settings.temperature_noise])
        self.features = _features(settings)
        self._unit_costs = np.array(
            [
                settings.adjust_cost_keur,
                settings.overhaul_cost_keur,
                settings.failure_cost_keur,
                settings.margin_keur,
            ]
        )

    def first(self, draws: np.ndarray) -> np.ndarray:
        """A new machine, at any load."""
        state = np.zeros((len(draws), _NUM_COLUMNS))
        normal = _normal(draws[:, 4:])
        state[:, LOAD] = np.floor(draws[:, 0] * len(self._loads))
        state[:, RATE] = self._rate(normal[:, 1])
        self._read(state, normal[:, 2:])
        return state

    def after(self, state: np.ndarray, action: np.ndarray, draws: np.ndarray) -> Outcome:
        """One day. draws: of load, shock, its size, adjustment, growth, rate of a new life, and both sensors."""
        settings = self.settings
        after = state.copy()
        normal = _normal(draws[:, 4:])
        works = state[:, STANDING] == 0
        adjusted, overhauled = works & (action == ADJUST), works & (action == OVERHAUL)
        ran = works & (action == RUN)
        load = self._loads[state[:, LOAD].astype(np.intp)]
        self._wear_out(after, ran, load, draws, normal[:, 0])
        failed = after[:, WEAR] >= 1
        after[:, WEAR] *= np.where(adjusted, 0.8 - 0.4 * draws[:, 3], 1.0)
        after[:, AGE] = np.minimum(after[:, AGE] + ran, _LONGEST_RUN)
        after[:, STANDING] = np.maximum(state[:, STANDING] - 1, 0)
        after[:, STANDING] += overhauled * (settings.overhaul_days - 1) + failed * (settings.failure_days - 1)
        self._renew(after, overhauled | failed, normal[:, 1])
        self._move_load(after[:, LOAD], draws[:, 0])
        self._read(after, normal[:, 2:])
        lost = load * (~ran | failed)
        amounts = np.stack([adjusted, overhauled, failed, lost], axis=1)
        return Outcome(after, settings.margin_keur * load, amounts * self._unit_costs)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Sensors, trends, load, days of running since the last overhaul or repair, days that it will stand."""
        seen = np.empty((len(state), len(self.features)), dtype=np.float32)
        seen[:, :4] = state[:, SENSORS.start :]
        seen[:, 4] = self._loads[state[:, LOAD].astype(np.intp)]
        seen[:, 5:] = state[:, AGE : STANDING + 1]
        return seen

    def _rate(self, normal: np.ndarray) -> np.ndarray:
        rate: np.ndarray = self.settings.wear_rate * np.exp(self.settings.rate_spread * normal)
        return rate

    def _wear_out(
        self, after: np.ndarray, ran: np.ndarray, load: np.ndarray, draws: np.ndarray, normal: np.ndarray
    ) -> None:
        settings = self.settings
        spread = settings.growth_spread
        growth = after[:, RATE] * load**settings.strain_power * (0.1 + after[:, WEAR])
        growth *= np.exp(spread * normal - spread**2 / 2)
        shock = -settings.shock_wear * np.log1p(-draws[:, 2]) * (draws[:, 1] < settings.shock_chance)
        after[:, WEAR] += ran * (growth + shock)

    def _renew(self, after: np.ndarray, renewed: np.ndarray, normal: np.ndarray) -> None:
        after[:, RATE] = np.where(renewed, self._rate(normal), after[:, RATE])
        after[renewed, WEAR] = after[renewed, AGE] = 0.0
        after[renewed, TRENDS] = 0.0

    def _move_load(self, load: np.ndarray, draws: np.ndarray) -> None:
        change = self.settings.load_change
        load += (draws >= 1 - change).astype(np.float64) - (draws < change)
        np.clip(load, 0, len(self._loads) - 1, out=load)

    def _read(self, state: np.ndarray, normal: np.ndarray) -> None:
        """Sensors in the morning; those of a machine that stands say so, and its trends stay."""
        usual = _IDLE + _OF_LOAD * self._loads[state[:, LOAD].astype(np.intp), None]
        reading = usual + self._effects * state[:, WEAR, None] + self._noises * normal
        np.clip(reading, 0.0, _LARGEST, out=reading)
        works = state[:, STANDING, None] == 0
        state[:, SENSORS] = np.where(works, reading, _AT_REST)
        state[:, TRENDS] += works * (1 - _MEMORY) * (reading - usual - state[:, TRENDS])


class MaintenanceEnv(SimulatedEnv):
    """One machine. settings: fields of MaintenanceSettings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(MaintenanceSimulator(MaintenanceSettings(**settings)))


class MaintenanceVectorEnv(SimulatedVectorEnv):
    """Many machines. settings: fields of MaintenanceSettings."""

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = HORIZON_DAYS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ) -> None:
        simulator = MaintenanceSimulator(MaintenanceSettings(**settings))
        super().__init__(simulator, num_envs, max_episode_steps, autoreset_mode)


def _normal(draws: np.ndarray) -> np.ndarray:
    """Standard normal numbers of uniform ones; 0 itself, which may be drawn, would be minus infinity."""
    normal: np.ndarray = ndtri(np.maximum(draws, _SMALLEST_DRAW))
    return normal


def _features(settings: MaintenanceSettings) -> tuple[Feature, ...]:
    sensors = (("vibration", "mm/s"), ("temperature", "degC"))
    return (
        *(
            Feature(name=name, unit=unit, low=0.0, high=float(largest))
            for (name, unit), largest in zip(sensors, _LARGEST, strict=True)
        ),
        *(
            Feature(name=f"{name}_trend", unit=unit, low=-float(largest), high=float(largest))
            for (name, unit), largest in zip(sensors, _LARGEST, strict=True)
        ),
        Feature(name="load", unit="1", low=0.0, high=max(settings.loads)),
        Feature(name="days_run", unit="days", low=0.0, high=_LONGEST_RUN),
        Feature(
            name="days_standing",
            unit="days",
            low=0.0,
            high=float(max(settings.failure_days, settings.overhaul_days)),
        ),
    )
