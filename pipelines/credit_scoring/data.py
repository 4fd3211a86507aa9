"""Where applications come from: the generator, the public sets, a lender's own file; all in the contract's shape."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors
import yaml
from pydantic import ValidationError

from pipelines.credit_scoring.config import DataConfig
from pipelines.credit_scoring.declared import PUBLIC_FILES, column_map
from pipelines.credit_scoring.generator import SCHEMA as SYNTHETIC_SCHEMA
from pipelines.credit_scoring.generator import generate
from pipelines.credit_scoring.schema import COMMON_COLUMNS, ColumnMap, LenderSchema, with_inferred_columns
from shared.data.datasets import locate
from shared.data.public_sets import public_sets as known_sets
from shared.data.tables import read_table
from shared.errors import RequestError
from shared.orchestration.overrides import validation_message


@dataclass(frozen=True, slots=True)
class Applications:
    """A table in the contract's columns, not checked yet, with the lender's schema."""

    frame: pl.DataFrame
    schema: LenderSchema
    notes: tuple[str, ...] = ()


def source_path(source: str) -> Path | None:
    """The file behind a source, None for the generator. Raises RequestError for an unknown source."""
    if source == "synthetic":
        return None
    if source in PUBLIC_FILES:
        return locate(source) / PUBLIC_FILES[source]
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if source in known_sets():
        raise RequestError(
            f"Expected a source of credit applications. Received {source}, a data set of another domain.\n"
            "There are synthetic, german_credit, taiwan_default, or the path of your own table."
        )
    raise RequestError(
        f"Expected synthetic, german_credit, taiwan_default or the path of a table. Received {source!r}: "
        f"{'a folder' if path.is_dir() else 'there is no such file'}."
    )


def load_applications(source: str, config: DataConfig, seed: int) -> Applications:
    """Applications from `synthetic`, a public data set, or the path of a CSV, Parquet or JSON Lines table.

    Raises RequestError for an unknown source, an unreadable file or a column map that does not fit.
    """
    path = source_path(source)
    if path is None:
        return Applications(generate(config.num_rows, seed), SYNTHETIC_SCHEMA)
    if source in PUBLIC_FILES:
        return read_to_train(path, column_map(source), source)
    return read_to_train(path, config.columns or ColumnMap(), path.stem)


def read_to_train(path: Path, columns: ColumnMap, name: str) -> Applications:
    """A lender's table with outcomes. Columns that the map does not declare are inferred when it declares none."""
    raw = read_table(path, separator=columns.separator, names=columns.names)
    raw = _missing_marks_removed(_renamed(raw, columns))
    if not columns.declares_features:
        features = raw.drop(*(set(raw.columns) & _common_sources(columns)))
        columns = with_inferred_columns(columns, features, name)
    return _in_contract_shape(raw, columns.to_schema(name))


def read_to_score(path: Path, schema: LenderSchema) -> pl.DataFrame:
    """A table to score with a model of this schema: in the lender's form, or already in the contract's columns."""
    columns = schema.reading
    raw = None
    if columns.names:
        # the lender's files have no header; a table made by hand or exported from elsewhere may well have one
        with suppress(RequestError):
            raw = read_table(path)
    if raw is None or not set(raw.columns) & set(schema.feature_names):
        raw = read_table(path, separator=columns.separator, names=columns.names)
    known = {old: new for old, new in columns.rename.items() if old in raw.columns}
    raw = _renamed(raw, columns.model_copy(update={"rename": known}))
    return _in_contract_shape(_missing_marks_removed(raw), schema).frame


def _common_sources(columns: ColumnMap) -> set[str]:
    """Columns of the lender's table that are no features: id, outcome, date, applicant."""
    return {*COMMON_COLUMNS, *(source for source in columns.common_sources.values() if source)}


def load_column_map(value: Any) -> Any:
    """`data.columns` as given: the path of a YAML file, or a list of `contract_name=column` pairs.

    Anything else is returned as it is, for the configuration to judge. Raises ValueError for a bad file.
    """
    if isinstance(value, str):
        try:
            document = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"Expected a YAML file with the columns. Received {value}: {reason}") from error
        if not isinstance(document, dict):
            raise ValueError(f"Expected a mapping in {value}, such as `defaulted: bad_flag`.")
        return document
    if isinstance(value, list | tuple) and all(isinstance(item, str) and "=" in item for item in value):
        return dict(item.split("=", 1) for item in value)
    return value


def _renamed(frame: pl.DataFrame, columns: ColumnMap) -> pl.DataFrame:
    absent = sorted(set(columns.rename) - set(frame.columns))
    if absent:
        raise RequestError(
            f"Expected the columns {', '.join(columns.rename)} in the table. Received none called "
            f"{', '.join(absent)}. There are: {', '.join(frame.columns[:30])}."
        )
    names = [columns.rename.get(name, name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(
            f"Expected distinct column names after renaming. Received {', '.join(twice)} twice."
        )
    return frame.rename(dict(columns.rename))


# Cells that are empty in all but spelling; kept as text they would become a category or break a number.
_MISSING_MARKS = ("", "na", "n/a", "nan", "null", "none", "?")


def _missing_marks_removed(frame: pl.DataFrame) -> pl.DataFrame:
    """Text cells that only mark a missing value become missing; a column of numbers beside them becomes numeric."""
    frame = frame.with_columns(polars.selectors.float().fill_nan(None))
    text = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    cleaned = frame.with_columns(
        pl.when(pl.col(name).str.strip_chars().str.to_lowercase().is_in(_MISSING_MARKS))
        .then(None)
        .otherwise(pl.col(name))
        .alias(name)
        for name in text
    )
    numeric = []
    for name in text:
        if cleaned[name].null_count() == frame[name].null_count():
            continue
        parsed = cleaned[name].str.strip_chars().cast(pl.Float64, strict=False)
        if parsed.null_count() == cleaned[name].null_count():
            numeric.append(parsed)
    return cleaned.with_columns(numeric)


def _in_contract_shape(raw: pl.DataFrame, schema: LenderSchema) -> Applications:
    """Selects and names the contract's columns. Values are left as they are: judging them is the contract's part."""
    sources = schema.reading.common_sources
    notes: list[str] = []
    series: list[pl.Series] = []
    for name in COMMON_COLUMNS:
        source = sources[name] or name
        if source in raw.columns:
            series.append(raw[source].alias(name))
        elif sources[name] and name != "defaulted":
            raise RequestError(_absent(sources[name] or name, raw.columns))
    if not any(column.name == "application_id" for column in series):
        numbered = [f"row-{number}" for number in range(1, raw.height + 1)]
        series.insert(0, pl.Series("application_id", numbered))
        notes.append("The table names no application id: rows are called by their number.")
    wanted = [*schema.feature_names, *(column.name for column in schema.protected)]
    series += [raw[name] for name in wanted if name in raw.columns]
    ignored = sorted(set(raw.columns) - set(wanted) - _common_sources(schema.reading))
    if ignored:
        notes.append(f"Columns that are not declared and not used: {', '.join(ignored)}.")
    frame = pl.DataFrame(series)
    if "defaulted" in frame.columns:
        frame = frame.with_columns(_outcome(frame["defaulted"], schema.reading))
    return Applications(frame.with_columns(_as_text(frame, schema)), schema, tuple(notes))


def _outcome(values: pl.Series, columns: ColumnMap) -> pl.Series:
    """1 for default, 0 for repaid; any other value stays as it is and breaks the contract by its own name."""
    text = values.cast(pl.String).str.strip_chars()
    bad, good = _spellings(columns.default_value), _spellings(columns.repaid_value)
    mapped = (
        pl.when(text.is_in(bad)).then(pl.lit("1")).when(text.is_in(good)).then(pl.lit("0")).otherwise(text)
    )
    return pl.select(mapped.alias("defaulted")).to_series()


def _spellings(value: Any) -> list[str]:
    if isinstance(value, bool):
        return [str(value), str(value).lower()]
    if isinstance(value, int | float):
        return [f"{value:g}", str(value), str(float(value))]
    return [str(value)]


def _as_text(frame: pl.DataFrame, schema: LenderSchema) -> Sequence[pl.Expr]:
    """Codes that a reader took for numbers are categories all the same: 1 and 1.0 are written 1."""
    text = [column.name for column in schema.categorical]
    text += [column.name for column in schema.protected if not column.upper_edges]
    expressions = []
    for name in text:
        if name in frame.columns and frame[name].dtype.is_numeric():
            whole = frame[name].drop_nulls().cast(pl.Float64)
            as_integer = bool((whole == whole.round()).all())
            column = pl.col(name).cast(pl.Int64) if as_integer else pl.col(name)
            expressions.append(column.cast(pl.String))
    return expressions


def _absent(name: str, there: Sequence[str]) -> str:
    return f"Expected a column {name} in the table. There are: {', '.join(there[:30])}."


def parse_column_map(value: Any) -> ColumnMap:
    """A validated `ColumnMap` from what `load_column_map` accepts. Raises RequestError."""
    try:
        return ColumnMap.model_validate(load_column_map(value))
    except ValidationError as error:
        raise RequestError(f"data.columns: {validation_message(error)}") from error
    except ValueError as error:
        raise RequestError(f"data.columns: {error}") from error
