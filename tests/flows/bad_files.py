"""Files that no run can read, and tables that break a contract, as they come in the wild: for the request tests."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Writer = Callable[[Path, pl.DataFrame], Path]


def written(content: bytes, name: str = "own.csv") -> Writer:
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


def unreadable_tables(header: bytes, accented: pl.Expr, **more: Writer) -> pytest.MarkDecorator:
    """Parametrizes `write`, a writer of a file that no run can read.

    header: the first line of a CSV file that has no other. accented: puts an accent into a column, for a file in
    Latin-1 instead of UTF-8. more: kinds of file that this pipeline alone is tested with.
    """

    def in_latin_1(folder: Path, table: pl.DataFrame) -> Path:
        (folder / "own.csv").write_bytes(
            table.with_columns(accented).write_csv().encode("latin-1", errors="replace")
        )
        return folder / "own.csv"

    cases = _UNREADABLE | {"header-only": written(header + b"\n"), "latin-1": in_latin_1} | more
    return pytest.mark.parametrize("write", list(cases.values()), ids=list(cases))


_UNREADABLE: dict[str, Writer] = {
    "empty": written(b""),
    "zeros": written(b"\x00" * 500),
    "bytes": written(bytes(range(256)) * 16),
    "parquet-magic": written(b"PAR1", "own.parquet"),
    "broken-json": written(b'{"a": 1', "own.jsonl"),
    "program": written(b"MZ", "own.exe"),
    "truncated-parquet": truncated_parquet,
    "truncated-gzip": truncated_gzip,
}


def share(column: str, value: object, part: float = 0.2) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Replaces the first part of a column, as text where the value is none of its kind."""

    def change(table: pl.DataFrame) -> pl.DataFrame:
        first = pl.int_range(pl.len()) < int(len(table) * part)
        kept = pl.col(column).cast(pl.String) if isinstance(value, str) else pl.col(column)
        return table.with_columns(pl.when(first).then(pl.lit(value)).otherwise(kept).alias(column))

    return change
