"""Checks a file before anything parses it: in the allowed folder, regular, whole, readable as its type."""

import codecs
import csv
import stat
from pathlib import Path

from shared.errors import RequestError

MAX_FILE_BYTES = 64 * 1024**3
PARQUET_MAGIC = b"PAR1"
_CHUNK_BYTES = 1 << 20
_LAST_LINE_BYTES = 1 << 20
_WIDE_ENCODINGS = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    codecs.BOM_UTF32_BE: "UTF-32",
}


def check_file(path: str | Path, *, root: Path | None = None, max_bytes: int = MAX_FILE_BYTES) -> Path:
    """The resolved path of a file that can be read whole.

    root: the only folder that the file may lie in, links followed (for paths that come from requests).
    max_bytes: largest size allowed. Parquet and CSV (.csv, .tsv) are also checked for their form.
    Raises RequestError that says what is wrong and how to repair it.
    """
    resolved = _resolved(Path(path), root)
    try:
        status = resolved.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RequestError(f"Expected a regular file at {path}. Received a folder, device or pipe.")
        if status.st_size == 0:
            raise RequestError(f"Expected data in {path}. Received an empty file.")
        if status.st_size > max_bytes:
            raise RequestError(
                f"Expected at most {max_bytes} bytes in {path}. Received {status.st_size}. Split the file."
            )
        suffix = resolved.suffix.lower()
        if suffix in (".parquet", ".pq"):
            _check_parquet(resolved, status.st_size)
        elif suffix in (".csv", ".tsv"):
            _check_text(resolved)
        else:
            with resolved.open("rb") as file:
                file.read(1)
    except FileNotFoundError as error:
        raise RequestError(f"Expected a file at {path}. Received no such file. Check the path.") from error
    except OSError as error:
        raise RequestError(f"Expected a readable file at {path}. Received: {error.strerror}.") from error
    return resolved


def _resolved(path: Path, root: Path | None) -> Path:
    try:
        resolved = path.expanduser().resolve()
        inside = root is None or resolved.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise RequestError(f"Expected a usable path. Received {str(path)!r}: {error}.") from error
    if not inside:
        raise RequestError(f"Expected a file inside {root}. Received {path}, which leads outside.")
    return resolved


def _check_parquet(path: Path, num_bytes: int) -> None:
    """Looks at both ends: an interrupted copy lacks the footer, which a Parquet writer writes last."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, num_bytes - 8))
        tail = file.read(8)
    if head != PARQUET_MAGIC:
        raise RequestError(
            f"Expected a Parquet file at {path}. Received something else (it does not start with PAR1)."
        )
    footer_bytes = int.from_bytes(tail[:4], "little")
    if num_bytes < 12 or tail[4:] != PARQUET_MAGIC or footer_bytes > num_bytes - 12:
        raise RequestError(
            f"Expected a whole Parquet file at {path}. Received one that is cut off. Copy it again."
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        ends = [_end_of_group(group) for group in groups]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise RequestError(
            f"Expected a readable Parquet footer in {path}. Received a damaged one."
        ) from error
    if max(ends, default=0) > num_bytes - 8 - footer_bytes:
        raise RequestError(
            f"Expected a whole Parquet file at {path}. Received one that lacks data. Copy it again."
        )


def _end_of_group(group: "pq.RowGroupMetaData") -> int:  # type: ignore[name-defined]  # noqa: F821
    """Where the last column chunk of a row group ends, in bytes from the start of the file."""
    ends = [0]
    for index in range(group.num_columns):
        column = group.column(index)
        starts = [column.data_page_offset]
        if column.dictionary_page_offset:
            starts.append(column.dictionary_page_offset)
        ends.append(min(starts) + column.total_compressed_size)
    return max(ends)


def _check_text(path: Path) -> None:
    """One pass in pieces: UTF-8, no NUL, quotes closed, and a last line as wide as the header."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    num_quotes = 0
    position = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            _refuse_binary(path, chunk, position)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, position - pending + error.start, error.object[error.start]) from error
            num_quotes += chunk.count(b'"')
            position += len(chunk)
        pending = len(decoder.getstate()[0])
    if pending:
        raise RequestError(
            f"Expected whole UTF-8 characters in {path}. Received a file cut off at its end. Copy it again."
        )
    if num_quotes % 2:
        raise RequestError(
            f"Expected closed quotes in {path}. Received an open one: the file is cut off or misquoted."
        )
    _check_last_line(path, position)


def _refuse_binary(path: Path, chunk: bytes, position: int) -> None:
    if position == 0:
        for mark, encoding in _WIDE_ENCODINGS.items():
            if chunk.startswith(mark):
                raise RequestError(f"Expected UTF-8 text in {path}. Received {encoding}: save it as UTF-8.")
    zero = chunk.find(b"\0")
    if zero >= 0:
        raise RequestError(
            f"Expected text in {path}. Received a zero byte at byte {position + zero}: it is binary."
        )


def _not_utf8(path: Path, position: int, byte: int) -> RequestError:
    line = 1
    with path.open("rb") as file:
        remaining = position
        while remaining and (chunk := file.read(min(_CHUNK_BYTES, remaining))):
            line += chunk.count(b"\n")
            remaining -= len(chunk)
    as_latin = bytes([byte]).decode("latin-1")
    reading = f" (latin-1 '{as_latin}')" if as_latin.isprintable() else ""
    return RequestError(
        f"Expected UTF-8 text in {path}. Received the byte 0x{byte:02x}{reading} at byte {position}, "
        f"line {line}.\n"
        f"Convert it, for example: iconv -f latin1 -t utf-8 {path.name} > converted.csv"
    )


def _check_last_line(path: Path, num_bytes: int) -> None:
    """A last line without an end and with fewer fields than the header was cut off while it was written."""
    with path.open("rb") as file:
        header = file.readline(_LAST_LINE_BYTES)
        file.seek(max(0, num_bytes - _LAST_LINE_BYTES))
        last = file.read().rsplit(b"\n", 1)[-1]
    # An odd number of quotes: the line continues a quoted field, and its own fields cannot be counted.
    whole_lines = header.endswith(b"\n") and 0 < len(last) < _LAST_LINE_BYTES
    if not whole_lines or last.count(b'"') % 2 or header.count(b'"') % 2:
        return
    separator = max([b",", b";", b"\t", b"|"], key=header.count).decode()
    widths = [
        len(next(csv.reader([line.decode("utf-8-sig", "replace")], delimiter=separator)))
        for line in (header, last)
    ]
    if widths[1] < widths[0]:
        raise RequestError(
            f"Expected {widths[0]} fields in the last line of {path}. Received {widths[1]} and no line end: "
            "the file is cut off. Copy it again."
        )
