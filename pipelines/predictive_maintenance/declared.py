"""Which columns of a user's own table are settings and sensors: those declared, or every column of numbers."""

from collections.abc import Mapping

import polars as pl

from pipelines.predictive_maintenance.config import DataConfig
from pipelines.predictive_maintenance.schema import COLUMNS, Channel, Role
from shared.contracts.consistency import RESERVED_NAMES
from shared.data.columns import absent
from shared.errors import RequestError

_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)


def own_channels(
    raw: pl.DataFrame, sources: Mapping[str, str], config: DataConfig
) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """Settings, then sensors, of a table whose contract columns are `sources`; and what to say about the rest.

    Raises RequestError for a declared column that is not there or has another part to play, and for no sensor.
    """
    taken = {*sources.values(), *COLUMNS, *RESERVED_NAMES}
    for key in ("settings", "sensors"):
        _require_free(raw, key, getattr(config, key), taken)
        taken |= set(getattr(config, key))
    sensors = config.sensors or tuple(
        name for name in raw.columns if name not in taken and name.isprintable() and _holds_numbers(raw[name])
    )
    if not sensors:
        raise RequestError(
            "Expected at least one sensor, a column of numbers. Received none beside the other columns: "
            f"{', '.join(raw.columns[:30])}."
        )
    _require_known(config.units, (*config.settings, *sensors))
    channels = [*_channels(config.settings, "setting", config), *_channels(sensors, "sensor", config)]
    used = {*sources.values(), *(channel.name for channel in channels)}
    unused = [name for name in raw.columns if name not in used]
    return tuple(channels), ((f"Columns that are not used: {', '.join(unused)}.",) if unused else ())


def _channels(names: tuple[str, ...], role: Role, config: DataConfig) -> list[Channel]:
    return [Channel(name=name, role=role, unit=config.units.get(name, "")) for name in names]


def _holds_numbers(column: pl.Series) -> bool:
    """Text counts where most filled cells are numbers: one stray word must not lose a sensor without a word."""
    if column.dtype.is_numeric():
        return column.fill_nan(None).count() > 0 if column.dtype.is_float() else column.count() > 0
    if column.dtype.base_type() not in _TEXT_TYPES:
        return False
    text = column.cast(pl.String).str.strip_chars()
    return text.cast(pl.Float64, strict=False).count() * 2 > text.count()


def _require_free(raw: pl.DataFrame, key: str, names: tuple[str, ...], taken: set[str]) -> None:
    for name in names:
        if name not in raw.columns:
            raise absent(name, raw.columns, key=f"data.{key}")
        if name in taken or not name.isprintable() or names.count(name) > 1:
            raise RequestError(
                f"data.{key}: Expected distinct columns with no other part to play. Received {name!r}: leave it out."
            )


def _require_known(units: Mapping[str, str], names: tuple[str, ...]) -> None:
    for name in units:
        if name not in names:
            raise absent(name, names, key="data.units")
