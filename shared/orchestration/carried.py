"""Progress of steps where several machines share a store: what one has begun or finished, another goes on with.

In a home of its own a step keeps its results and checkpoints in that home alone. Where FIELDWORK_STORE names another
place, they are copied there as well: results at once, checkpoints every few seconds by a thread beside the training.
Files can come back torn or old; results are checked against their type, checkpoints by their SHA-256.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.data.files import atomic_path, atomic_write
from shared.data.home import home

_PAUSE_SECONDS = 5.0
_LOCAL_ONLY = ("lock",)

State = dict[str, tuple[int, int]]


def recall(name: str) -> bytes:
    """The remembered result of a step. Raises OSError where neither the home nor the shared store has it."""
    with suppress(FileNotFoundError):
        return _local(name).read_bytes()
    shared = Shared.of_home()
    if shared is None:
        raise FileNotFoundError(name)
    return shared.read(f"results/{name}")


def remember(name: str, text: str) -> None:
    """Keep the result of a step here and, where there is one, in the shared store."""
    atomic_write(_local(name), text)
    if (shared := Shared.of_home()) is not None:
        shared.put(_local(name), f"results/{name}")


@contextmanager
def carried(folder: Path) -> Iterator[None]:
    """Checkpoints in `folder` come from the shared store first, go there while the block runs, and leave it after it.

    A block that fails or is stopped leaves them there, for whoever continues. Without a shared store nothing happens.
    """
    shared = Shared.of_home()
    if shared is None:
        yield
        return
    copy = _Copy(shared, folder)
    copy.fetch()
    done = threading.Event()
    thread = threading.Thread(target=copy.keep, args=(done,), name="checkpoints", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        done.set()
        thread.join()
        copy.push()
        raise
    done.set()
    thread.join()
    copy.clear()


class Shared:
    """The part of the shared store that holds the progress of steps."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        self.files, root = fsspec.core.url_to_fs(url)
        self.root = f"{root.rstrip('/')}/steps"

    @classmethod
    def of_home(cls) -> "Shared | None":
        """None where the store is the home's own."""
        here = home()
        return None if here.store_url == str(here.root / "store") else cls(here.store_url)

    def read(self, name: str) -> bytes:
        """Raises OSError for whatever keeps it from being read."""
        with self._explained("read", name):
            content: bytes = self.files.cat_file(f"{self.root}/{name}")
        return content

    def put(self, path: Path, name: str) -> None:
        """Copy a file. Raises OSError when that fails."""
        with self._explained("write", name):
            self.files.makedirs(f"{self.root}/{name}".rpartition("/")[0], exist_ok=True)
            self.files.put_file(str(path), f"{self.root}/{name}")

    def get(self, name: str, path: Path) -> None:
        """Fetch a file. Raises OSError when that fails."""
        with self._explained("read", name), atomic_path(path) as temporary:
            self.files.get_file(f"{self.root}/{name}", str(temporary))

    def names(self, folder: str) -> list[str]:
        """Files below a folder, relative to it."""
        with self._explained("list", folder):
            self.files.invalidate_cache()
            try:
                found = self.files.find(f"{self.root}/{folder}")
            except FileNotFoundError:
                return []
            return [str(path).partition(f"/steps/{folder}/")[2] for path in found]

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._explained("remove", name):
            self.files.rm_file(f"{self.root}/{name}")

    @contextmanager
    def _explained(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise OSError(f"Cannot {what} {name} in the store {self.url}: {error}") from error


class _Copy:
    """One folder of checkpoints and its copy."""

    def __init__(self, shared: Shared, folder: Path) -> None:
        self.shared, self.folder = shared, folder
        self.name = f"checkpoints/{folder.name}"
        self._pushed: State = {}

    def fetch(self) -> None:
        """The copy replaces what an earlier try on this machine left: it has gone at least as far."""
        names = [name for name in self.shared.names(self.name) if name and ".." not in Path(name).parts]
        if not names:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in names:
            with suppress(FileNotFoundError):  # pruned by a run that is still going on
                self.shared.get(f"{self.name}/{name}", self.folder / name)
        self._pushed = self._state()

    def keep(self, done: threading.Event) -> None:
        """Push every few seconds until `done`. A store that does not answer costs the copy, not the training."""
        while not done.wait(_PAUSE_SECONDS):
            self.push()

    def push(self) -> None:
        """Copy what is new, manifests last, then remove what is gone here."""
        with suppress(Exception):
            state = self._state()
            changed = [name for name, seen in state.items() if self._pushed.get(name) != seen]
            for name in sorted(changed, key=lambda name: (name.endswith(".json"), name)):
                with suppress(FileNotFoundError):
                    self.shared.put(self.folder / name, f"{self.name}/{name}")
            for name in self._pushed.keys() - state.keys():
                self.shared.remove(f"{self.name}/{name}")
            self._pushed = state

    def clear(self) -> None:
        """The step has its result: nothing is left to continue."""
        with suppress(Exception):
            for name in self.shared.names(self.name):
                self.shared.remove(f"{self.name}/{name}")

    def _state(self) -> State:
        state: State = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and path.name not in _LOCAL_ONLY and not path.name.startswith("."):
                    status = path.stat()
                    state[path.relative_to(self.folder).as_posix()] = (status.st_size, status.st_mtime_ns)
        return state


def _local(name: str) -> Path:
    return home().root / "results" / name
