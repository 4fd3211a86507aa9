"""Killed, stopped, run twice at once, out of disk: the next run of the same command ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("survival")

# Seconds of training, with a checkpoint long before the end.
LONG = ("--set", "training.epochs=600", "--set", "training.checkpoint_every_seconds=0.2")


@pytest.fixture(scope="module")
def command(tiny, little_evidence) -> tuple[str, ...]:
    return (*tiny, *little_evidence, *LONG, "--json", "-")


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


def assert_continued_and_equal(fieldwork: Any, document: dict[str, Any], reference: dict[str, Any]) -> None:
    [result] = fieldwork.home.glob("results/train-*.json")
    assert json.loads(result.read_text())["result"]["training"]["resumed_from_step"] > 0
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


def test_stop_before_training_is_resumable_too(fieldwork, command):
    process = fieldwork.start(*command, own_server=True)
    wait_for(process, (fieldwork.home / "prefect").is_dir)
    process.send_signal(signal.SIGTERM)
    stopped = fieldwork.ended(process)
    assert stopped.exit_code == 3, stopped.stderr
    assert "same command" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "Exception ignored" not in stopped.stderr


def test_two_identical_first_runs_at_once_both_succeed_and_publish_one_version(
    fieldwork, tiny, little_evidence
):
    together = [fieldwork.start(*tiny, *little_evidence, "--json", "-", own_server=True) for _ in range(2)]
    outcomes = [fieldwork.ended(process).require_success() for process in together]
    documents = [outcome.document for outcome in outcomes]
    assert [document["model"]["version"] for document in documents] == [1, 1]
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[0]["run_id"] == documents[1]["run_id"]
    listed = fieldwork("models", "list").require_success().stdout
    assert listed.count("credit_scoring@") + listed.count("credit_applications@") == 1
    trained_by = [outcome for outcome in outcomes if "train      reused" not in outcome.stderr]
    assert len(trained_by) == 1, "one trains, the other waits and reuses"


def test_two_different_runs_at_once_on_the_same_data_do_not_disturb_each_other(
    fieldwork, tiny, little_evidence
):
    """Both save checkpoints at every step, and the first to end removes its own while the other trains."""
    together = [
        fieldwork.start(
            *tiny, *little_evidence, "--set", f"training.epochs={epochs}", "--json", "-",
            "--set", "training.checkpoint_every_seconds=0",
        )
        for epochs in (5, 40)
    ]  # fmt: skip
    documents = [fieldwork.ended(process).require_success().document for process in together]
    assert [document["training"]["epochs"] for document in documents] == [5, 40]
    assert sorted(document["model"]["version"] for document in documents) == [1, 2]


def test_full_disk_is_one_clear_line_and_each_run_continues_where_the_last_had_no_space(
    fieldwork, tiny, little_evidence
):
    command = (*tiny, *little_evidence)
    for kilobytes in (4, 64, 400):  # no room for the table, for the report, for the registry
        full = fieldwork.process(*command, "--quiet", largest_file_bytes=1024 * kilobytes)
        full.require_plain_failure(1, "disk", "annot write" if kilobytes < 400 else "mlflow.db")
    outcome = fieldwork(*command, "--json", "-").require_success()
    assert "assemble   reused" in outcome.stderr
    assert outcome.document["model"]["version"] == 1


def test_emptied_store_is_computed_again(fieldwork, tiny, little_evidence):
    command = (*tiny, *little_evidence, "--json", "-")
    first = fieldwork(*command).require_success().document
    for blob in (path for path in (fieldwork.home / "store").rglob("*") if path.is_file()):
        blob.unlink()
    again = fieldwork(*command).require_success()
    assert "Reused" not in again.stderr
    assert again.document["metrics"] == first["metrics"]


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
