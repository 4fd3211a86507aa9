"""Runs that are killed or stopped in training, and what the same command must make of them afterwards."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def wait_for(
    process: "subprocess.Popen[str]", condition: Callable[[], bool], *, limit_seconds: float = 180.0
) -> None:
    """Until the condition holds; fails when the process ends before it does."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def newest_checkpoint(home: Path) -> int:
    """Number of the newest complete checkpoint, -1 without one; the manifest is written last."""
    return max((int(path.stem[-8:]) for path in home.glob("checkpoints/**/checkpoint-*.json")), default=-1)


def trained(home: Path) -> bool:
    """Whether the training step has come to its end."""
    return any(home.glob("results/train-*.json"))


def killed_run_continues(fieldwork: Any, command: Sequence[str], uninterrupted: dict[str, Any]) -> None:
    """Kills the command in training and gives it again: it ends as it did where nothing interrupted it."""
    process = fieldwork.start(*command)
    wait_for(process, lambda: newest_checkpoint(fieldwork.home) >= 0)
    process.kill()
    assert fieldwork.ended(process).exit_code == -signal.SIGKILL
    assert not trained(fieldwork.home), "killed too late to show anything"
    outcome = fieldwork(*command).require_success()
    assert "ingest     reused" in outcome.stderr
    require_continued(fieldwork, outcome.document, uninterrupted)


def require_continued(fieldwork: Any, document: dict[str, Any], uninterrupted: dict[str, Any]) -> None:
    """The run went on where it had been interrupted, and ended as if nothing had happened."""
    assert any(step > 0 for step in _steps_resumed_from(fieldwork.home))
    weights = [
        Path(each["model"]["bundle"], "model.safetensors").read_bytes() for each in (document, uninterrupted)
    ]
    assert weights[0] == weights[1], "the resumed run must end with the weights of the uninterrupted one"
    assert document["metrics"] == uninterrupted["metrics"]
    assert document["training"]["epochs"] == uninterrupted["training"]["epochs"]
    assert document["model"]["version"] == 1
    assert not list(fieldwork.home.glob("checkpoints/**/*.pt")), "nothing to continue is left"


def _steps_resumed_from(home: Path) -> list[int]:
    """What the training records say, which pipelines keep in the step's result or in a document of the store."""
    records = [
        path.read_text() for folder in ("results", "store") for path in home.glob(f"{folder}/**/*.json")
    ]
    return [int(step) for text in records for step in re.findall(r'"resumed_from_step": *(\d+)', text)]
