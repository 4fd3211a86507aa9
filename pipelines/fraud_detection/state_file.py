"""The file of a `FeatureState`: one Parquet table of events, with what they belong to beside them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.labels import known_at
from shared.data.files import atomic_path
from shared.errors import RequestError

CUSTOMER, TERMINAL = "customer_id", "terminal_id"
_VALUES = pl.List(pl.String)
_SCHEMA = pl.Schema(
    [
        ("is_fraud", pl.Boolean()),
        ("column", pl.String()),
        ("id", pl.String()),
        ("time", pl.Int64()),
        ("amount", pl.Float64()),
        ("values", _VALUES),
    ]
)
_DESCRIPTION = "fieldwork_feature_state"

Values = Sequence[str | None]
# Of whom: whether frauds (at the moments at which they became known) or transactions; the column, which is that of
# customers, of terminals or a category; what stands there. Then: times in microseconds, ascending; of customers amounts
# and values of all categories.
Events = tuple[bool, str, str | None, list[int], list[float], list[Values]]
Row = tuple[bool, str, str | None, int, float | None, Values | None]


def described(config: FeatureConfig, labelled: bool, categories: Sequence[str]) -> dict[str, object]:
    """What decides what a state keeps; hours of the night and the time zone do not."""
    return {
        "windows_days": list(config.windows_days),
        "label_delay_days": config.label_delay_days,
        "labelled": labelled,
        "categories": list(categories),
    }


def write(path: Path, rows: Sequence[Row], now: int, description: Mapping[str, object]) -> None:
    """Write the events of a state (`described`), whole or not at all."""
    metadata = {_DESCRIPTION: json.dumps({"now": now, **description})}
    with atomic_path(path) as temporary:
        pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(temporary, metadata=metadata)


def read(path: Path, description: Mapping[str, object]) -> tuple[Iterator[Events], int]:
    """Events and the present of a state. Raises RequestError for another file or one of another configuration."""
    try:
        frame = pl.read_parquet(path, glob=False)
        found = json.loads(pl.read_parquet_metadata(path)[_DESCRIPTION])
        now = int(found.pop("now"))
    except (OSError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
        raise RequestError(
            f"Expected a state of features in {path}. Received {type(error).__name__}: remove it, and the state "
            "begins anew."
        ) from error
    if found != description or frame.schema != _SCHEMA:
        raise RequestError(
            f"Expected a state of {description} in {path}. Received {found}: remove it, and the state begins anew."
        )
    return _grouped(frame), now


def events_of(
    frame: pl.DataFrame, config: FeatureConfig, labelled: bool, categories: Sequence[str]
) -> Iterator[Events]:
    """Events of a table of transactions that windows after it may need."""
    longest = pl.duration(days=config.windows_days[-1])
    delay = pl.duration(days=config.label_delay_days)
    latest, time = pl.col("time").max(), pl.col("time")
    known = known_at(frame.columns, config.label_delay_days)
    values = pl.concat_list(categories) if categories else pl.lit([], dtype=_VALUES)
    of_customers = frame.filter(time > latest - longest).select(
        *_about(CUSTOMER, are_frauds=False), time, "amount", values=values
    )
    parts = [of_customers]
    came_in = frame.filter(time > latest - longest - delay)
    for column in (TERMINAL, *categories) if labelled else (TERMINAL,):
        parts.append(came_in.select(*_about(column, are_frauds=False), time, amount=None, values=None))
        if labelled:
            frauds = frame.filter((pl.col("is_fraud") == 1) & (known > latest - longest))
            about = _about(column, are_frauds=True)
            parts.append(frauds.select(*about, known.alias("time"), amount=None, values=None))
    in_microseconds = [part.with_columns(time.dt.timestamp("us")).cast(_SCHEMA) for part in parts]
    return _grouped(pl.concat(in_microseconds).sort("time", maintain_order=True))


def _about(column: str, *, are_frauds: bool) -> tuple[pl.Expr, ...]:
    return pl.lit(are_frauds).alias("is_fraud"), pl.lit(column).alias("column"), pl.col(column).alias("id")


def _grouped(frame: pl.DataFrame) -> Iterator[Events]:
    by = frame.group_by("is_fraud", "column", "id", maintain_order=True)
    return by.agg("time", "amount", "values").iter_rows()
