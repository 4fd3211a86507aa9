"""Where interactions come from: the generator, the public sets, a user's own file; all in the contract's shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.recommender.config import DataConfig
from pipelines.recommender.generator import generate
from pipelines.recommender.public import PUBLIC_FILES, read_public
from pipelines.recommender.tables import Tables
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.columns import absent
from shared.data.datasets import locate
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.own_table import own_table_path
from shared.data.tables import read_table
from shared.errors import RequestError

COLUMNS = ("user_id", "item_id", "interacted_at", "rating", "weight", "part")
_KEYS = ("user_id", "item_id")
_ATTRIBUTE_KEYS = {"items": "item_id", "users": "user_id"}
_SOURCES = "synthetic, movielens_100k, gowalla"


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """The files behind a source, attributes included; none for the generator.

    Raises RequestError for an unknown source, and for settings that only a table of one's own can have.
    """
    if source == "synthetic" or source in PUBLIC_FILES:
        _require_no_own_settings(source, config)
        return tuple(locate(source) / name for name in PUBLIC_FILES.get(source, ()))
    path = own_table_path(source, expected="interactions", known=_SOURCES)
    return (path, *_attribute_paths(config).values())


def load_tables(source: str, config: DataConfig, seed: int) -> Tables:
    """Interactions and attributes from `synthetic`, a public set, or the path of a CSV, Parquet or JSON Lines table.

    Raises RequestError for an unknown source, an unreadable file or a column map that does not fit.
    """
    paths = source_paths(source, config)
    if not paths:
        return generate(config.num_users, config.num_items, seed).tables
    if source in PUBLIC_FILES:
        return read_public(source, paths[0].parent)
    raw = read_table(paths[0])
    names = config.columns or {}
    require_declared(raw, names)
    interactions = _in_contract_shape(raw, config)
    ignored = sorted(set(raw.columns) - set(source_columns(raw, names, COLUMNS).values()))
    attributes = {
        setting: _read_attributes(attribute_path, _ATTRIBUTE_KEYS[setting], names)
        for setting, attribute_path in _attribute_paths(config).items()
    }
    return Tables(
        interactions,
        items=attributes.get("items"),
        users=attributes.get("users"),
        notes=(f"Columns that are not used: {', '.join(ignored)}.",) if ignored else (),
    )


def read_histories(path: Path, config: DataConfig) -> pl.DataFrame:
    """Interactions of the users to serve, in the form of the training table or already in the contract's columns.

    Only user_id and item_id must be there. Not checked yet. Raises RequestError for a file that cannot be read.
    """
    return _in_contract_shape(read_table(path), config)


def parse_column_map(value: Any) -> dict[str, str]:
    """The configuration key `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def _require_no_own_settings(source: str, config: DataConfig) -> None:
    given = [name for name in ("columns", "items", "users") if getattr(config, name) is not None]
    if given:
        raise RequestError(
            f"Expected data.{given[0]} with a table of your own. Received it with {source}: leave it out."
        )


def _attribute_paths(config: DataConfig) -> dict[str, Path]:
    """Attribute tables by the setting that names them, `items` and `users`."""
    given = {setting: getattr(config, setting) for setting in _ATTRIBUTE_KEYS}
    paths = {setting: Path(value).expanduser() for setting, value in given.items() if value is not None}
    for setting, path in paths.items():
        if not path.is_file():
            raise RequestError(
                f"Expected a table with a column {_ATTRIBUTE_KEYS[setting]} in data.{setting}. "
                f"Received {path}: {'a folder' if path.is_dir() else 'there is no such file'}."
            )
    return paths


def _in_contract_shape(raw: pl.DataFrame, config: DataConfig) -> pl.DataFrame:
    """Selects and names the contract's columns. Judging values is the contract's part: none is dropped or emptied."""
    sources = source_columns(raw, config.columns or {}, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[source].alias(name) for name, source in sources.items()}
    for key in _KEYS:
        columns[key] = ids_as_text(columns[key])
    if "interacted_at" in columns:
        columns["interacted_at"] = as_moments(columns["interacted_at"], config.time_unit)
    if "rating" in columns and columns["rating"].dtype.is_float():
        columns["rating"] = columns["rating"].fill_nan(None)  # how pandas writes that there is no rating
    return pl.DataFrame(list(columns.values()))


def _read_attributes(path: Path, key: str, names: Mapping[str, str]) -> pl.DataFrame:
    raw = read_table(path)
    source = key if key in raw.columns else names.get(key, key)
    if source not in raw.columns:
        raise absent(key, raw.columns)
    return raw.select(ids_as_text(raw[source]).alias(key), pl.exclude(source))
