"""A folder of new data, and what is remembered of it: what was scored, and what was set aside.

The output folder is the memory. `<item>-<digest>/` holds the outputs and `record.json`; it appears whole or not at
all, so a run that is killed leaves nothing half done and the next one does it again. `set_aside/<item>-<digest>.json`
says what was wrong with data that cannot be scored; removing it asks for another try.
"""

import json
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from shared.data.files import atomic_write
from shared.errors import RequestError
from shared.orchestration.stored import identified

Unit = Literal["entry", "stem"]
"""What is scored at once: each entry of the folder (a file or a folder), or all files that share a stem."""

RECORD = "record.json"
SET_ASIDE = "set_aside"
# So often may a run end during an item, killed by its size for example, before the item is left alone.
MOST_ATTEMPTS = 3

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """What is scored at once. path: what the scorer is given; files: all that belong to it."""

    name: str
    path: Path
    files: tuple[Path, ...]

    def signature(self) -> Signature:
        """Names, sizes and times of the files: equal before and after, nothing was written between."""
        states = ((file, file.stat()) for file in self.files)
        return tuple((str(file), one.st_size, one.st_mtime_ns, one.st_ctime_ns) for file, one in states)

    def age_seconds(self) -> float:
        """Since the last change. Writers may set the time of modification, the one of change is the kernel's."""
        return time.time() - max(file.stat().st_ctime for file in self.files)


def new_items(folder: Path, unit: Unit) -> list[Item]:
    """What lies in a folder of new data (or the one file that `folder` is), the oldest first.

    Hidden names, links, pipes and devices are left out, and so are folders without a file.
    Raises RequestError when there is no such folder.
    """
    if _is_plain_file(folder):
        return [Item(folder.name, folder, (folder,))]
    if not folder.is_dir():
        raise RequestError(f"Expected a folder of new data. Received {folder}. Create it, or name another.")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in entries if _is_folder(path)]
    found = [Item(path.name, path, files) for path in folders if (files := tuple(_inside(path)))]
    stems: dict[str, list[Path]] = {}
    for path in filter(_is_plain_file, entries):
        stems.setdefault(path.stem if unit == "stem" else path.name, []).append(path)
    for name, members in stems.items():
        path = members[0] if len(members) == 1 else folder / name
        found.append(Item(path.name, path, tuple(members)))
    return sorted(found, key=lambda item: (max(file.stat().st_mtime for file in item.files), item.name))


@dataclass(frozen=True, slots=True)
class Records:
    """The output folder of a deployment, which remembers what was scored and what was set aside."""

    folder: Path

    def place(self, item: Item, digest: str) -> Path:
        """Where the outputs of an item lie, once it is scored."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", item.name).lstrip(".")[:80] or "item"
        return self.folder / f"{plain}-{digest[:16]}"

    def settled(self, item: Item, digest: str) -> bool:
        """Whether nothing is left to do: it was scored, or is set aside."""
        scored = (self.place(item, digest) / RECORD).is_file()
        return scored or self.attempts(item, digest) >= MOST_ATTEMPTS

    def note(self, item: Item, digest: str) -> Path:
        """Where it says what is wrong with an item."""
        return self.folder / SET_ASIDE / f"{self.place(item, digest).name}.json"

    def attempts(self, item: Item, digest: str) -> int:
        """Tries so far that did not end well; as many as there may be for one that was set aside."""
        try:
            document = json.loads(self.note(item, digest).read_bytes())
            return int(document["attempts"]) if not document["set_aside"] else MOST_ATTEMPTS
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def write_note(
        self, item: Item, digest: str, attempts: int, error: str, *, final: bool
    ) -> dict[str, Any]:
        document = {
            "item": item.name,
            "digest": digest,
            "attempts": attempts,
            "set_aside": final,
            "error": error,
            "at": now(),
        }
        atomic_write(self.note(item, digest), json.dumps(document, indent=2) + "\n")
        return document

    def digests(self) -> "KnownDigests":
        return KnownDigests(self.folder / ".digests.json")


class KnownDigests:
    """Digests of files that have not changed since they were last read: a look does not read every file again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        try:
            document = json.loads(path.read_bytes())
            self._known = document if isinstance(document, dict) else {}
        except (OSError, ValueError):
            pass  # nothing remembered: everything is read again
        self._used: dict[str, dict[str, Any]] = {}

    def of(self, item: Item) -> str:
        """Digest of the names and contents of the item's files."""
        signature = [list(each) for each in item.signature()]
        entry = self._known.get(item.name)
        if not (isinstance(entry, dict) and entry.get("signature") == signature):
            entry = {"signature": signature, "digest": identified(item.name, item.files).sha256}
        self._used[item.name] = entry
        return str(entry["digest"])

    def save(self) -> None:
        """Keep those that were asked for."""
        if self._used != self._known:
            atomic_write(self._path, json.dumps(self._used))


def _inside(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            continue
        if _is_plain_file(path):
            yield path


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def now() -> str:
    """The time of a record, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
