"""`fieldwork schedule` for real: it plans, runs, is killed in training, continues, and ends when it is told to."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines import catalogue
from tests.flows.training_records import recorded

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "credit_scoring-train"
LIMIT_SECONDS = 240.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One deployment, with seconds of training and a checkpoint long before their end."""
    changes = {
        "training.epochs": 300,
        "training.checkpoint_every_seconds": 0.2,
        "evaluation.num_bootstraps": 50,
        "explanation.num_checked": 20,
        "explanation.stability_seeds": 0,
        "explanation.num_recourse": 0,
    }
    enabled = {"train": {"preset": "tiny", "overrides": changes}}
    document = {
        "defaults": {"score": {"enabled": False}},
        "pipelines": {
            pipeline.name: enabled if pipeline.name == "credit_scoring" else {"train": {"enabled": False}}
            for pipeline in catalogue.PIPELINES
        },
    }
    path = tmp_path / "deployments.yaml"
    path.write_text(json.dumps(document))
    return path


class Scheduler:
    """A running `fieldwork schedule`, with its server."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log
        self.url = ""

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives when it is something; it may ask a server that is not there yet."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def wait_until_serving(self) -> None:
        pattern = r"Serving 1 deployments on (http://127\.0\.0\.1:\d+)"
        self.url = self.wait(lambda: re.search(pattern, self.log.read_text()))[1]

    def post(self, path: str, document: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api{path}", json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def planned(self) -> list[Any]:
        runs = self.post("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        return [run for run in runs if "auto-scheduled" in run["tags"]]

    def run_now(self) -> str:
        [deployment] = self.post("/deployments/filter", {})
        assert deployment["name"] == DEPLOYMENT
        run = self.post(f"/deployments/{deployment['id']}/create_flow_run", {})
        return str(run["id"])

    def state(self, run_id: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/flow_runs/{run_id}", timeout=30) as answer:
            return dict(json.load(answer)["state"])

    def finished(self, run_id: str) -> dict[str, Any] | None:
        state = self.state(run_id)
        return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    def family(self) -> list[int]:
        """The process and all below it, as a machine that is switched off takes them along."""
        parents: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


@contextmanager
def scheduler(home: Path, config: Path, log: Path) -> Iterator[Scheduler]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    known |= {"FIELDWORK_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "apps.cli.main", "schedule", "--config", str(config)],
            env=known, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    running = Scheduler(process, log)
    try:
        running.wait_until_serving()
        yield running
    finally:
        for pid in running.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_run_on_a_machine_that_is_switched_off_continues_when_it_is_back(config, tmp_path):
    home = tmp_path / "home"
    with scheduler(home, config, tmp_path / "first.log") as first:
        assert first.wait(first.planned), "the server plans runs by itself"
        run_id = first.run_now()
        first.wait(lambda: list(home.glob("checkpoints/**/checkpoint-*.json")))
    assert not list(home.glob("results/train-*.json")), "killed too late to show anything"

    with scheduler(home, config, tmp_path / "second.log") as second:
        assert "1 runs were under way" in second.log.read_text()
        state = second.wait(lambda: second.finished(run_id))
        assert state["type"] == "COMPLETED", state
        assert state["message"].startswith("Version 1")
        assert max(recorded(home, "resumed_from_step")) > 0

        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(60) == 0
        assert "Stopping" in second.log.read_text()
        assert "Traceback" not in second.log.read_text()
