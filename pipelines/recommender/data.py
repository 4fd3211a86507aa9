"""Where interactions come from: the generator, the public sets, a user's own file; all in the contract's shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.recommender.cells import as_moments, ids_as_text
from pipelines.recommender.config import DataConfig
from pipelines.recommender.generator import generate
from pipelines.recommender.public import PUBLIC_FILES, read_public
from pipelines.recommender.tables import Tables
from shared.contracts.document import did_you_mean
from shared.data.columns import absent, load_column_map
from shared.data.datasets import locate
from shared.data.public_sets import public_sets as known_sets
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
    path = Path(source).expanduser()
    if path.is_file():
        return (path, *_attribute_paths(config).values())
    if source in known_sets():
        raise RequestError(
            f"Expected a source of interactions. Received {source}, a data set of another domain.\n"
            f"There are {_SOURCES}, or the path of your own table."
        )
    raise RequestError(
        f"Expected {_SOURCES} or the path of a table. Received {source!r}: "
        f"{'a folder' if path.is_dir() else 'there is no such file'}."
    )


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
    for source_column in names.values():
        if source_column not in raw.columns:
            raise RequestError(absent(source_column, raw.columns))
    interactions = _in_contract_shape(raw, config)
    ignored = sorted(set(raw.columns) - set(_sources(raw, names).values()))
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
    """The configuration key `data.columns`: {contract column: column of the table}.

    Accepts the path of a YAML file, a list of `contract_name=column` pairs or a mapping. Raises RequestError for
    anything else and for names that the contract does not have.
    """
    names = load_column_map(value)
    pairs = names.items() if isinstance(names, Mapping) else [(None, None)]
    if not all(isinstance(part, str) and part for pair in pairs for part in pair):
        raise RequestError(
            f"data.columns: Expected pairs such as user_id=customer, or a YAML file of them. Received {value!r}."
        )
    for name in names:
        if name not in COLUMNS:
            raise RequestError(
                f"data.columns: Expected the names {', '.join(COLUMNS)}. "
                f"Received {name}{did_you_mean(name, COLUMNS)}."
            )
    return dict(names)


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


def _sources(raw: pl.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """Contract column -> column of the table: the declared one where it is there, else the one of the same name."""
    candidates = {name: (names.get(name), name) for name in COLUMNS}
    found = {
        name: next((source for source in sources if source in raw.columns), None)
        for name, sources in candidates.items()
    }
    return {name: source for name, source in found.items() if source is not None}


def _in_contract_shape(raw: pl.DataFrame, config: DataConfig) -> pl.DataFrame:
    """Selects and names the contract's columns. Judging values is the contract's part: none is dropped or emptied."""
    sources = _sources(raw, config.columns or {})
    for key in _KEYS:
        if key not in sources:
            raise RequestError(
                f"{absent(key, raw.columns)}\nName yours with --set data.columns=[{key}=YOUR_COLUMN]."
            )
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
        raise RequestError(absent(key, raw.columns))
    return raw.select(ids_as_text(raw[source]).alias(key), pl.exclude(source))
