"""Where transactions come from: the generator, the public set, a user's own file; all in the contract's shape."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.fraud_detection.config import DataConfig
from pipelines.fraud_detection.features import require_categories
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.public import PUBLIC_FILES, public_file, read_handbook
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.columns import absent
from shared.data.datasets import locate
from shared.data.flags import flags_as_numbers
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.own_table import own_table_path
from shared.data.tables import read_table
from shared.errors import RequestError

COLUMNS = (
    "transaction_id",
    "time",
    "customer_id",
    "terminal_id",
    "amount",
    "is_fraud",
    "label_time",
    "scenario",
)
_IDS = ("transaction_id", "customer_id", "terminal_id")
_MOMENTS = ("time", "label_time")
_KEYS = ("time", "customer_id", "terminal_id", "amount")
_SOURCES = "synthetic, fraud_handbook"


@dataclass(frozen=True, slots=True)
class Transactions:
    """A table in the shape of `card_transactions`, not checked yet; `notes` say in words what was read otherwise."""

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """The files behind a source; none for the generator.

    Raises RequestError for an unknown source, and for settings that only a table of one's own can have.
    """
    if source == "synthetic" or source in PUBLIC_FILES:
        _require_no_own_settings(source, config)
        return (public_file(source, locate(source)),) if source in PUBLIC_FILES else ()
    return (own_table_path(source, expected="card transactions", known=_SOURCES),)


def load_transactions(source: str, config: DataConfig, seed: int) -> Transactions:
    """Transactions from `synthetic`, the public set, or the path of a CSV, Parquet or JSON Lines table.

    Raises RequestError for an unknown source, an unreadable file or a column map that does not fit.
    """
    paths = source_paths(source, config)
    if not paths:
        return Transactions(generate(config.num_customers, config.num_terminals, config.num_days, seed).frame)
    if source in PUBLIC_FILES:
        return Transactions(read_handbook(paths[0]))
    raw = read_table(paths[0])
    names = config.columns or {}
    require_declared(raw, names)
    used = {*source_columns(raw, names, COLUMNS).values(), *config.categories}
    ignored = sorted(set(raw.columns) - used)
    transactions = _in_contract_shape(raw, config)
    notes = (f"Columns that are not used: {', '.join(ignored)}.",) if ignored else ()
    return Transactions(transactions.frame, (*transactions.notes, *notes))


def read_to_score(path: Path, config: DataConfig) -> Transactions:
    """Transactions to score, in the form of the training table or already in the contract's columns; not checked yet.

    Raises RequestError for a file that cannot be read and for columns that are not there, the categories among them.
    """
    raw = read_table(path)
    require_categories(raw.columns, config.categories)
    return _in_contract_shape(raw, config)


def parse_column_map(value: Any) -> dict[str, str]:
    """The configuration key `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def _require_no_own_settings(source: str, config: DataConfig) -> None:
    given = [name for name in ("columns", "categories") if getattr(config, name)]
    if given:
        raise RequestError(
            f"Expected data.{given[0]} with a table of your own. Received it with {source}: leave it out."
        )


def _in_contract_shape(raw: pl.DataFrame, config: DataConfig) -> Transactions:
    """Selects and names the contract's columns. Judging values is the contract's part: none is dropped or emptied."""
    sources = source_columns(raw, config.columns or {}, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[source].alias(name) for name, source in sources.items()}
    for name in columns.keys() & set(_IDS):
        columns[name] = ids_as_text(columns[name])
    for name in columns.keys() & set(_MOMENTS):
        columns[name] = as_moments(columns[name], config.time_unit)
    if "is_fraud" in columns:
        columns["is_fraud"] = flags_as_numbers(columns["is_fraud"])
    frame = pl.DataFrame([*columns.values(), *_categories(raw, config, sources)])
    if "transaction_id" in columns:
        return Transactions(frame)
    numbers = pl.Series("transaction_id", [f"row-{number}" for number in range(1, raw.height + 1)])
    return Transactions(
        frame.insert_column(0, numbers),
        ("The table names no transaction id: transactions are called by the number of their row.",),
    )


def _categories(raw: pl.DataFrame, config: DataConfig, sources: dict[str, str]) -> list[pl.Series]:
    """The declared categories as text; whole numbers are codes."""
    categories = []
    for name in config.categories:
        if name not in raw.columns:
            raise absent(name, raw.columns, key="data.categories")
        if name in COLUMNS or name in sources.values():
            raise RequestError(
                f"data.categories: Expected columns with no other part to play. Received {name}: leave it out."
            )
        values = raw[name].cast(pl.String) if raw[name].dtype == pl.Boolean else ids_as_text(raw[name])
        if values.dtype not in (pl.String, pl.Null):
            raise RequestError(
                f"data.categories: Expected text, whole numbers or truth values. Received {raw[name].dtype} in {name}."
            )
        categories.append(values.cast(pl.String))
    return categories
