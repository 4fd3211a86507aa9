"""Files that no run can read, and tables that break a contract, as they come in the wild: for the request tests."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl


def written(content: bytes, name: str = "own.csv") -> Callable[[Path, pl.DataFrame], Path]:
    """A writer of a file with this content, whatever the table."""

    def write(folder: Path, _table: pl.DataFrame) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def truncated_parquet(folder: Path, table: pl.DataFrame) -> Path:
    """The first 2,000 bytes of a Parquet file."""
    table.write_parquet(folder / "own.parquet")
    os.truncate(folder / "own.parquet", 2000)
    return folder / "own.parquet"


def truncated_gzip(folder: Path, table: pl.DataFrame) -> Path:
    """The first half of a packed CSV file."""
    packed = gzip.compress(table.write_csv().encode())
    (folder / "own.csv.gz").write_bytes(packed[: len(packed) // 2])
    return folder / "own.csv.gz"


def in_latin_1(folder: Path, table: pl.DataFrame) -> Path:
    """A CSV file in Latin-1 instead of UTF-8; some cell of the table has an accent."""
    (folder / "own.csv").write_bytes(table.write_csv().encode("latin-1"))
    return folder / "own.csv"


def share(column: str, value: object, part: float = 0.2) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Replaces the first part of a column, as text where the value is none of its kind."""

    def change(table: pl.DataFrame) -> pl.DataFrame:
        first = pl.int_range(pl.len()) < int(len(table) * part)
        kept = pl.col(column).cast(pl.String) if isinstance(value, str) else pl.col(column)
        return table.with_columns(pl.when(first).then(pl.lit(value)).otherwise(kept).alias(column))

    return change
