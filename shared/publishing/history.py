"""Append-only record of who put which model into use, when and why: JSON lines, chained by their digests.

Each line carries the SHA-256 of the line before it, so an edit anywhere breaks the chain from there on.
"""

import getpass
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.data.files import file_lock
from shared.errors import FieldworkError
from shared.publishing.plain import canonical

_START = "0" * 64
_CHUNK_BYTES = 65536


class History:
    """The events of one pipeline; several processes may write, and others read at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def append(self, event: str, **facts: Any) -> str:
        """Add one event and return the digest of its line; it is on the disk when this returns.

        Time (UTC) and user name are added here. A line that a killed writer left unfinished was never
        reported as written; it is removed first.
        """
        with self._opened() as descriptor:
            last = _last_line(descriptor)
            record = {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "who": user_name(),
                "event": event,
                **facts,
                "previous": _digest(last) if last else _START,
            }
            line = canonical(record).encode()
            _write_all(descriptor, line + b"\n")
            os.fsync(descriptor)
        return _digest(line)

    def read(self) -> list[dict[str, Any]]:
        """All events, oldest first; call `verify` to know whether they are what was written."""
        return [record for _, record in self._records()]

    def verify(self, head: str | None = None) -> int:
        """Check the chain and return the number of events.

        `head` is the digest of a line known from elsewhere: when it is not in the chain, events were cut off
        at the end. Raises FieldworkError that names the first line that does not fit.
        """
        previous, num_events, head_seen = _START, 0, head is None
        for line, record in self._records():
            num_events += 1
            if not isinstance(record, dict) or record.get("previous") != previous:
                raise FieldworkError(
                    f"{self.path} was changed at or before line {num_events}: its chain is broken. "
                    "Restore it from a backup; the registry itself is not affected."
                )
            previous = _digest(line)
            head_seen = head_seen or previous == head
        if not head_seen:
            raise FieldworkError(f"{self.path} lost its last events: the registry knows of later ones.")
        return num_events

    def _records(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not self.path.is_file():
            return
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # being written, or left by a killed writer
                try:
                    yield line[:-1], json.loads(line)
                except ValueError as error:
                    raise FieldworkError(f"{self.path} is damaged: line {number} is not JSON.") from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with file_lock(self.path.with_suffix(".lock")):
            created = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            if created:
                _fsync_folder(self.path.parent)


def user_name() -> str:
    """Name of the user, or their number where the system knows no name (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _last_line(descriptor: int) -> bytes:
    """The last whole line; what follows it is cut off. Reads from the end, so the cost does not grow."""
    size = os.fstat(descriptor).st_size
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2:
        step = min(_CHUNK_BYTES, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        os.ftruncate(descriptor, start + len(whole))
    return whole[:-1].rsplit(b"\n", 1)[-1]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
