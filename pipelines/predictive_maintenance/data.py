"""Where readings come from: the generator, the public sets, a user's own file; all in the contract's shape."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.predictive_maintenance.clock import ages, are_moments, require_ages
from pipelines.predictive_maintenance.config import DataConfig
from pipelines.predictive_maintenance.declared import own_channels
from pipelines.predictive_maintenance.generator import generate
from pipelines.predictive_maintenance.public import CMAPSS, cmapss_files, cmapss_schema, read_cmapss
from pipelines.predictive_maintenance.schema import COLUMNS, ReadingsSchema
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.columns import load_column_map
from shared.data.datasets import locate
from shared.data.flags import flags_as_numbers
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.own_table import own_table_path
from shared.data.tables import read_table
from shared.errors import RequestError

_KEYS = ("unit_id", "time")
_SOURCES = f"synthetic, {CMAPSS}"


@dataclass(frozen=True, slots=True)
class Readings:
    """A table in the shape of `machine_sensor_readings`, not checked yet, with the fleet's schema.

    given_rul: remaining useful life of units after their last reading, in the schema's time unit, where a test set
    was published with it. `notes` say in words what was read otherwise.
    """

    frame: pl.DataFrame
    schema: ReadingsSchema
    given_rul: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """The files behind a source; none for the generator.

    Raises RequestError for an unknown source, missing files, and settings that only a table of one's own can have.
    """
    if source in ("synthetic", CMAPSS):
        _require_no_own_settings(source, config)
        return cmapss_files(config.subset, locate(CMAPSS)) if source == CMAPSS else ()
    return (own_table_path(source, expected="machine readings", known=_SOURCES),)


def load_readings(source: str, config: DataConfig, seed: int) -> Readings:
    """Readings from `synthetic`, the public set, or the path of a CSV, Parquet or JSON Lines table.

    Raises RequestError for an unknown source, an unreadable file or declared columns that do not fit.
    """
    paths = source_paths(source, config)
    if not paths:
        made = generate(config.num_units, config.num_sensors, config.num_regimes, config.max_life, seed)
        return Readings(made.frame, made.schema)
    if source == CMAPSS:
        frame, given_rul = read_cmapss(config.subset, paths[0].parent)
        return Readings(frame, cmapss_schema(config.subset), given_rul)
    raw = read_table(paths[0])
    names = config.columns or {}
    require_declared(raw, names)
    sources = source_columns(raw, names, COLUMNS)
    require_keys(raw, sources, _KEYS)
    channels, notes = own_channels(raw, sources, config)
    has_moments = are_moments(raw[sources["time"]])
    schema = ReadingsSchema(
        name=paths[0].stem,
        channels=channels,
        time_unit=_time_unit(config, has_moments),
        has_moments=has_moments,
        columns=names,
    )
    return Readings(_in_contract_shape(raw, schema), schema, notes=notes)


def read_to_score(path: Path, schema: ReadingsSchema) -> Readings:
    """Readings to score, in the form of the training files or already in the contract's columns; not checked yet.

    Raises RequestError for a file that cannot be read, for keys that are not there, and for times of another kind.
    """
    raw = None
    if schema.names:
        # the training files have no header; a table made by hand or exported from elsewhere may well have one
        with suppress(RequestError):
            raw = read_table(path)
    if raw is None:
        raw = read_table(path, separator=" " if schema.names else None, names=schema.names or None)
    return Readings(_in_contract_shape(raw, schema), schema)


def parse_column_map(value: Any) -> dict[str, str]:
    """The configuration key `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def parse_units(value: Any) -> Any:
    """The configuration key `data.units`: pairs `column=unit` or a YAML file of them. Raises RequestError."""
    return load_column_map(value)


def lost_failures(quarantined: pl.DataFrame) -> tuple[str, ...]:
    """A warning where failures are in quarantine, from the quarantined rows of a table.

    Without its failure a life seems to go on, through the repair into the next one.
    """
    if "failed" not in quarantined.columns:
        return ()
    lost = int((quarantined["failed"].cast(pl.Float64, strict=False) == 1).sum())
    if not lost:
        return ()
    return (f"{lost} failures are in quarantine: their machines count as still running. Correct those rows.",)


def _require_no_own_settings(source: str, config: DataConfig) -> None:
    names = ("columns", "settings", "sensors", "units", "time_unit")
    given = [name for name in names if getattr(config, name)]
    if given:
        raise RequestError(
            f"Expected data.{given[0]} with a table of your own. Received it with {source}: leave it out."
        )


def _time_unit(config: DataConfig, has_moments: bool) -> str:
    if has_moments and config.time_unit not in (None, "hours"):
        raise RequestError(
            f"data.time_unit: Expected hours, or none, where time comes as moments. Received {config.time_unit}."
        )
    return "hours" if has_moments else config.time_unit or "cycles"


def _in_contract_shape(raw: pl.DataFrame, schema: ReadingsSchema) -> pl.DataFrame:
    """Selects and names the contract's columns. Judging values is the contract's part: none is dropped or emptied."""
    sources = source_columns(raw, schema.columns, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[source].alias(name) for name, source in sources.items()}
    columns["unit_id"] = ids_as_text(columns["unit_id"])
    if "taken_at" in columns:
        columns["taken_at"] = as_moments(columns["taken_at"], "s")
    if are_moments(columns["time"]) != schema.has_moments:
        raise RequestError(
            f"Expected {sources['time']} as {'moments' if schema.has_moments else schema.time_unit}, as in training. "
            f"Received {'numbers' if schema.has_moments else 'moments'}."
        )
    if schema.has_moments:
        columns["time"], moments = ages(columns["time"], columns["unit_id"])
        columns.setdefault("taken_at", moments)
    else:
        require_ages(columns["time"])
    if "failed" in columns:
        columns["failed"] = flags_as_numbers(columns["failed"])
    ordered = [columns[name] for name in COLUMNS if name in columns]
    return pl.DataFrame([*ordered, *_channel_columns(raw, [channel.name for channel in schema.channels])])


def _channel_columns(raw: pl.DataFrame, names: Sequence[str]) -> list[pl.Series]:
    """NaN is how pandas writes that a reading did not arrive. Absent columns are for the contract to miss."""
    present = (raw[name] for name in names if name in raw.columns)
    return [column.fill_nan(None) if column.dtype.is_float() else column for column in present]
