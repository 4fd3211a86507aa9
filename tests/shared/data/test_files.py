import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shared.data.files import (
    atomic_folder,
    atomic_path,
    atomic_write,
    file_lock,
    scratch_file,
    scratch_folder,
    sha256_file,
)
from shared.errors import FieldworkError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_atomic_write_makes_parents_and_replaces_the_old_file(tmp_path):
    path = tmp_path / "deep" / "file.json"
    atomic_write(path, "é")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == {"file.json"}


def break_off(context, name: str = "") -> None:
    """Write half of something inside the context, then fail."""
    with context as place:
        (place / name if name else place).write_text("half of the n")
        raise KeyError


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    atomic_write(path, "old")
    with pytest.raises(KeyError):
        break_off(atomic_path(path))
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file.txt"}


def test_temporary_path_keeps_the_suffix_by_which_writers_choose_the_format(tmp_path):
    with atomic_path(tmp_path / "table.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("io: No space left on device (os error 28)"),
    ],
)
def test_full_disk_is_explained_with_path_and_free_space(tmp_path, failure):
    with (
        pytest.raises(FieldworkError, match=r"disk is full.*model\.bin.*MB free"),
        atomic_path(tmp_path / "model.bin"),
    ):
        raise failure
    assert names(tmp_path) == set()


def test_unwritable_folder_is_explained(tmp_path):
    blocker = OSError(errno.EROFS, "Read-only file system", str(tmp_path / "x"))
    with pytest.raises(FieldworkError, match="Make the folder writable"), atomic_path(tmp_path / "x"):
        raise blocker


def test_permission_error_about_another_file_is_not_blamed_on_the_target(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "denied", "/elsewhere/source.csv")


def test_process_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.bin"
    atomic_write(path, "old")
    code = (
        "import sys, os, signal; from pathlib import Path; from shared.data.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_leftovers_of_killed_writers_are_swept_after_a_day_but_no_file_of_the_user(tmp_path):
    stale, fresh = tmp_path / f".fieldwork-{'a' * 16}.tmp.bin", tmp_path / f".fieldwork-{'b' * 16}.tmp"
    own = tmp_path / ".fieldwork-notes.tmp"
    for path in (stale, fresh, own):
        path.touch()
    for path in (stale, own):
        os.utime(path, (time.time() - 90_000,) * 2)
    atomic_write(tmp_path / "file", "x")
    assert names(tmp_path) == {fresh.name, own.name, "file"}


def test_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "bundle"
    with pytest.raises(KeyError):
        break_off(atomic_folder(target), "a")
    assert names(tmp_path) == set()
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "1"


def test_folder_with_content_is_never_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    with pytest.raises(FieldworkError, match="new or empty folder"), atomic_folder(tmp_path / "mine"):
        pass
    assert names(tmp_path / "mine") == {"x"}


def test_scratch_file_is_gone_afterwards_even_on_error(tmp_path):
    with pytest.raises(KeyError):
        break_off(scratch_file(tmp_path / "scratch", ".txt"))
    assert names(tmp_path / "scratch") == set()


def test_sha256_of_a_file_larger_than_a_read_buffer(tmp_path):
    path = tmp_path / "zeros"
    path.write_bytes(bytes(3_000_000))
    assert sha256_file(path) == "35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f"


def test_lock_excludes_other_threads_and_tells_who_waits(tmp_path):
    lock, waited, order = tmp_path / "l", threading.Event(), []

    def second() -> None:
        with file_lock(lock, on_wait=waited.set) as held:
            order.append(("second", held))

    with file_lock(lock) as held:
        assert held
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        order.append(("first", True))
    thread.join(10)
    assert order == [("first", True), ("second", True)]


def test_lock_without_waiting_reports_that_it_is_taken(tmp_path):
    with file_lock(tmp_path / "l"), file_lock(tmp_path / "l", wait=False) as held:
        assert held is False
    with file_lock(tmp_path / "l", wait=False) as held:
        assert held is True


def _hold_forever(path: str, ready) -> None:
    with file_lock(Path(path)):
        ready.set()
        signal.pause()


def test_lock_of_a_killed_process_is_free_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold_forever, args=(str(tmp_path / "l"), ready))
    process.start()
    assert ready.wait(20)
    with file_lock(tmp_path / "l", wait=False) as held:
        assert not held
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    with file_lock(tmp_path / "l", wait=False) as held:
        assert held


def test_scratch_folder_is_private_empty_and_gone_afterwards(tmp_path):
    with scratch_folder(tmp_path / "cache") as folder:
        assert folder.parent == tmp_path / "cache"
        assert folder.stat().st_mode & 0o077 == 0
        assert not any(folder.iterdir())
        (folder / "inner").mkdir()
        (folder / "inner" / "rows.parquet").write_bytes(b"x")
    assert not any((tmp_path / "cache").iterdir())


def test_scratch_folder_is_gone_after_an_error(tmp_path):
    def fail() -> None:
        with scratch_folder(tmp_path) as folder:
            (folder / "half").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(tmp_path.iterdir())


def test_scratch_folder_sweeps_what_a_killed_process_left(tmp_path):
    with scratch_folder(tmp_path) as folder:
        left = folder.with_name(folder.name.replace(folder.name[11:27], "0123456789abcdef"))
    left.mkdir()
    (left / "rows.parquet").write_bytes(b"x")
    os.utime(left, (1, 1))
    with scratch_folder(tmp_path):
        assert not left.exists()
