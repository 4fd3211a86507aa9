"""Archives from strangers: unpacked without leaving the folder, following links or filling the disk."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from shared.data.files import atomic_folder
from shared.errors import FieldworkError, RequestError

LIMIT_BYTES = 16 << 30
_MAX_MEMBERS = 200_000
# Text compresses about 10 times, sparse images up to 200; a bomb 1,000 and more. Small archives may pass.
_MAX_RATIO = 250
_RATIO_FROM_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20

# What the libraries raise for damaged, encrypted and contradictory archives.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    FileExistsError,
    NotADirectoryError,
)

# A regular file of an archive: its name and how to open it.
_Member = tuple[str, Callable[[], IO[bytes]]]


def unpack(
    archive: Path,
    into: Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    place: Callable[[str], str | None] | None = None,
) -> list[Path]:
    """Unpack a zip or a (compressed) tar into a new or empty folder, whole or not at all; returns the files.

    `place` maps a member's name to its path below `into`, or to None to leave it out (default: its own name).
    Raises FieldworkError for names that leave the folder, links, devices, two members of one name, and for
    more than `limit_bytes` or a compression ratio of a bomb, counted while unpacking, whatever the headers
    claim.
    """
    archive, into = Path(archive), Path(into)
    if not archive.is_file():
        raise RequestError(f"Expected an archive. Received {archive}, which does not exist.")
    allowed = min(limit_bytes, max(archive.stat().st_size * _MAX_RATIO, _RATIO_FROM_BYTES))
    taken: set[str] = set()
    with _members(archive) as members, atomic_folder(into) as folder:
        for number, (name, open_member) in enumerate(members):
            if number >= _MAX_MEMBERS:
                raise FieldworkError(
                    f"Expected at most {_MAX_MEMBERS:,} files. Received {archive} with more."
                )
            wanted = place(_safe(archive, name)) if place else name
            if wanted is None:
                continue
            wanted = _safe(archive, wanted)
            if wanted.casefold() in taken:
                raise FieldworkError(f"Expected different names in {archive}. Received {wanted!r} twice.")
            taken.add(wanted.casefold())
            target = folder / wanted
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_member() as source, open(target, "xb") as sink:
                allowed -= _copy(archive, source, sink, allowed)
    return sorted(path for path in into.rglob("*") if path.is_file())


def _safe(archive: Path, name: str) -> str:
    """The name as a path below the folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\x00" in name:
        raise FieldworkError(
            f"Expected paths inside the folder. Received {name!r} in {archive}: not unpacked."
        )
    return str(path)


def _copy(archive: Path, source: IO[bytes], sink: IO[bytes], allowed: int) -> int:
    done = 0
    while chunk := source.read(_CHUNK_BYTES):
        done += len(chunk)
        if done > allowed:
            raise FieldworkError(
                f"{archive} unpacks to far more than an honest archive of its size: not unpacked."
            )
        sink.write(chunk)
    return done


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                yield _zip_members(archive, file)
        else:
            with tarfile.open(archive) as file:
                yield _tar_members(archive, file)
    except _DAMAGE as error:
        raise FieldworkError(
            f"Expected a whole zip or tar archive. Received {archive}: {error}. Fetch it again."
        ) from error


def _zip_members(archive: Path, file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise FieldworkError(f"Expected plain files. Received the link {info.filename!r} in {archive}.")
        if not info.is_dir():
            yield info.filename, partial(file.open, info)


def _tar_members(archive: Path, file: tarfile.TarFile) -> Iterator[_Member]:
    for info in file:
        if info.isfile():
            yield info.name, partial(_extracted, file, info)
        elif not info.isdir():
            raise FieldworkError(
                f"Expected plain files. Received the link or device {info.name!r} in {archive}."
            )


def _extracted(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    source = file.extractfile(info)
    assert source is not None, "only regular files get here"
    return source
