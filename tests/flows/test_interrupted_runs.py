"""Killed or stopped: the same command continues and ends as if nothing had happened."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def command(every_pipeline) -> tuple[str, ...]:
    """Seconds of training, with a checkpoint long before the end."""
    long = (f"training.epochs={every_pipeline.long_epochs}", "training.checkpoint_every_seconds=0.2")
    options = [part for change in long for part in ("--set", change)]
    return (*every_pipeline.tiny, *every_pipeline.little_evidence, *options, "--json", "-")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, fieldwork_in, command) -> dict[str, Any]:
    """The run that all interrupted ones must equal."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("uninterrupted") / "home")
    document: dict[str, Any] = fieldwork(*command).require_success().document
    return document


def wait_for(
    process: "subprocess.Popen[str]", condition: Callable[[], bool], *, limit_seconds: float = 180.0
) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def newest_checkpoint(home: Path) -> int:
    """Number of the newest complete checkpoint, -1 without one; the manifest is written last."""
    return max((int(path.stem[-8:]) for path in home.glob("checkpoints/**/checkpoint-*.json")), default=-1)


def trained(home: Path) -> bool:
    return any(home.glob("results/train-*.json"))


def steps_resumed_from(home: Path) -> list[int]:
    """What the training records say, which pipelines keep in the step's result or in a document of the store."""
    records = [
        path.read_text() for folder in ("results", "store") for path in home.glob(f"{folder}/**/*.json")
    ]
    return [int(step) for text in records for step in re.findall(r'"resumed_from_step": *(\d+)', text)]


def assert_continued_and_equal(fieldwork: Any, document: dict[str, Any], reference: dict[str, Any]) -> None:
    assert any(step > 0 for step in steps_resumed_from(fieldwork.home))
    weights = [
        Path(each["model"]["bundle"], "model.safetensors").read_bytes() for each in (document, reference)
    ]
    assert weights[0] == weights[1], "the resumed run must end with the weights of the uninterrupted one"
    assert document["metrics"] == reference["metrics"]
    assert document["training"]["epochs"] == reference["training"]["epochs"]
    assert document["model"]["version"] == 1
    assert not list(fieldwork.home.glob("checkpoints/**/*.pt")), "nothing to continue is left"


def test_run_killed_in_training_continues_to_the_same_weights(fieldwork, command, uninterrupted):
    process = fieldwork.start(*command)
    wait_for(process, lambda: newest_checkpoint(fieldwork.home) >= 0)
    process.kill()
    assert fieldwork.ended(process).exit_code == -signal.SIGKILL
    assert not trained(fieldwork.home), "killed too late to show anything"
    outcome = fieldwork(*command).require_success()
    assert "ingest     reused" in outcome.stderr
    assert_continued_and_equal(fieldwork, outcome.document, uninterrupted)


# Signals are shared code; the pipeline with most networks shows it.
@pytest.mark.parametrize("every_pipeline", ["fraud_detection"], indirect=True)
def test_run_stopped_in_training_says_how_to_continue_and_does(fieldwork, command, uninterrupted):
    for number in (signal.SIGTERM, signal.SIGINT):  # the second stops the run that continues the first
        already = newest_checkpoint(fieldwork.home)
        process = fieldwork.start(*command)
        wait_for(process, lambda already=already: newest_checkpoint(fieldwork.home) > already)
        process.send_signal(number)
        stopped = fieldwork.ended(process)
        assert stopped.exit_code == 3, stopped.stderr
        assert stopped.stdout == "", "no JSON of a run that did not end"
        last = stopped.stderr.strip().splitlines()[-1]
        assert last.startswith("Stopped")
        assert "same command" in last
        assert "Traceback" not in stopped.stderr
        assert not trained(fieldwork.home)
    outcome = fieldwork(*command).require_success()
    assert_continued_and_equal(fieldwork, outcome.document, uninterrupted)


@pytest.mark.parametrize("every_pipeline", ["credit_scoring"], indirect=True)
def test_stop_before_training_is_resumable_too(fieldwork, command):
    process = fieldwork.start(*command, own_server=True)
    wait_for(process, (fieldwork.home / "prefect").is_dir)
    process.send_signal(signal.SIGTERM)
    stopped = fieldwork.ended(process)
    assert stopped.exit_code == 3, stopped.stderr
    assert "same command" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "Exception ignored" not in stopped.stderr


@pytest.mark.parametrize("every_pipeline", ["credit_scoring"], indirect=True)
def test_killed_run_leaves_no_server_behind(fieldwork, command):
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs Linux to find processes by their data home")
    process = fieldwork.start(*command, own_server=True)
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
