"""Named public data sets: what they are, where a copy lies, and how to fetch one.

Nothing is passed on with Fieldwork and nothing is fetched unless asked. A digest is pinned where the
published file is known; where it is not (None), the digest of the first fetch is recorded and shown, so that
a change is seen.
"""

import difflib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from shared.data.archives import unpack
from shared.data.download import Progress, download
from shared.data.files import atomic_folder, atomic_write, file_lock, sha256_file
from shared.data.home import home
from shared.data.public_sets import PublicSet, Source, public_sets
from shared.errors import FieldworkError, RequestError

RECORD_NAME = "fetched.json"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of `fieldwork data list`: `path` is None where no copy was found."""

    name: str
    title: str
    domain: str
    licence: str
    path: Path | None
    fetchable: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """Where a data set lies now, the digests of its files, and which of them were pinned beforehand."""

    path: Path
    sha256: dict[str, str]
    verified: tuple[str, ...]


def find(name: str) -> PublicSet:
    """The description of a set; `-` and `_` are the same. Unknown: RequestError with the close matches."""
    wanted = name.strip().lower().replace("-", "_")
    if wanted in public_sets():
        return public_sets()[wanted]
    near = difflib.get_close_matches(wanted, public_sets(), n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "See `fieldwork data list`."
    raise RequestError(f"Expected the name of a public data set. Received {name!r}. {hint}")


def locate(name: str) -> Path:
    """The folder of a set: `$FIELDWORK_DATA/<name>`, then the data home.

    Raises RequestError that names the fetch command when neither has its files.
    """
    public_set = find(name)
    folders = _candidates(public_set)
    for folder in folders:
        if _is_complete(public_set, folder):
            return folder
    partial = [folder for folder in folders if folder.is_dir()]
    seen = f"{partial[0]} lacks its files" if partial else f"looked in {' and '.join(map(str, folders))}"
    way_out = f"fieldwork data fetch {public_set.name}" if public_set.sources else public_set.by_hand
    raise RequestError(f"The data set {public_set.name} is not on this machine ({seen}). Get it: {way_out}")


def status() -> list[Status]:
    """All sets, in the order of the catalogue, with the copy that `locate` would take."""
    rows = []
    for item in public_sets().values():
        path = next((folder for folder in _candidates(item) if _is_complete(item, folder)), None)
        rows.append(Status(item.name, item.title, item.domain, item.licence, path, bool(item.sources)))
    return rows


def fetch(name: str, *, progress: Progress | None = None, pause_seconds: float = 1.0) -> Fetched:
    """Fetch a set from its publisher into the data home; one that is there already is only described.

    Interrupted, it continues on the next call. Every file is checked against its pinned digest; a
    `fetched.json` beside the files records all digests, addresses and the time. Raises RequestError for a set
    that cannot be fetched safely, with what to do by hand.
    """
    public_set = find(name)
    folder = home().datasets / public_set.name
    if not public_set.sources:
        raise RequestError(f"{public_set.name} is not fetched. {public_set.by_hand}")
    with file_lock(home().datasets / f".{public_set.name}.lock"):
        if not _is_complete(public_set, folder):
            downloads = home().cache / "downloads" / public_set.name
            if folder.exists() and any(folder.iterdir()):
                raise FieldworkError(
                    f"Expected an empty folder. Received {folder} with other files: move it."
                )
            files = [_download(source, downloads, progress, pause_seconds) for source in public_set.sources]
            with atomic_folder(folder) as fresh:
                for source, file in zip(public_set.sources, files, strict=True):
                    _place(source, file, fresh)
                _check(public_set, fresh)
                atomic_write(fresh / RECORD_NAME, json.dumps(_record(public_set, fresh, files), indent=2))
            shutil.rmtree(downloads, ignore_errors=True)
    digests = (
        json.loads((folder / RECORD_NAME).read_text())["files"] if (folder / RECORD_NAME).exists() else {}
    )
    return Fetched(folder, digests, tuple(name for name in public_set.sha256 if name in digests))


def _candidates(public_set: PublicSet) -> list[Path]:
    given = os.environ.get("FIELDWORK_DATA", "").strip()
    folders = [Path(given).expanduser().absolute() / public_set.name] if given else []
    return [*folders, home().datasets / public_set.name]


def _is_complete(public_set: PublicSet, folder: Path) -> bool:
    """Whether a folder has the files of one of the forms in which users have this set."""
    return any(all(any(folder.glob(pattern)) for pattern in form) for form in public_set.forms)


def _download(source: Source, folder: Path, progress: Progress | None, pause_seconds: float) -> Path:
    target = folder / PurePosixPath(source.file_name).name
    # Without a pinned digest a complete download of an earlier, interrupted fetch is as good as a new one.
    if source.sha256 is not None or not target.is_file():
        download(source.url, target, sha256=source.sha256, progress=progress, pause_seconds=pause_seconds)
    return target


def _place(source: Source, file: Path, folder: Path) -> None:
    """Put a download where the loaders look for it."""
    if not source.members:
        target = folder / source.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.header is None:
            shutil.copyfile(file, target)
        else:
            _with_header(file, target, source.header)
        return
    scratch = folder / ".unpacked"
    if source.inner_archive is not None:
        inner = unpack(file, scratch, place=_placement({source.inner_archive: "inner.zip"}))
        if len(inner) != 1:
            raise FieldworkError(
                f"Expected {source.inner_archive} inside {source.url}. The publisher changed it."
            )
        unpack(inner[0], folder / ".inner", place=_placement(source.members))
        shutil.rmtree(scratch)
        scratch = folder / ".inner"
    else:
        unpack(file, scratch, place=_placement(source.members))
    shutil.copytree(scratch, folder, dirs_exist_ok=True)
    shutil.rmtree(scratch)


def _placement(members: dict[str, str]) -> Callable[[str], str | None]:
    """Member names to places, by the first pattern that fits (see `Source.members`)."""

    def place(member: str) -> str | None:
        name = PurePosixPath(member).name
        if name.startswith("._"):  # resource forks that macOS adds to archives
            return None
        for pattern, target in members.items():
            if fnmatch(member, pattern):
                return target.replace("*", name).replace("?", PurePosixPath(name).stem)
        return None

    return place


def _with_header(file: Path, target: Path, header: str) -> None:
    """Copy a CSV with other column names; their number must be the same."""
    with open(file, "rb") as source, open(target, "wb") as sink:
        found = source.readline().decode("utf-8-sig").count(",")
        if found != header.count(","):
            raise FieldworkError(
                f"Expected {header.count(',') + 1} columns in {file.name}. Received {found + 1}: it changed."
            )
        sink.write(f"{header}\n".encode())
        shutil.copyfileobj(source, sink)


def _check(public_set: PublicSet, folder: Path) -> None:
    if not _is_complete(public_set, folder):
        wanted = ", ".join(public_set.forms[0])
        raise FieldworkError(f"Expected {wanted} in {public_set.name}. Its publisher changed it: not kept.")
    for name, sha256 in public_set.sha256.items():
        path = folder / name
        if path.exists() and sha256_file(path) != sha256:
            raise FieldworkError(
                f"Expected {name} of {public_set.name} as pinned ({sha256[:12]}). Received another: not kept."
            )


def _record(public_set: PublicSet, folder: Path, downloads: list[Path]) -> dict[str, object]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sources = zip(public_set.sources, downloads, strict=True)
    return {
        "name": public_set.name,
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": [{"url": source.url, "sha256": sha256_file(file)} for source, file in sources],
        "files": {path.relative_to(folder).as_posix(): sha256_file(path) for path in files},
        "licence": public_set.licence,
        "citation": public_set.citation,
    }
