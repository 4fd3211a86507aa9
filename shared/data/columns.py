"""The columns of a user's own table: reading how they map to a contract, renaming them, missing them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from shared.contracts.document import did_you_mean
from shared.errors import RequestError

_NUM_NAMED = 30


class AbsentColumn(RequestError):
    """A table that can be read has no such column."""


def load_column_map(value: Any) -> Any:
    """The configuration key `data.columns` as users give it, as the mapping that the configuration judges.

    Accepts the path of a YAML file, or a list of `contract_name=column` pairs; anything else is returned as it is.
    Raises RequestError for a file that cannot be read as a mapping.
    """
    if isinstance(value, str):
        return _read_mapping(Path(value))
    if isinstance(value, list | tuple) and all(isinstance(item, str) and "=" in item for item in value):
        return dict(item.split("=", 1) for item in value)
    return value


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"data.columns: Expected a YAML file with the columns. Received {path}: {reason}"
        ) from error
    if not isinstance(document, dict):
        raise RequestError(
            f"data.columns: Expected a mapping in {path}, such as `contract_name: your_column`. "
            f"Received {type(document).__name__}."
        )
    return document


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """The table with columns called by other names, {"in the file": "here"}; columns that are not named keep theirs.

    Raises AbsentColumn for a column that is not there, RequestError for two columns that would have one name.
    """
    missing = sorted(set(names) - set(frame.columns))
    if missing:
        raise AbsentColumn(
            f"Expected the columns {', '.join(names)} in the table. Received none called "
            f"{', '.join(missing)}. {_there(frame.columns)}"
        )
    after = [names.get(name, name) for name in frame.columns]
    twice = sorted({name for name in after if after.count(name) > 1})
    if twice:
        raise RequestError(
            f"Expected distinct column names after renaming. Received {', '.join(twice)} twice."
        )
    return frame.rename(dict(names))


def absent(name: str, there: Sequence[str], *, key: str = "") -> AbsentColumn:
    """The error that a column is not in the table, with close names and those that are there; key: who asks for it."""
    asked = f"{key}: " if key else ""
    return AbsentColumn(
        f"{asked}Expected a column {name} in the table{did_you_mean(name, there)}. {_there(there)}"
    )


def _there(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _NUM_NAMED} more" if len(columns) > _NUM_NAMED else ""
    return f"There are: {', '.join(columns[:_NUM_NAMED])}{more}."
