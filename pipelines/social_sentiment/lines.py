"""Published files of one text a line, with what earlier programs did to the texts undone.

Some files of SemEval went through a CSV writer, which quotes a text that has a comma or a quote (and which something
later broke into lines), others hold escapes such as \\u2019. TweetEval took both over.
"""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from shared.data.delimited import plain_text
from shared.data.tables import LIMIT_BYTES
from shared.errors import RequestError

_QUOTED = r'^"(?:[^"]|"")*(?:,|"")(?:[^"]|"")*"$'
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_ESCAPED_QUOTES = re.compile(r'\\"+')


def read_lines(path: Path) -> list[str]:
    """The lines of a text file. Only a newline ends one: posts hold other separators.

    Raises RequestError for an empty file and for one that is not UTF-8 text, with the line.
    """
    if path.stat().st_size == 0:
        raise RequestError(f"Expected lines of text. Received {path}, which is empty (0 bytes).")
    with (
        ExitStack() as scratch,
        open(plain_text(path, scratch, "utf-8", LIMIT_BYTES), encoding="utf-8-sig", newline="") as file,
    ):
        lines = file.read().split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def as_written(texts: pl.Series) -> tuple[pl.Series, tuple[str, ...]]:
    """Texts without the quotes of a CSV writer and with escapes decoded, and notes of how many had them."""
    plain = texts.str.strip_chars(" \t\r")
    is_quoted = plain.str.contains(_QUOTED).fill_null(False)
    inner = plain.str.strip_prefix('"').str.strip_suffix('"').str.replace_all('""', '"', literal=True)
    unquoted = inner.zip_with(is_quoted, plain)
    # a quoted text that was broken into lines leaves one of its quotes in each of them
    is_torn = ~is_quoted & (unquoted.str.count_matches('"', literal=True).fill_null(0) % 2 == 1)
    whole = unquoted.str.strip_prefix('"').str.strip_suffix('"').zip_with(is_torn, unquoted)
    decoded = _decoded(whole)
    single = decoded.str.replace_all('"{2,}', '"')
    return single.alias(texts.name), _counted(
        {
            "had the quotes of a CSV writer": is_quoted,
            "began or ended with one of two quotes": whole.ne_missing(unquoted),
            "had escapes such as \\u2019": decoded.ne_missing(whole),
            "had doubled quotes": single.ne_missing(decoded),
        }
    )


def _decoded(texts: pl.Series) -> pl.Series:
    """Escapes as their characters; half of a surrogate pair is U+FFFD."""
    affected = texts.str.contains("\\", literal=True).fill_null(False).arg_true()
    if not len(affected):
        return texts
    return texts.clone().scatter(affected, [_unescaped(text) for text in texts[affected]])


def _unescaped(text: str) -> str:
    units = _ESCAPES.sub(
        lambda match: bytes.fromhex(match[0].replace("\\u", "")).decode("utf-16-be", errors="replace"), text
    )
    return _ESCAPED_QUOTES.sub('"', units)


def _counted(masks: Mapping[str, pl.Series]) -> tuple[str, ...]:
    return tuple(f"{mask.sum():,} texts {what}." for what, mask in masks.items() if mask.any())
