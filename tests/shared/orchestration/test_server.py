"""A Prefect server for the length of one command: never beside the user's own, never left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from shared.data.files import file_lock
from shared.data.home import home
from shared.errors import FieldworkError
from shared.orchestration import server
from shared.orchestration.run import running

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    with patch.dict(os.environ):
        os.environ.pop("PREFECT_API_URL", None)
        yield


def members_of_group(group: int) -> list[int]:
    """Living processes of a process group: the server has children, and none may stay."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, _, its_group = fields.split()[:3]
        if int(its_group) == group and state != "Z":
            found.append(int(name.split()[0]))
    return found


def wait_until_gone(group: int, *, limit_seconds: float = 60.0) -> None:
    deadline = time.monotonic() + limit_seconds
    while members_of_group(group):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.02)


class Started:
    """Records the servers that `local_server` starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, command: str | None = None) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        start = server._start

        def recorded(here, port, log, scheduling):
            if command is None:
                process = start(here, port, log, scheduling)
            else:
                with open(log, "wb") as output:
                    process = subprocess.Popen(
                        [sys.executable, "-c", command], stdout=output, stderr=output, start_new_session=True
                    )
            self.processes.append(process)
            return process

        monkeypatch.setattr(server, "_start", recorded)


def clean(*names: str) -> None:
    for name in names:
        os.environ.pop(name, None)


OURS = (
    "PREFECT_HOME", "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "PREFECT_LOGGING_LEVEL", "MPLCONFIGDIR",
    "TORCHINDUCTOR_CACHE_DIR",
)  # fmt: skip


def test_configure_points_everything_into_the_data_home():
    clean(*OURS)
    server.configure()
    root = str(home().root)
    for name in ("PREFECT_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert os.environ[name].startswith(root)
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert home().prefect.is_dir(), "Prefect itself makes no parents and warns"


@pytest.mark.parametrize("name", OURS)
def test_configure_never_overrides_what_the_user_set(name):
    clean(*OURS)
    os.environ[name] = "mine"
    server.configure(verbose=True)
    assert os.environ[name] == "mine"


def test_home_that_cannot_be_written_is_one_clear_message(tmp_path, monkeypatch):
    clean(*OURS)
    (tmp_path / "file").touch()
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(FieldworkError, match=r"Cannot write .*/file/home/prefect: .* Set FIELDWORK_HOME"):
        server.configure()


def test_prefect_reads_the_settings_that_the_flow_decorator_made():
    clean(*(name for name in os.environ if name.startswith("PREFECT_")))
    code = (
        "from shared.orchestration.flows import flow\n"
        "from prefect.settings import get_current_settings as get\n"
        "print(get().home, get().server.analytics_enabled)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == [str(home().prefect), "False"], result.stderr
    assert result.stderr == ""


def test_no_server_is_started_beside_the_users_own(monkeypatch):
    started = Started(monkeypatch, "")
    os.environ["PREFECT_API_URL"] = "http://prefect.example:4200/api"
    with server.local_server() as ready:
        ready()
        assert server.server_answers(), "there is nothing to wait for, and nobody asks the network"
        assert os.environ["PREFECT_API_URL"] == "http://prefect.example:4200/api"
    assert os.environ["PREFECT_API_URL"] == "http://prefect.example:4200/api"
    assert started.processes == []


def test_one_server_answers_inside_the_block_and_nothing_of_it_is_left_after(monkeypatch):
    started = Started(monkeypatch)
    with server.local_server() as ready:
        ready()
        url = os.environ["PREFECT_API_URL"]
        assert urllib.request.urlopen(f"{url}/health", timeout=10).read() == b"true"
        assert url.startswith("http://127.0.0.1:"), "not reachable from other machines"
        with server.local_server() as inner:
            inner()
            assert os.environ["PREFECT_API_URL"] == url
        assert urllib.request.urlopen(f"{url}/health", timeout=10).read() == b"true"
    [process] = started.processes
    assert members_of_group(process.pid) == []
    assert "PREFECT_API_URL" not in os.environ
    assert list(home().prefect.glob("server-*.log")) == []


def test_server_ends_when_the_block_fails_before_it_was_ready(monkeypatch):
    started = Started(monkeypatch)
    with pytest.raises(ZeroDivisionError), server.local_server():
        raise ZeroDivisionError
    assert members_of_group(started.processes[0].pid) == []
    assert "PREFECT_API_URL" not in os.environ


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_server_is_gone_after_its_parent_was_killed(number):
    code = (
        "import os, sys, time\n"
        "from shared.orchestration import server\n"
        "start = server._start\n"
        "def shown(*arguments):\n"
        "    process = start(*arguments)\n"
        "    print(process.pid, flush=True)\n"
        "    return process\n"
        "server._start = shown\n"
        "with server.local_server() as ready:\n"
        "    ready()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    assert parent.stdout.readline() == "ready\n"
    assert members_of_group(group)
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    wait_until_gone(group)


def test_server_that_cannot_start_is_one_clear_message(monkeypatch):
    Started(monkeypatch, "print('address in use'); raise SystemExit(1)")
    with pytest.raises(FieldworkError) as raised, server.local_server() as ready:
        ready()
    assert str(raised.value) == (
        "The Prefect server did not start: address in use\n"
        "Start one yourself (prefect server start) and set PREFECT_API_URL to its address."
    )


def test_message_names_the_error_and_not_the_last_line(monkeypatch):
    Started(monkeypatch, "print('OSError: address in use'); print('Server stopped!'); raise SystemExit(1)")
    with (
        pytest.raises(FieldworkError, match="did not start: OSError: address in use\n"),
        server.local_server() as ready,
    ):
        ready()


HEALTH = """
import http.server, pathlib, sys, time
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.01)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
"""


def test_second_server_is_not_started_before_the_first_has_created_the_database(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    gate, events = tmp_path / "gate", []

    def start(here, port, log, scheduling):
        events.append("started")
        code = HEALTH.format(gate=str(gate), port=port)
        return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)

    def second_command():
        with file_lock(tmp_path / "prefect" / "created.lock", on_wait=lambda: waits.set()):
            events.append("second")

    monkeypatch.setattr(server, "_start", start)
    waits = threading.Event()
    with server.local_server() as ready:
        other = threading.Thread(target=second_command)
        other.start()
        assert waits.wait(30), "the second was not held up"
        assert not server.server_answers()
        assert events == ["started"]
        gate.touch()
        ready()
        assert server.server_answers()
        other.join(30)
        assert events == ["started", "second"], "released when the database is there, not when the run ends"
    with server.local_server() as ready, file_lock(tmp_path / "prefect" / "created.lock", wait=False) as free:
        assert free, "later servers start side by side"
        ready()


def test_command_that_fails_early_lets_the_next_create_the_database(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    Started(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(ZeroDivisionError), server.local_server():
        raise ZeroDivisionError
    with file_lock(tmp_path / "prefect" / "created.lock", wait=False) as free:
        assert free


def test_server_that_never_answers_is_given_up(monkeypatch):
    started = Started(monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(server, "_START_LIMIT_SECONDS", 0.2)
    with pytest.raises(FieldworkError, match="did not start: no output"), server.local_server() as ready:
        ready()
    assert members_of_group(started.processes[0].pid) == []


def test_port_is_free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", server._free_port()))


def test_only_a_server_that_outlives_the_command_is_sent_heartbeats(prefect_server):
    from prefect.settings import get_current_settings

    def frequency(url: str) -> int | None:
        with patch.dict(os.environ, PREFECT_API_URL=url), running():
            found: int | None = get_current_settings().flows.heartbeat_frequency
            return found

    assert frequency(prefect_server) is None
    assert frequency("http://127.0.0.1:9/api") == get_current_settings().flows.heartbeat_frequency
    assert get_current_settings().flows.heartbeat_frequency is not None
