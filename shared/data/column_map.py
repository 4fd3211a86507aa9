"""Which column of a user's own table is which column of a contract: the setting `data.columns`."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from shared.contracts.document import did_you_mean
from shared.data.columns import AbsentColumn, absent, load_column_map
from shared.errors import RequestError


def parsed_column_map(value: Any, columns: Sequence[str]) -> dict[str, str]:
    """The setting `data.columns`: {contract column: column of the table}, of the contract columns `columns`.

    Accepts the path of a YAML file, a list of `contract_name=column` pairs or a mapping. Raises RequestError for
    anything else and for names that the contract does not have.
    """
    names = load_column_map(value)
    pairs = names.items() if isinstance(names, Mapping) else [(None, None)]
    if not all(isinstance(part, str) and part for pair in pairs for part in pair):
        raise RequestError(
            f"data.columns: Expected pairs such as {columns[0]}=YOUR_COLUMN, or a YAML file of them. "
            f"Received {value!r}."
        )
    for name in names:
        if name not in columns:
            raise RequestError(
                f"data.columns: Expected the names {', '.join(columns)}. "
                f"Received {name}{did_you_mean(name, columns)}."
            )
    return dict(names)


def source_columns(raw: pl.DataFrame, names: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Contract column -> column of the table: the declared one where it is there, else the one of the same name.

    Contract columns that the table has under neither name are left out.
    """
    candidates = {name: (names.get(name), name) for name in columns}
    found = {
        name: next((source for source in sources if source in raw.columns), None)
        for name, sources in candidates.items()
    }
    return {name: source for name, source in found.items() if source is not None}


def require_declared(raw: pl.DataFrame, names: Mapping[str, str]) -> None:
    """Raises RequestError when a column that the map names is not in the table."""
    for source in names.values():
        if source not in raw.columns:
            raise absent(source, raw.columns)


def require_keys(raw: pl.DataFrame, sources: Mapping[str, str], keys: Sequence[str]) -> None:
    """Raises RequestError, with how to name it, when a contract column of `keys` has no source (`source_columns`)."""
    for key in keys:
        if key not in sources:
            raise AbsentColumn(
                f"{absent(key, raw.columns)}\nName yours with --set data.columns=[{key}=YOUR_COLUMN]."
            )
