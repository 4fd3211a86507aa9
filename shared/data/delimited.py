"""Delimited text, checked before it is parsed: encoding, separator, header, fields per row, and which columns
are numbers. Every check streams, so memory is bounded by the resulting table.
"""

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from shared.data.files import scratch_file
from shared.data.home import home
from shared.errors import RequestError

_BLOCK_BYTES = 1 << 22
_MAX_RECORD_BYTES = 1 << 26
_SAMPLE_CHARACTERS = 1 << 16
_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}
# The exact reader's own limit, 128 KiB, is less than a cell of text may hold. Set for the whole process.
csv.field_size_limit(_MAX_RECORD_BYTES)
_QUOTE, _NEWLINE, _RETURN = ord('"'), ord("\n"), ord("\r")


def plain_text(path: Path, scratch: ExitStack, encoding: str, limit_bytes: int) -> Path:
    """The file itself, or a copy where it is gzipped or in another encoding; checked to be UTF-8 text."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    text = _unpacked(path, scratch, limit_bytes) if packed else path
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
    except LookupError as error:
        raise RequestError(f"Expected an encoding such as windows-1252. Received {encoding!r}.") from error
    if not is_utf8:
        text = _transcoded(path, text, scratch, encoding)
    _require_text(path, text)
    return text


def read_delimited(
    path: Path, text: Path, scratch: ExitStack, separator: str | None, names: Sequence[str] | None
) -> pl.DataFrame:
    """Parse a checked text file; `path` is only for messages. See `shared.data.tables.read_table`."""
    if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
        raise RequestError(f"Expected one character as the separator. Received {separator!r}.")
    lines = _first_lines(text)
    if not lines[0].strip():
        raise RequestError(
            f"Expected a header in the first line of {path}. Received an empty line: remove it."
        )
    separator = separator or _detect_separator(lines, allow_blanks=_may_be_blank_separated(path))
    if separator == " ":
        text, separator = _blanks_to_tabs(text, scratch), "\t"
        lines = _first_lines(text)
    first = next(csv.reader(lines, delimiter=separator))
    header = _checked_names(path, first, names)
    blank_records = _check_records(path, text, separator, len(header))
    lazy = pl.scan_csv(
        text,
        separator=separator,
        has_header=names is None,
        new_columns=header,
        infer_schema=False,
        glob=False,
    )
    if len(blank_records) and len(header) > 1:
        first_row = 1 if names is None else 0
        blanks = pl.Series(blank_records - first_row, dtype=pl.UInt32)
        lazy = (
            lazy.with_row_index("\x00row").filter(~pl.col("\x00row").is_in(blanks.implode())).drop("\x00row")
        )
    return _typed(lazy, header, decimal_comma=separator != ",")


def _unpacked(path: Path, scratch: ExitStack, limit_bytes: int) -> Path:
    target = scratch.enter_context(scratch_file(home().cache / "scratch", ".txt"))
    written = 0
    try:
        with gzip.open(path, "rb") as source, open(target, "wb") as sink:
            while block := source.read(_BLOCK_BYTES):
                written += len(block)
                if written > limit_bytes:
                    raise RequestError(
                        f"Expected at most {limit_bytes / 1e9:,.1f} GB. {path} unpacks to more: split it."
                    )
                sink.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RequestError(
            f"Expected a whole gzip file. Received {path}, cut off or damaged after {written:,} bytes: "
            "fetch or write it again."
        ) from error
    if written == 0:
        raise RequestError(f"Expected a table. Received {path}, which is empty when unpacked.")
    return target


def _transcoded(path: Path, text: Path, scratch: ExitStack, encoding: str) -> Path:
    target = scratch.enter_context(scratch_file(home().cache / "scratch", ".txt"))
    try:
        with (
            open(text, encoding=encoding, newline="") as source,
            open(target, "w", encoding="utf-8", newline="") as sink,
        ):
            while block := source.read(_BLOCK_BYTES):
                sink.write(block)
    except UnicodeError as error:
        raise RequestError(
            f"Expected text in {encoding}. Received {path} in another encoding: {error}."
        ) from error
    return target


def _require_text(path: Path, text: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, newlines, returns = 0, 0, 0
    for block in _blocks(text):
        if done == 0 and block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise RequestError(f"Expected UTF-8 text. Received {path}, in UTF-16: iconv -f UTF-16 -t UTF-8.")
        if b"\x00" in block:
            raise RequestError(
                f"Expected a table of text. {path} is binary: a zero byte at {done + block.index(0):,}."
            )
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            bad = error.object[error.start]
            # The decoder may hold up to three bytes of the block before.
            place = done + error.start - (len(error.object) - len(block))
            line = newlines + error.object[: error.start].count(b"\n") + 1
            raise RequestError(
                f"Expected UTF-8 text. Received byte 0x{bad:02x} in line {line:,} (byte {place:,}) of "
                f"{path}. If it comes from Windows: iconv -f WINDOWS-1252 -t UTF-8."
            ) from error
        done += len(block)
        newlines += block.count(b"\n")
        returns += block.count(b"\r")
    if returns and not newlines:
        raise RequestError(
            f"Expected lines that end in a newline. Received {path} with carriage returns only."
        )


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _first_lines(text: Path) -> list[str]:
    with open(text, encoding="utf-8-sig", newline="") as file:
        lines = [file.readline(_MAX_RECORD_BYTES)]
        # The header whole, then a bounded sample.
        return [*lines, *file.readlines(_SAMPLE_CHARACTERS)]


def _may_be_blank_separated(path: Path) -> bool:
    """A CSV file of one column may hold sentences: blanks separate only where the name does not say CSV."""
    name = path.name.lower().removesuffix(".gz")
    return not name.endswith((".csv", ".tsv"))


def _detect_separator(lines: list[str], *, allow_blanks: bool) -> str:
    """The candidate by which most lines have as many fields as the first; comma for a single column."""
    best, best_score = ",", (0.0, 0)
    for candidate in [",", ";", "\t", "|", *([" "] if allow_blanks else [])]:
        if candidate == " ":
            fields = [len(line.split()) for line in lines if line.strip()]
        else:
            fields = [len(row) for row in csv.reader(lines, delimiter=candidate) if row]
        if fields and fields[0] > 1:
            score = (fields.count(fields[0]) / len(fields), -len(fields) if candidate == " " else fields[0])
            if score > best_score:
                best, best_score = candidate, score
    return best


def _blanks_to_tabs(text: Path, scratch: ExitStack) -> Path:
    target = scratch.enter_context(scratch_file(home().cache / "scratch", ".tsv"))
    with open(text, "rb") as source, open(target, "wb") as sink:
        while lines := source.readlines(_BLOCK_BYTES):
            sink.writelines(b"\t".join(line.split()) + b"\n" for line in lines)
    return target


def _checked_names(path: Path, first: list[str], names: Sequence[str] | None) -> list[str]:
    """Those given, or the trimmed header; a name left out (an index column) becomes `column_<n>`."""
    if names is not None:
        if len(names) != len(first):
            raise RequestError(f"Expected {len(names)} columns in {path}. Received {len(first)}.")
        header = list(names)
    else:
        header = [name.strip() or f"column_{number}" for number, name in enumerate(first, start=1)]
        if all(re.fullmatch(r"[+-]?\d+([.,]\d+)?", name) for name in header):
            raise RequestError(
                f"Expected names in the first line of {path}. Received numbers: add a header line."
            )
    twice = (
        sorted({name for name in header if header.count(name) > 1}) if len(set(header)) < len(header) else []
    )
    if twice:
        raise RequestError(
            f"Expected different column names. Received {twice[0]!r} more than once in line 1 of {path}: "
            "rename a column, or add the missing header line."
        )
    return header


def _check_records(path: Path, text: Path, separator: str, num_fields: int) -> np.ndarray:
    """Numbers of the blank lines, counted in records from 0; RequestError names the first ragged row.

    The fast scan counts separators outside quotes. It is wrong only for a stray quote inside a field, so its
    doubts are settled by the exact reader.
    """
    blanks: list[np.ndarray] = []
    carry, num_records = b"", 0
    for block in chain(_blocks(text), [b""]):
        data = carry + block
        if not block and data and not data.endswith(b"\n"):
            data += b"\n"
        fields, blank, used = _count_fields(data, ord(separator))
        unclosed = len(data) - used > _MAX_RECORD_BYTES or (not block and used < len(data))
        if unclosed or np.any((fields != num_fields) & ~blank):
            return _check_records_exactly(path, text, separator, num_fields)
        blanks.append(num_records + np.flatnonzero(blank))
        num_records += len(fields)
        carry = data[used:]
    return np.concatenate(blanks)


def _count_fields(data: bytes, separator: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Fields of each whole record, whether it is blank, and the bytes that the whole records take."""
    values = np.frombuffer(data, dtype=np.uint8)
    ends, separators = values == _NEWLINE, values == separator
    quotes = values == _QUOTE
    if quotes.any():
        outside = np.bitwise_xor.accumulate(quotes.view(np.uint8)) == 0
        ends &= outside
        separators &= outside
    stops = np.flatnonzero(ends)
    if not len(stops):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), 0
    starts = np.concatenate([[0], stops[:-1] + 1])
    passed = np.searchsorted(np.flatnonzero(separators), stops)
    lengths = stops - starts
    blank = (lengths == 0) | ((lengths == 1) & (values[starts] == _RETURN))
    return np.diff(passed, prepend=0) + 1, blank, int(stops[-1]) + 1


def _check_records_exactly(path: Path, text: Path, separator: str, num_fields: int) -> np.ndarray:
    blanks: list[int] = []
    with open(text, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        line = 1
        try:
            for number, row in enumerate(reader):
                if not row:
                    blanks.append(number)
                elif len(row) != num_fields:
                    kind = _SEPARATOR_NAMES.get(separator, separator)
                    raise RequestError(
                        f"Expected {num_fields} {kind}-separated fields in each row. "
                        f"Received {len(row)} in line {line:,} of {path}: {_excerpt(row, separator)}"
                    )
                line = reader.line_num + 1
        except csv.Error as error:
            raise RequestError(
                f"Expected rows of fields in {path}. A quoted text near line {line:,} does not end."
            ) from error
    return np.array(blanks, dtype=np.int64)


def _excerpt(row: list[str], separator: str) -> str:
    text = separator.join(row)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _typed(lazy: pl.LazyFrame, header: list[str], *, decimal_comma: bool) -> pl.DataFrame:
    """Two streaming passes: one finds which columns are plainly numbers, the other parses."""
    # Trimmed once for all facts: as part of each it costs three times the whole (2026-11, 2 cores).
    facts = (
        lazy.select(_trimmed(name).alias(name) for name in header)
        .select(pl.struct(_number_facts(pl.col(name), decimal_comma)).alias(name) for name in header)
        .collect(engine="streaming")
    )
    columns = [_parsed(name, facts[name][0]).alias(name) for name in header]
    return lazy.select(columns).collect(engine="streaming")


def _trimmed(name: str) -> pl.Expr:
    """The cell without blanks around it; missing where nothing is left."""
    cell = pl.col(name).str.strip_chars(" \t")
    return pl.when(cell != "").then(cell)


def _number_facts(cell: pl.Expr, decimal_comma: bool) -> list[pl.Expr]:
    """What decides about a column, as one boolean each over all cells."""
    facts = {
        "filled": cell.is_not_null().any(),
        "integers": (cell.cast(pl.Int64, strict=False).is_not_null() | cell.is_null()).all(),
        "floats": (cell.cast(pl.Float64, strict=False).is_not_null() | cell.is_null()).all(),
        # Codes such as 007, and identifiers with more digits than a float holds, must not become numbers.
        "codes": cell.str.contains(r"^[+-]?0\d").any(),
        "long": cell.str.contains(r"^[+-]?\d{16,}$").any(),
    }
    if decimal_comma:
        facts["commas"] = cell.str.contains(r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$").all()
        # 1,234 in every cell may as well be one thousand two hundred and thirty-four: left as text.
        facts["decimal"] = (
            cell.str.contains(",") & ~cell.str.contains(r"^[+-]?[1-9]\d{0,2}(,\d{3})+$")
        ).any()
    return [expression.alias(fact) for fact, expression in facts.items()]


def _parsed(name: str, facts: dict[str, bool]) -> pl.Expr:
    cell = _trimmed(name)
    if facts["filled"] and not facts["codes"]:
        if facts["integers"]:
            return cell.cast(pl.Int64)
        if facts["floats"] and not facts["long"]:
            return cell.cast(pl.Float64)
        if facts.get("commas") and facts["decimal"]:
            return cell.str.replace(",", ".", literal=True).cast(pl.Float64)
    return pl.when(pl.col(name) != "").then(pl.col(name))
