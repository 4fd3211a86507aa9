"""Where applications come from: the generator, the public sets, a lender's own file; all in the contract's shape."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipelines.credit_scoring.cells import (
    codes_as_text,
    missing_marks_note,
    outcomes_as_declared,
    without_missing_marks,
)
from pipelines.credit_scoring.config import DataConfig
from pipelines.credit_scoring.declared import PUBLIC_FILES, column_map
from pipelines.credit_scoring.generator import SCHEMA as SYNTHETIC_SCHEMA
from pipelines.credit_scoring.generator import generate
from pipelines.credit_scoring.infer import with_inferred_columns
from pipelines.credit_scoring.schema import COMMON_COLUMNS, ColumnMap, LenderSchema
from shared.data.columns import absent, renamed
from shared.data.datasets import locate
from shared.data.own_table import own_table_path
from shared.data.tables import read_table
from shared.errors import RequestError

_SOURCES = "synthetic, german_credit, taiwan_default"


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
    return own_table_path(source, expected="credit applications", known=_SOURCES)


def load_applications(source: str, config: DataConfig, seed: int) -> Applications:
    """Applications from `synthetic`, a public data set, or the path of a CSV, Parquet or JSON Lines table.

    Raises RequestError for an unknown source, an unreadable file or a column map that does not fit.
    """
    path = source_path(source)
    if config.columns is not None and (path is None or source in PUBLIC_FILES):
        raise RequestError(
            f"Expected data.columns with a table of your own. Received it with {source}: leave it out."
        )
    if path is None:
        return Applications(generate(config.num_rows, seed), SYNTHETIC_SCHEMA)
    if source in PUBLIC_FILES:
        return read_to_train(path, column_map(source), source)
    return read_to_train(path, config.columns or ColumnMap(), path.stem)


def read_to_train(path: Path, columns: ColumnMap, name: str) -> Applications:
    """A lender's table with outcomes. Columns that the map does not declare are inferred when it declares none."""
    given = renamed(read_table(path, separator=columns.separator, names=columns.names), columns.rename)
    for source in columns.common_sources.values():
        if source is not None and source not in given.columns:
            raise absent(source, given.columns)
    raw = without_missing_marks(given, columns)
    notes = missing_marks_note(given, raw)
    if not columns.declares_features:
        features = raw.drop(*(set(raw.columns) & _common_sources(columns)))
        columns = with_inferred_columns(columns, features, name)
        audited = ", ".join(column.name for column in columns.protected)
        notes += (
            (f"Set aside for the fairness audit and not used as features: {audited}.",) if audited else ()
        )
    applications = _in_contract_shape(raw, columns.to_schema(name))
    return replace(applications, notes=(*notes, *applications.notes))


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
    raw = renamed(raw, {old: new for old, new in columns.rename.items() if old in raw.columns})
    identity = columns.application_id
    if identity is not None and not {identity, "application_id"} & set(raw.columns):
        raise absent(identity, raw.columns)
    return _in_contract_shape(without_missing_marks(raw, schema), schema).frame


def _common_sources(columns: ColumnMap) -> set[str]:
    """Columns of the lender's table that are no features: id, outcome, date, applicant."""
    return {*COMMON_COLUMNS, *(source for source in columns.common_sources.values() if source)}


def _in_contract_shape(raw: pl.DataFrame, schema: LenderSchema) -> Applications:
    """Selects and names the contract's columns. Values are left as they are: judging them is the contract's part."""
    sources = schema.reading.common_sources
    notes: list[str] = []
    series: list[pl.Series] = []
    for name in COMMON_COLUMNS:
        source = next((source for source in (sources[name], name) if source in raw.columns), None)
        if source is not None:
            series.append(raw[source].alias(name))
    if not any(column.name == "application_id" for column in series):
        numbered = [f"row-{number}" for number in range(1, raw.height + 1)]
        series.insert(0, pl.Series("application_id", numbered))
        notes.append("The table names no application id: rows are called by their number.")
    for feature in schema.feature_names:
        if feature not in raw.columns:
            raise absent(feature, raw.columns)
    wanted = [*schema.feature_names, *(column.name for column in schema.protected)]
    series += [raw[name] for name in wanted if name in raw.columns]
    ignored = sorted(set(raw.columns) - set(wanted) - _common_sources(schema.reading))
    if ignored:
        notes.append(f"Columns that are not declared and not used: {', '.join(ignored)}.")
    frame = pl.DataFrame(series)
    if "defaulted" in frame.columns:
        frame = frame.with_columns(outcomes_as_declared(frame["defaulted"], schema.reading))
    return Applications(codes_as_text(frame, schema), schema, tuple(notes))
