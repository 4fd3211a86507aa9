"""Tables as users have them, into Polars and back, with a plain message for everything a file can do wrong.

Nothing is coerced silently: a column becomes a number only when every cell is plainly one. What the columns
mean is the contract's business, not the reader's.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import polars as pl

from shared.data.delimited import plain_text, read_delimited
from shared.data.files import atomic_path
from shared.errors import RequestError

# More than this does not fit in the memory of the machines this is meant for; a small file can unpack to it.
LIMIT_BYTES = 16 << 30
_FOREIGN = {
    b"PK\x03\x04": "a zip or Excel file: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"\x89HDF": "an HDF5 file: export it as Parquet",
    b"BZh": "a bzip2 file: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it first",
}
_WRITERS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz")


def read_table(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    separator: str | None = None,
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
    limit_bytes: int = LIMIT_BYTES,
) -> pl.DataFrame:
    """Read CSV, TSV, blank-separated text, JSON Lines (all also gzipped) or Parquet, told apart by their
    content.

    `columns` renames: {name in the file: wanted name}; other columns are kept. `separator` is found out when
    not given (" " stands for any run of blanks). `names` says that the file has no header, `encoding` what it
    is in when it is not UTF-8. Empty cells are missing. A column of numbers with decimal commas is read as
    such where the separator is not a comma; codes with leading zeros, digits beyond what a float holds,
    booleans and dates stay text. Raises RequestError that says what is wrong with the file and where.
    """
    path = Path(path)
    _require_file(path, limit_bytes)
    with ExitStack() as scratch, _readable(path):
        start = _start(path)
        if start.startswith(b"PAR1"):
            frame = _read_parquet(path, limit_bytes)
        else:
            text = plain_text(path, scratch, encoding, limit_bytes)
            if _is_json_lines(path, text):
                frame = _read_json_lines(path, text)
            else:
                frame = read_delimited(path, text, scratch, separator, names)
    if frame.height == 0:
        raise RequestError(f"Expected rows in {path}. Received {frame.width} columns without any row.")
    return _renamed(frame, columns or {}, path)


def write_table(frame: pl.DataFrame, path: Path) -> Path:
    """Write a table, whole or not at all, in the format that the suffix names. Returns the path."""
    path = Path(path)
    kind = next((suffix for suffix in reversed(_WRITERS) if path.name.lower().endswith(suffix)), None)
    if kind is None:
        raise RequestError(f"Expected an output named *{', *'.join(_WRITERS)}. Received {path.name}.")
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    if nested and "sv" in kind:
        raise RequestError(
            f"Expected plain columns for {path.name}. Received lists in {nested[0]!r}: use .parquet."
        )
    with atomic_path(path) as temporary:
        if kind == ".parquet":
            frame.write_parquet(temporary)
            return path
        compression: Literal["gzip", "uncompressed"] = "gzip" if kind.endswith(".gz") else "uncompressed"
        if kind.startswith(".jsonl"):
            frame.write_ndjson(temporary, compression=compression, check_extension=False)
        else:
            frame.write_csv(
                temporary,
                separator="\t" if kind.startswith(".tsv") else ",",
                compression=compression,
                check_extension=False,
            )
    return path


def _require_file(path: Path, limit_bytes: int) -> None:
    if path.is_dir():
        raise RequestError(f"Expected a table file. Received the folder {path}: name a file in it.")
    if not path.is_file():
        near = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = _did_you_mean(path.name, near)
        raise RequestError(f"Expected a table file. Received {path}, which does not exist.{hint}")
    size = path.stat().st_size
    if size == 0:
        raise RequestError(f"Expected a table. Received {path}, which is empty (0 bytes).")
    if size > limit_bytes:
        raise RequestError(
            f"Expected at most {limit_bytes / 1e9:,.1f} GB. {path} has {size / 1e9:,.1f} GB: split it."
        )


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        start = file.read(16)
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise RequestError(f"Expected CSV, TSV, JSON Lines or Parquet. Received {path}, {what}.")
    return start


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """The engine's own errors, in one line that names the file."""
    try:
        yield
    except PermissionError as error:
        raise RequestError(f"Cannot read {path}: permission denied. Change its permissions.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise RequestError(
            f"Cannot read {path}: {reason}. Check for cut-off content or stray quotes."
        ) from error


def _read_parquet(path: Path, limit_bytes: int) -> pl.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise RequestError(
            f"Expected a whole Parquet file. Received {path}, which is cut off or damaged."
        ) from error
    pages = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    # Runs of one value take no room in the file, but they do in memory.
    size = max(pages, footer.num_rows * footer.num_columns * 8)
    if size > limit_bytes:
        raise RequestError(
            f"Expected at most {limit_bytes / 1e9:,.1f} GB. {path} unpacks to {size / 1e9:,.1f} GB: split it."
        )
    return pl.read_parquet(path, glob=False)


def _is_json_lines(path: Path, text: Path) -> bool:
    """By content. The name only decides whether a JSON list, which is not read, is worth a message."""
    with open(text, "rb") as file:
        first = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[" and ".json" in path.name:
        raise RequestError(
            f"Expected JSON Lines, one object a line. Received {path}, one JSON list: rewrite it."
        )
    return first == b"{"


def _read_json_lines(path: Path, text: Path) -> pl.DataFrame:
    try:
        return pl.read_ndjson(text, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        with open(text, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                _require_object(path, number, line)
        raise


def _require_object(path: Path, number: int, line: str) -> None:
    try:
        good = not line.strip() or isinstance(json.loads(line), dict)
    except ValueError:
        good = False
    if not good:
        raise RequestError(
            f"Expected a JSON object in each line. Received {line.strip()[:60]!r} in line {number} of {path}."
        )


def _renamed(frame: pl.DataFrame, columns: Mapping[str, str], path: Path) -> pl.DataFrame:
    for name in columns:
        if name not in frame.columns:
            raise RequestError(
                f"Expected a column {name!r} in {path}. Received {_listed(frame.columns)}."
                f"{_did_you_mean(name, frame.columns)}"
            )
    wanted = [columns.get(name, name) for name in frame.columns]
    twice = {name for name in wanted if wanted.count(name) > 1} if len(set(wanted)) < len(wanted) else set()
    if twice:
        raise RequestError(
            f"Expected one column for each name. Received {sorted(twice)[0]!r} for two columns of {path}."
        )
    return frame.rename(dict(columns))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _did_you_mean(name: str, candidates: Sequence[str]) -> str:
    folded = {candidate.casefold(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=3)
    return f" Did you mean {' or '.join(repr(folded[match]) for match in near)}?" if near else ""
