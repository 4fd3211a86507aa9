"""The file of a `FeatureState`: one Parquet table of events, with what they belong to beside them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.labels import known_at
from shared.data.files import atomic_path
from shared.errors import RequestError

CUSTOMER, TERMINAL, FRAUD = range(3)
_SCHEMA = pl.Schema({"kind": pl.UInt8, "id": pl.String, "time": pl.Int64, "amount": pl.Float64})
_DESCRIPTION = "fieldwork_feature_state"

# Kind, id, times in microseconds, ascending, and amounts (of customers).
Events = tuple[int, str, list[int], list[float]]
Row = tuple[int, str, int, float | None]


def write(path: Path, rows: Sequence[Row], now: int, config: FeatureConfig, labelled: bool) -> None:
    """Write the events of a state, whole or not at all."""
    described = json.dumps({"now": now, **_described(config, labelled)})
    with atomic_path(path) as temporary:
        pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(
            temporary, metadata={_DESCRIPTION: described}
        )


def read(path: Path, config: FeatureConfig, labelled: bool) -> tuple[Iterator[Events], int]:
    """Events and the present of a state. Raises RequestError for another file or one of another configuration."""
    try:
        frame = pl.read_parquet(path, glob=False)
        described = json.loads(pl.read_parquet_metadata(path)[_DESCRIPTION])
        now = int(described.pop("now"))
    except (OSError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
        raise RequestError(
            f"Expected a state of features in {path}. Received {type(error).__name__}: remove it, and the state "
            "begins anew."
        ) from error
    if described != _described(config, labelled) or frame.schema != _SCHEMA:
        raise RequestError(
            f"Expected a state of {_described(config, labelled)} in {path}. Received {described}: remove it, and the "
            "state begins anew."
        )
    return _grouped(frame), now


def events_of(frame: pl.DataFrame, config: FeatureConfig, labelled: bool) -> Iterator[Events]:
    """Events of a table of transactions that windows after it may need."""
    longest = pl.duration(days=config.windows_days[-1])
    delay = pl.duration(days=config.label_delay_days)
    latest, time = pl.col("time").max(), pl.col("time")
    known = known_at(frame.columns, config.label_delay_days)
    of_customers = frame.filter(time > latest - longest).select(
        pl.lit(CUSTOMER).alias("kind"), pl.col("customer_id").alias("id"), time, "amount"
    )
    of_terminals = frame.filter(time > latest - longest - delay).select(
        pl.lit(TERMINAL).alias("kind"), pl.col("terminal_id").alias("id"), time, amount=None
    )
    parts = [of_customers, of_terminals]
    if labelled:
        frauds = frame.filter((pl.col("is_fraud") == 1) & (known > latest - longest))
        parts.append(
            frauds.select(
                pl.lit(FRAUD).alias("kind"),
                pl.col("terminal_id").alias("id"),
                known.alias("time"),
                amount=None,
            )
        )
    in_microseconds = [part.with_columns(time.dt.timestamp("us")).cast(_SCHEMA) for part in parts]
    return _grouped(pl.concat(in_microseconds).sort("time", maintain_order=True))


def _grouped(frame: pl.DataFrame) -> Iterator[Events]:
    return frame.group_by("kind", "id", maintain_order=True).agg("time", "amount").iter_rows()


def _described(config: FeatureConfig, labelled: bool) -> dict[str, object]:
    """What decides what a state keeps; hours of the night and the time zone do not."""
    return {
        "windows_days": list(config.windows_days),
        "label_delay_days": config.label_delay_days,
        "labelled": labelled,
    }
