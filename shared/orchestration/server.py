"""A Prefect server for the length of one command, when nobody runs one already.

Prefect's own ephemeral server starts only at the first call of a flow and outlives a client that is killed.
This one starts at once, in parallel with the imports and the reading of data, ends with its parent whatever happens
to it, and spares the client the import of the server's code (2026-11: 1.5 s).
"""

import ctypes
import functools
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from shared.data.files import file_lock
from shared.data.home import Home, home
from shared.errors import FieldworkError

_START_LIMIT_SECONDS = 120.0
# Leases in the server's memory would be forgotten with it, and their deployments then wait for ever.
_LEASES_ON_DISK = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"
}


def configure(*, verbose: bool = False) -> None:
    """Point Prefect, Matplotlib and torch at the data home and keep Prefect quiet; what the user has set wins.

    Call before importing them.
    """
    here = home()
    defaults = {
        "PREFECT_HOME": str(here.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        # Failures reach the user as one plain line; Prefect would print the traceback as well.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # Libraries that would write into the user's home or /tmp.
        "MPLCONFIGDIR": str(here.cache / "matplotlib"),
        "TORCHINDUCTOR_CACHE_DIR": str(here.cache / "torchinductor"),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if os.environ["PREFECT_HOME"] == str(here.prefect):
        _make(here.prefect)


def _make(folder: Path) -> None:
    """Prefect makes its folder, but not the parents, and warns in three lines when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FieldworkError(
            f"Cannot write {folder}: {error.strerror}. Set FIELDWORK_HOME to a folder that is writable."
        ) from error


@contextmanager
def local_server(*, scheduling: bool = False) -> Iterator[Callable[[], None]]:
    """Start a server unless PREFECT_API_URL names one; yields a function that waits until it answers.

    Best entered before anything imports Prefect: the imports then run beside the start. One process has one such
    server; entering again inside shares it. `scheduling` is for the one that plans the runs of deployments.
    """
    configure()
    if os.environ.get("PREFECT_API_URL"):
        yield _pending.get(os.environ["PREFECT_API_URL"], lambda: None)
        return
    here, port = home(), _free_port()
    _make(here.prefect)
    log = here.prefect / f"server-{port}.log"
    with ExitStack() as creation:
        created = _alone_until_created(creation)
        process, url = _start(here, port, log, scheduling), f"http://127.0.0.1:{port}/api"

        @functools.cache
        def ready() -> None:
            _wait(process, port, log)
            created.touch()
            creation.close()

        os.environ["PREFECT_API_URL"], _pending[url] = url, ready
        try:
            with _known_to_prefect(url):
                yield ready
        finally:
            del os.environ["PREFECT_API_URL"], _pending[url]
            _stop(process)
            log.unlink(missing_ok=True)


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flows tell a server of this process nothing while they run: it ends with them and watches over nobody.

    Prefect's thread would sleep through the end of every flow, half a second on average.
    """
    if os.environ.get("PREFECT_API_URL") not in _pending:
        yield
        return
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def _alone_until_created(creation: ExitStack) -> Path:
    """Two servers that create one database at once break each other: the second waits until the first is ready.

    Returns the mark that the database of this Prefect release is there; `creation` holds the lock without it.
    """
    folder = Path(os.environ["PREFECT_HOME"]).expanduser()
    mark = folder / f"created-{importlib.metadata.version('prefect')}"
    if not mark.exists():
        creation.enter_context(file_lock(folder / "created.lock"))
        if mark.exists():
            creation.close()
    return mark


# Servers of this process, with the function that waits for each.
_pending: dict[str, Callable[[], None]] = {}


@contextmanager
def _known_to_prefect(url: str) -> Iterator[None]:
    """Prefect reads the environment once, at its import; when that is over, its settings must be told."""
    if "prefect" not in sys.modules:
        yield
        return
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        yield


def _start(here: Home, port: int, log: Path, scheduling: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    command += [] if scheduling else ["--no-scheduler", "--no-late-runs", "--no-ui"]
    with open(log, "wb") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, "PREFECT_LOGGING_LEVEL": "WARNING", **_LEASES_ON_DISK},
            cwd=here.prefect,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )


def end_with_parent() -> None:
    """Linux: the kernel ends the server when its parent is gone, even by kill -9; Ctrl-C is the parent's affair."""
    os.setpgrp()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def server_answers() -> bool:
    """Whether there is nothing to wait for: no server of this process is starting, or it answers already."""
    url = os.environ.get("PREFECT_API_URL", "")
    return url not in _pending or _answers(url)


def known_server() -> str | None:
    """The address of a server that answers now: the one that PREFECT_API_URL names, or one that a command has started
    for this home and that lives as long as that command; None where there is none."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url if _answers(url) else None
    ports = [log.stem.removeprefix("server-") for log in home().prefect.glob("server-*.log")]
    urls = [f"http://127.0.0.1:{port}/api" for port in ports if port.isdigit()]
    return next((url for url in urls if _answers(url)), None)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(f"http://127.0.0.1:{port}/api"):
            return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    errors = [line for line in lines if "rror" in line] or lines or ["no output"]
    raise FieldworkError(
        f"The Prefect server did not start: {errors[-1].strip()[:300]}\n"
        "Start one yourself (prefect server start) and set PREFECT_API_URL to its address."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Nothing is lost by force: SQLite is transactional, and a graceful end takes two to four seconds.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
