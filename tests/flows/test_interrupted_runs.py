"""Runs that are killed or stopped: the same command continues and ends as if nothing had happened."""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from shared.training.checkpoint import Checkpoints
from tests.commands import COMMANDS
from tests.flows.training_records import recorded


@pytest.fixture
def signalled(fieldwork):
    """`signalled(command, number)`: the run that gets a signal between two of its many checkpoints."""

    def run(command: Sequence[str], number: signal.Signals) -> Any:
        return fieldwork.process(int(number), *command, module="tests.flows.signalled")

    return run


def interruptible(pipeline: str) -> Sequence[str]:
    """Its short run, with a checkpoint after every step."""
    return (*COMMANDS[pipeline].brief, *COMMANDS[pipeline].save_always)


def continued(fieldwork: Any, command: Sequence[str]) -> Any:
    """The command in this process, up to its end; what it would save on its way takes more time than all else."""
    with patch.object(Checkpoints, "save", lambda checkpoints, state: None):
        return fieldwork(*command).require_success()


@pytest.fixture
def uninterrupted(home_of):
    """`uninterrupted(pipeline)`: the result of the run that all interrupted ones must equal."""
    return lambda pipeline: json.loads((home_of(pipeline) / "result.json").read_text())


@pytest.mark.parametrize("pipeline", COMMANDS)
def test_run_killed_in_training_continues_to_the_same_weights(fieldwork, signalled, uninterrupted, pipeline):
    killed = signalled(interruptible(pipeline), signal.SIGKILL)
    assert killed.exit_code == -signal.SIGKILL, killed.stderr
    assert not trained(fieldwork.home), "killed too late to show anything"
    outcome = continued(fieldwork, interruptible(pipeline))
    assert "ingest     reused" in outcome.stderr
    require_continued(fieldwork, outcome.document, uninterrupted(pipeline))


# Signals are shared code; the pipeline with most networks shows it.
def test_run_stopped_in_training_says_how_to_continue_and_does(fieldwork, signalled, uninterrupted):
    command = interruptible("fraud_detection")
    for number in (signal.SIGTERM, signal.SIGINT):  # the second stops the run that continues the first
        stopped = signalled(command, number)
        require_stopped(stopped)
        assert stopped.stdout == "", "no JSON of a run that did not end"
        assert not trained(fieldwork.home)
    outcome = continued(fieldwork, command)
    require_continued(fieldwork, outcome.document, uninterrupted("fraud_detection"))


def test_stop_before_training_is_resumable_too(fieldwork):
    process = fieldwork.start(*COMMANDS["credit_scoring"].brief, own_server=True)
    wait_for(process, (fieldwork.home / "prefect").is_dir)
    process.send_signal(signal.SIGTERM)
    require_stopped(fieldwork.ended(process))


def test_killed_run_leaves_no_server_behind(fieldwork):
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs Linux to find processes by their data home")
    process = fieldwork.start(*COMMANDS["credit_scoring"].brief, own_server=True)
    wait_for(process, lambda: len(processes_at(fieldwork.home)) > 1)
    process.kill()
    fieldwork.ended(process)
    deadline = time.monotonic() + 60
    while processes_at(fieldwork.home):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for(process: Any, condition: Any, *, limit_seconds: float = 180.0) -> None:
    """Until the condition holds; fails when the process ends before it does."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def trained(home: Path) -> bool:
    """Whether the training step has come to its end."""
    return any(home.glob("results/train-*.json"))


def require_stopped(stopped: Any) -> None:
    """It ended in order, and says in its last line how to go on."""
    assert stopped.exit_code == 3, stopped.stderr
    last = stopped.stderr.strip().splitlines()[-1]
    assert last.startswith("Stopped")
    assert "same command" in last
    assert "Traceback" not in stopped.stderr
    assert "Exception ignored" not in stopped.stderr


def require_continued(fieldwork: Any, document: dict[str, Any], uninterrupted: dict[str, Any]) -> None:
    """The run went on where it had been interrupted, and ended as if nothing had happened."""
    assert max(recorded(fieldwork.home, "resumed_from_step")) > 0
    weights = [
        Path(each["model"]["bundle"], "model.safetensors").read_bytes() for each in (document, uninterrupted)
    ]
    assert weights[0] == weights[1], "the resumed run must end with the weights of the uninterrupted one"
    assert document["metrics"] == uninterrupted["metrics"]
    assert document["training"]["epochs"] == uninterrupted["training"]["epochs"]
    assert document["model"]["version"] == 1
    assert not list(fieldwork.home.glob("checkpoints/**/*.pt")), "nothing to continue is left"


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
