"""How the command line writes: consoles, tables, numbers, and a stdout that can be reserved for JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from shared.errors import RequestError

PIPED_WIDTH = 160
"""Columns when the output is no terminal: wide enough that `grep` finds whole rows."""

NO_NUMBER = "–"


def console(*, stderr: bool = False) -> Console:
    """A console on the current stdout or stderr. Text is printed as it is: no markup, no emoji codes."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def say(text: str, *, stderr: bool = False) -> None:
    """Print one plain line as it is: never wrapped, so that paths stay whole."""
    console(stderr=stderr).print(plain(text), soft_wrap=True)


def plain(value: object) -> str:
    """Text that is safe on a terminal: control characters from file names, cells and headers are escaped."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def number(value: float | None) -> str:
    """Three significant digits; counts (int) stay exact; millions and more get a suffix."""
    if value is None or math.isnan(value):
        return NO_NUMBER
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or math.isinf(value):
        return f"{value:.3g}"
    rounded = float(f"{value:.2e}")  # first: 9.996 has the magnitude of 10.0
    magnitude = math.floor(math.log10(abs(rounded)))
    if magnitude < -4 or magnitude >= 12:
        return f"{value:.2e}"
    if magnitude >= 6:
        scale, suffix = (1e9, "G") if magnitude >= 9 else (1e6, "M")
        return f"{rounded / scale:.{2 - magnitude % 3}f}{suffix}"
    return f"{rounded:,.{max(0, 2 - magnitude)}f}"


def interval(metric: Mapping[str, Any]) -> str:
    """A metric as `0.790 [0.720, 0.850]`; without the brackets where it has no interval."""
    value, low, high = (metric.get(key) for key in ("value", "low", "high"))
    if low is None or high is None:
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def duration(seconds: float | None) -> str:
    """`4.10 s`, `2 min 5 s` or `1 h 2 min`."""
    if seconds is None:
        return NO_NUMBER
    if seconds < 120:
        return f"{number(float(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Table:
    """A table. Columns in `right` hold numbers; those in `whole` hold names to copy: never wrapped."""
    result = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        result.add_column(
            plain(column), justify=justify, overflow="fold", no_wrap=column in whole, min_width=4
        )
    for row in rows:
        result.add_row(*(plain(cell) for cell in row))
    return result


@contextmanager
def _everything_on_stderr() -> Iterator[None]:
    """Move the file descriptor too: what a C library or a child process prints must not reach stdout."""
    import ctypes

    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C keeps printed text in a buffer of its own until the process ends
        os.dup2(saved, 1)
        os.close(saved)


class JsonTarget:
    """Where `--json` goes: nowhere, a file, or stdout (`-`), which then carries nothing else.

    Raises RequestError at once when the file cannot be there: nobody trains for an hour to learn that.
    """

    def __init__(self, argument: str | None) -> None:
        self.path = None if argument in (None, "-") else Path(str(argument))
        self.is_stdout = argument == "-"
        if self.path is not None:
            require_writable(self.path, option="--json")

    def reserved(self) -> Any:
        """A context in which everything that is printed goes to stderr when stdout belongs to the JSON."""
        return _everything_on_stderr() if self.is_stdout else nullcontext()

    def write(self, document: Mapping[str, Any]) -> None:
        """Write the object. NaN and infinity are no JSON: they raise ValueError."""
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
        if self.is_stdout:
            sys.stdout.write(text)
            sys.stdout.flush()
        elif self.path is not None:
            from shared.data.files import atomic_write

            atomic_write(self.path, text)


def require_writable(path: Path, *, option: str) -> None:
    """Raise RequestError when no file can be written there: it is a folder, or its folder is missing."""
    if path.is_dir():
        raise RequestError(f"Expected a file for {option}. Received the folder {path}. Add a file name.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise RequestError(
            f"Expected an existing folder for {option}. Received {path}. Create {folder} first."
        )
    if not os.access(folder, os.W_OK):
        raise RequestError(
            f"Expected a writable folder for {option}. Received {path}. Choose another folder."
        )
