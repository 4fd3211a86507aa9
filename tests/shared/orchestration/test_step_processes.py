"""Equal steps of several processes: one computes, the others wait for it and reuse its result."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.data.home import home

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("prefect_server")

# The same module in every process of a test: an equal package and name give an equal key.
TOY_MODULE = """
import os, pathlib, time
from shared.orchestration.step import step

HERE = pathlib.Path(__file__).parent

@step()
def slow(number: int) -> int:
    (HERE / f"started-{os.getpid()}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return os.getpid()
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Any:
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "slow.py").write_text(TOY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toys.slow")
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def start_toy(folder: Path) -> "subprocess.Popen[str]":
    code = (
        "from shared.orchestration.run import running\n"
        "from toys.slow import slow\n"
        "with running() as run: print(slow(1), run.reused)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, cwd=folder
    )


def wait_until(condition: Callable[[], bool], *, limit_seconds: float = 60.0) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def somebody_waits_for_a_lock_of_this_home() -> bool:
    locks = {path.stat().st_ino for path in (home().root / "locks").glob("*")}
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(
        int(part.split(":")[2]) in locks for line in waiting for part in line.split() if part.count(":") == 2
    )


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs Linux to see who waits")
def test_second_of_two_equal_runs_waits_for_the_first_and_reuses_it(toy, tmp_path):
    folder = tmp_path / "toys"
    first = start_toy(tmp_path)
    wait_until(lambda: len(list(folder.glob("started-*"))) == 1)
    second = start_toy(tmp_path)
    wait_until(somebody_waits_for_a_lock_of_this_home)
    (folder / "go").touch()
    outputs = [process.communicate(timeout=60)[0].strip() for process in (first, second)]
    assert outputs == [f"{first.pid} []", f"{first.pid} ['slow']"]
    assert len(list(folder.glob("started-*"))) == 1
    assert toy.slow(1) == first.pid, "a third process, this one, reuses it too"


def test_lock_of_a_killed_run_does_not_hold_up_the_next(toy, tmp_path):
    folder = tmp_path / "toys"
    killed = start_toy(tmp_path)
    wait_until(lambda: len(list(folder.glob("started-*"))) == 1)
    killed.kill()
    killed.communicate()
    (folder / "go").touch()
    assert toy.slow(1) == os.getpid()
