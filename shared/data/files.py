"""Writes that survive a crash, and locks that do not.

A reader sees the old file or the new one, never half of one: everything goes to a temporary name in the same
folder, is flushed to the disk, and takes its final name in one step.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import FieldworkError

_TEMPORARY = re.compile(r"\.fieldwork-[0-9a-f]{16}\.tmp(\.[^/]*)?")
_STALE_SECONDS = 24 * 3600
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole small file at once; text is stored as UTF-8.

    A disk that is full or a folder that is not writable gives a FieldworkError; the old file stays as it was.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the suffix of `path`; on success it becomes `path`, on error it is removed.

    The block must create the file. Missing parent folders are made.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        temporary = _temporary_name(path)
        try:
            yield temporary
            _fsync(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _fsync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `path` when the block ends well, and vanishes otherwise.

    `path` must not exist yet, or be an empty folder: a folder cannot be exchanged for another in one step.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FieldworkError(f"Expected a new or empty folder. Received {path}: remove or rename it first.")
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        temporary = _temporary_name(path)
        temporary.mkdir()
        try:
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _fsync(Path(folder, name))
                _fsync(Path(folder))
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _fsync(path.parent)


@contextmanager
def scratch_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path in a folder whose disk is known to be large enough; it is gone afterwards."""
    with _explained(folder / f"scratch{suffix}"):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = _temporary_name(folder / f"scratch{suffix}")
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder below a folder whose disk is known to be large enough; it is gone afterwards.

    What a killed process leaves there is swept later, and does not lie open to others as in a shared /tmp.
    """
    with _explained(folder / "scratch"):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = _temporary_name(folder / "scratch")
        temporary.mkdir(mode=0o700)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in pieces: memory does not grow with the file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_lock(path: Path, *, wait: bool = True, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold an exclusive lock; yields whether it was obtained (always True with `wait`).

    The kernel releases it when the process dies, so no stale lock is ever left. Threads of one process
    exclude each other too. The file itself stays: deleting it would let two holders lock two different files.
    `on_wait` is called once, before waiting for another holder.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        held = _try_lock(descriptor, path)
        if not held and wait:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held = True
        try:
            yield held
        finally:
            # Closing is not enough: a child forked meanwhile shares the descriptor and would keep the lock.
            if held:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FieldworkError(
            f"The file system of {path} does not support locks ({error.strerror}). "
            "Set FIELDWORK_HOME to a folder on a local disk."
        ) from error
    return True


def _temporary_name(path: Path) -> Path:
    """A new hidden name beside `path`, with its suffix: some writers choose the format by it."""
    return path.with_name(f".fieldwork-{secrets.token_hex(8)}.tmp{path.suffix[:32]}")


def _sweep(folder: Path) -> None:
    """Remove what killed writers left: a job that dies at every checkpoint must not fill the disk."""
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for path in left:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the two failures that a user can mend, no space and no permission, into plain words."""
    try:
        yield
    except FieldworkError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        # Writers in native code report a full disk in their own exception types, with the system's text.
        if number in _DISK_FULL or any(os.strerror(each) in str(error) for each in _DISK_FULL):
            raise FieldworkError(
                f"The disk is full: cannot write {path} ({_free_megabytes(path):,.0f} MB free). "
                "Free some space, or set FIELDWORK_HOME to a folder on a larger disk."
            ) from error
        if number in _NOT_WRITABLE and _concerns(error, path):
            raise FieldworkError(
                f"Cannot write {path}: {os.strerror(number or 0)}. "
                "Make the folder writable, or set FIELDWORK_HOME to one that is."
            ) from error
        raise


def _concerns(error: Exception, path: Path) -> bool:
    """Whether a permission error is about the target rather than a file that the block was reading."""
    named = getattr(error, "filename", None)
    return named is None or str(path.parent).startswith(str(named)) or str(named).startswith(str(path.parent))


def _free_megabytes(path: Path) -> float:
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e6
