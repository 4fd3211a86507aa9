"""A small simulator of a fleet of pumps that wear out, whose reason for each failure is known.

- Regimes: in every cycle a pump runs at one of a few loads and ambient temperatures, as the demand wants it. Each
  regime has its own level of every sensor, far apart compared with what wear does.
- Wear: three modes, each driving its own quarter of the sensors; the last quarter responds to none of them. A life has
  one mode. Damage of the mode stays near nothing until a random onset and then grows faster and faster,
  d(u) = (exp(a u) - 1) / (exp(a) - 1) of the share u of the way from onset to failure, with a from 1.5 to 4. At
  d = 1 the pump fails.
- Lives: the onset is drawn from 10 to 55 % and the way to failure from 18 to 45 % of the longest life, one without
  regard to the other; so lives last from 28 to 100 % of it, mostly around 60 %.
- Sudden faults: in 8 % of lives the way to failure is 2 to 5 cycles, and the onset anywhere up to 80 %.
- Repairs: every tenth pump is repaired after its first failure and begins a second life.
- Sensors: level of the regime + offset of the pump (0.5 sd) + damage (4 to 8 sd at failure, up or down) + noise (1 sd).
  One bystander never changes, as in real tables.
- Missing packets: 1 % of cells are null and 1 % of rows did not arrive, never the last one of a life.
- Censored: 15 % of pumps still run when the observation ends, at a uniform share of 20 to 95 % of their last life.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.schema import Channel, ReadingsSchema

MODES = ("bearing_wear", "seal_leak", "impeller_fouling")
SETTINGS = (("load", "%"), ("ambient_temperature", "degC"))
_SETTING_LOW, _SETTING_HIGH, _SETTING_NOISE = np.array([30.0, -10.0]), np.array([100.0, 40.0]), 0.3
_KINDS = (
    ("vibration", "mm/s", 5.0, 0.1),
    ("temperature", "degC", 80.0, 0.8),
    ("pressure", "bar", 12.0, 0.05),
    ("current", "A", 40.0, 0.3),
    ("flow", "l/min", 300.0, 2.0),
    ("speed", "rpm", 1500.0, 4.0),
)
_REGIME_SD, _OFFSET_SD = 15.0, 0.5
_SUDDEN_SHARE, _CENSORED_SHARE, _REPAIRED_EVERY = 0.08, 0.15, 10
_MISSING_CELLS, _MISSING_ROWS = 0.01, 0.01


@dataclass(frozen=True, slots=True)
class Generated:
    """Readings in the contract's shape, their schema, and the truth behind each life.

    truth: one row per life, of unit_id, life (from 1), mode, is_sudden, onset and failure_time (on the clock of the
    unit, also for lives whose failure was not seen), is_censored, and faulty_sensors, the sensors that the mode drives.
    """

    frame: pl.DataFrame
    schema: ReadingsSchema
    truth: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Lives:
    """One entry per life, in the order of unit and life; times in cycles since the life began."""

    unit: np.ndarray
    number: np.ndarray
    mode: np.ndarray
    is_sudden: np.ndarray
    onset: np.ndarray
    length: np.ndarray
    acceleration: np.ndarray
    is_censored: np.ndarray
    observed: np.ndarray

    def began(self) -> np.ndarray:
        """Cycles of the unit before the life."""
        before = np.concatenate([[0], self.length[:-1]])
        return np.where(self.number == 2, before, 0)


def generate(num_units: int, num_sensors: int, num_regimes: int, max_life: int, seed: int) -> Generated:
    """Simulate pumps over their lives; the same arguments, the same table. Time is in cycles from 1 on.

    Time and memory grow with the number of readings, about 0.6 max_life for each of 1.1 num_units lives.
    """
    rng = np.random.default_rng(seed)
    lives = _lives(num_units, max_life, rng)
    life = np.repeat(np.arange(len(lives.unit)), lives.observed)
    cycle = np.arange(len(life)) - np.repeat(np.cumsum(lives.observed) - lives.observed, lives.observed) + 1
    settings, regime = _settings(len(life), num_regimes, rng)
    sensors = _sensors(lives, life, cycle, regime, num_sensors, num_regimes, rng)
    sensors[rng.random(sensors.shape) < _MISSING_CELLS] = np.nan
    is_last = cycle == lives.observed[life]
    arrived = is_last | (rng.random(len(life)) >= _MISSING_ROWS)
    schema = _schema(num_sensors)
    names = _unit_names(num_units)
    values = np.hstack([settings, sensors]).round(4)
    frame = pl.DataFrame(
        {
            "unit_id": names[lives.unit[life]],
            "time": (lives.began()[life] + cycle).astype(np.float64),
            "failed": (is_last & ~lives.is_censored[life]).astype(np.int64),
            **{channel.name: values[:, column] for column, channel in enumerate(schema.channels)},
        }
    ).filter(arrived)
    return Generated(frame.fill_nan(None), schema, _truth(lives, names, schema))


def _lives(num_units: int, max_life: int, rng: np.random.Generator) -> _Lives:
    per_unit = np.where(np.arange(num_units) % _REPAIRED_EVERY == _REPAIRED_EVERY - 1, 2, 1)
    unit = np.repeat(np.arange(num_units), per_unit)
    number = np.ones(len(unit), dtype=np.int64)
    number[1:] += unit[1:] == unit[:-1]
    is_sudden = rng.random(len(unit)) < _SUDDEN_SHARE
    onset = np.where(is_sudden, rng.uniform(0.25, 0.8, len(unit)), rng.uniform(0.1, 0.55, len(unit)))
    onset = (onset * max_life).astype(np.int64)
    way = (rng.uniform(0.18, 0.45, len(unit)) * max_life).astype(np.int64)
    length = onset + np.where(is_sudden, rng.integers(2, 6, len(unit)), way)
    is_last = number == per_unit[unit]
    is_censored = is_last & (rng.random(len(unit)) < _CENSORED_SHARE)
    seen = np.maximum((rng.uniform(0.2, 0.95, len(unit)) * length).astype(np.int64), 1)
    return _Lives(
        unit=unit,
        number=number,
        mode=rng.integers(len(MODES), size=len(unit)),
        is_sudden=is_sudden,
        onset=onset,
        length=length,
        acceleration=rng.uniform(1.5, 4.0, len(unit)),
        is_censored=is_censored,
        observed=np.where(is_censored, seen, length),
    )


def _settings(num_rows: int, num_regimes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Settings of shape (rows, 2), and the regime that each row belongs to."""
    # Along a diagonal, with the temperatures shuffled: regimes never lie near each other, however many there are.
    places = np.linspace(0.0, 1.0, num_regimes) if num_regimes > 1 else np.array([0.5])
    centres = np.stack([places, rng.permutation(places)], axis=1)
    regime = rng.integers(num_regimes, size=num_rows)
    settings = _SETTING_LOW + centres[regime] * (_SETTING_HIGH - _SETTING_LOW)
    return settings + rng.normal(0, _SETTING_NOISE, settings.shape), regime


def _sensors(
    lives: _Lives,
    life: np.ndarray,
    cycle: np.ndarray,
    regime: np.ndarray,
    num_sensors: int,
    num_regimes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sensors of shape (rows, num_sensors), in their units."""
    way = np.clip((cycle - lives.onset[life]) / (lives.length - lives.onset)[life], 0.0, 1.0)
    acceleration = lives.acceleration[life]
    damage = np.expm1(acceleration * way) / np.expm1(acceleration)
    levels = rng.normal(0, _REGIME_SD, (num_regimes, num_sensors))
    offsets = rng.normal(0, _OFFSET_SD, (int(lives.unit.max()) + 1, num_sensors))
    effects = rng.uniform(4.0, 8.0, num_sensors) * rng.choice([-1.0, 1.0], num_sensors)
    driven = _modes_of_sensors(num_sensors)[None, :] == lives.mode[life][:, None]
    deviations = levels[regime] + offsets[lives.unit[life]] + damage[:, None] * effects * driven
    deviations += rng.normal(0, 1, deviations.shape)
    deviations[:, -1] = 0.0
    kinds = [_KINDS[column % len(_KINDS)] for column in range(num_sensors)]
    usual, scale = (np.array([kind[place] for kind in kinds]) for place in (2, 3))
    values: np.ndarray = usual + scale * deviations
    return values


def _modes_of_sensors(num_sensors: int) -> np.ndarray:
    """The mode that drives each sensor; len(MODES) for a bystander. The last sensor is one, and never changes."""
    modes = np.arange(num_sensors) % (len(MODES) + 1)
    modes[-1] = len(MODES)
    return modes


def _schema(num_sensors: int) -> ReadingsSchema:
    settings = [Channel(name=name, role="setting", unit=unit) for name, unit in SETTINGS]
    sensors = []
    for column in range(num_sensors):
        name, unit, _, _ = _KINDS[column % len(_KINDS)]
        sensors.append(Channel(name=f"{name}_{column // len(_KINDS) + 1}", unit=unit))
    return ReadingsSchema(name="synthetic", channels=(*settings, *sensors), time_unit="cycles")


def _truth(lives: _Lives, names: np.ndarray, schema: ReadingsSchema) -> pl.DataFrame:
    sensors = schema.names_of("sensor")
    mode_of_sensor = _modes_of_sensors(len(sensors))
    faulty = [[sensors[i] for i in np.flatnonzero(mode_of_sensor == mode)] for mode in range(len(MODES))]
    began = lives.began()
    return pl.DataFrame(
        {
            "unit_id": names[lives.unit],
            "life": lives.number,
            "mode": [MODES[mode] for mode in lives.mode],
            "is_sudden": lives.is_sudden,
            "onset": (began + lives.onset).astype(np.float64),
            "failure_time": (began + lives.length).astype(np.float64),
            "is_censored": lives.is_censored,
            "faulty_sensors": [faulty[mode] for mode in lives.mode],
        }
    )


def _unit_names(num_units: int) -> np.ndarray:
    digits = max(3, len(str(num_units)))
    return np.array([f"pump-{number:0{digits}d}" for number in range(1, num_units + 1)])
