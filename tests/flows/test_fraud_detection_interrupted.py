"""Fraud detection, killed or stopped in training: the same command continues and ends as if nothing had happened."""

import signal
from typing import Any

import pytest

from tests.flows.interrupted import (
    killed_run_continues,
    newest_checkpoint,
    require_continued,
    trained,
    wait_for,
)


@pytest.fixture(scope="module")
def command(commands) -> tuple[str, ...]:
    interruptible: tuple[str, ...] = commands["fraud_detection"].interruptible
    return interruptible


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, fieldwork_in, command) -> dict[str, Any]:
    """The run that all interrupted ones must equal."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("uninterrupted") / "home")
    document: dict[str, Any] = fieldwork(*command).require_success().document
    return document


def test_run_killed_in_training_continues_to_the_same_weights(fieldwork, command, uninterrupted):
    killed_run_continues(fieldwork, command, uninterrupted)


# Signals are shared code; the pipeline with most networks shows it.
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
    require_continued(fieldwork, outcome.document, uninterrupted)
