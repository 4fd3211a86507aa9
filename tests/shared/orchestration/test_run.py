import os
from unittest.mock import patch

import pytest

from shared.orchestration import run as run_module
from shared.orchestration.run import Run, StepRecord, current_run, running
from shared.training.progress import RichProgress, SilentProgress


@pytest.fixture(autouse=True)
def _users_own_server():
    with patch.dict(os.environ, PREFECT_API_URL="http://127.0.0.1:9/api"):
        yield


def test_run_ends_with_what_was_reused_and_the_way_out(capsys):
    with running(progress=True) as run:
        run.record(StepRecord("ingest", 0.01, True))
        run.record(StepRecord("train", 12.34, False))
        run.record(StepRecord("explain", 0.01, True))
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0].split() == ["ingest", "reused", "from", "an", "earlier", "run"]
    assert lines[1].split() == ["train", "12.3", "s"]
    assert lines[-1] == "Reused from an earlier run: ingest, explain. --no-cache computes them again."
    assert run.seconds == {"ingest": 0.01, "train": 12.34, "explain": 0.01}
    assert run.reused == ["ingest", "explain"]


def test_fresh_run_says_nothing_about_reuse(capsys):
    with running(progress=True) as run:
        run.record(StepRecord("train", 1.0, False))
    assert "Reused" not in capsys.readouterr().err


def test_quiet_run_prints_nothing(capsys):
    with running() as run:
        run.record(StepRecord("train", 1.0, True))
        run.say("text")
    assert capsys.readouterr() == ("", "")


def test_bar_is_shown_only_with_progress():
    assert isinstance(Run(progress=True).bar(), RichProgress)
    assert isinstance(Run().bar(), SilentProgress)


def test_run_is_the_current_one_inside_its_block_only():
    with running(use_cache=False) as outer:
        with running() as inner:
            assert current_run() is inner
        assert current_run() is outer
    assert current_run() is not outer


def test_run_that_failed_is_over_too():
    with pytest.raises(ZeroDivisionError), running(use_cache=False) as run:
        raise ZeroDivisionError
    assert current_run() is not run
    assert run_module._current.get() is not run


def test_nothing_is_imported_for_later_when_a_server_answers_already(monkeypatch):
    imported = []
    monkeypatch.setattr(run_module, "server_answers", lambda: True)
    monkeypatch.setattr(run_module.importlib, "import_module", imported.append)
    run_module._use_the_wait()
    assert imported == []


def test_imports_stop_as_soon_as_the_server_answers(monkeypatch):
    imported = []
    monkeypatch.setattr(run_module, "server_answers", lambda: len(imported) == 1)
    monkeypatch.setattr(run_module.importlib, "import_module", imported.append)
    run_module._use_the_wait()
    assert imported == list(run_module._NEEDED_LATER[:1])


def test_a_step_that_runs_several_times_is_named_once_with_the_seconds_of_all():
    run = Run()
    for seconds, reused in ((1.0, True), (2.5, False), (3.0, True)):
        run.record(StepRecord("train_fold", seconds, reused))
    assert run.seconds == {"train_fold": 6.5}
    assert run.reused == ["train_fold"]
