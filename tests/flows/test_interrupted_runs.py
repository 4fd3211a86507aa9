"""What an interrupted run leaves behind: shared code, which one pipeline shows."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.flows.interrupted import wait_for


def test_stop_before_training_is_resumable_too(fieldwork, commands):
    process = fieldwork.start(*commands["credit_scoring"].interruptible, own_server=True)
    wait_for(process, (fieldwork.home / "prefect").is_dir)
    process.send_signal(signal.SIGTERM)
    stopped = fieldwork.ended(process)
    assert stopped.exit_code == 3, stopped.stderr
    assert "same command" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "Exception ignored" not in stopped.stderr


def test_killed_run_leaves_no_server_behind(fieldwork, commands):
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs Linux to find processes by their data home")
    process = fieldwork.start(*commands["credit_scoring"].interruptible, own_server=True)
    wait_for(process, lambda: len(processes_at(fieldwork.home)) > 1)
    process.kill()
    fieldwork.ended(process)
    deadline = time.monotonic() + 60
    while processes_at(fieldwork.home):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_at(home: Path) -> list[int]:
    """Living processes with this data home in their environment."""
    wanted = f"FIELDWORK_HOME={home}\0".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environ.read_bytes() + b"\0":
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return [number for number in found if number != os.getpid()]
