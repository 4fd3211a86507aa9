import json
import os
from pathlib import Path

import pytest

from shared.data.home import home
from shared.errors import FieldworkError, RequestError, Stopped


def test_run_passes_every_option_to_the_flow(invoke, toy):
    result = invoke(
        "run", "toy-pipeline", "--preset", "tiny", "--data", "some/file.csv", "--no-cache",
        "--set", "training.epochs=3", "--set", "layers=[16, 8]",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert toy.calls == [
        {
            "preset": "tiny",
            "source": "some/file.csv",
            "overrides": {"training.epochs": 3, "layers": [16, 8]},
            "use_cache": False,
            "progress": True,
        }
    ]


def test_defaults_are_quick_synthetic_and_cached(invoke, toy):
    assert invoke("run", "toy_pipeline").exit_code == 0
    assert toy.calls[0] == {
        "preset": "quick", "source": "synthetic", "overrides": {}, "use_cache": True, "progress": True
    }  # fmt: skip


def test_summary_shows_metric_beside_baseline_verdict_model_and_report(invoke, toy):
    shown = invoke("run", "toy_pipeline").stdout
    for text in (
        "0.790 [0.740, 0.840]", "0.750 [0.700, 0.800]", "logistic regression", "outside noise",
        "toy_pipeline version 3, promoted to champion", "1.20M samples/s", "train 4.10 s", "in 12,345",
        "/home/x/report.html",
    ):  # fmt: skip
        assert text in shown
    assert "validation/roc_auc" not in shown


def test_summary_says_when_an_explanation_failed_and_nothing_was_published(invoke, toy):
    toy.changes = {
        "explanation": {"method": "shap", "faithful": False},
        "model": None,
        "training": None,
        "report": None,
    }
    shown = invoke("run", "toy_pipeline").stdout
    assert "NOT faithful" in shown
    assert "version" not in shown


def test_summary_survives_numbers_that_could_not_be_computed(invoke, toy):
    toy.changes = {
        "metrics": {"test/roc_auc": {"value": float("nan"), "higher_is_better": None, "n": 0}},
        "baselines": {"prior": {}},
        "seconds": {"ingest": None},
        "explanation": {"method": "shap", "faithful": None},
    }
    result = invoke("run", "toy_pipeline")
    assert result.exit_code == 0, result.output
    assert "–" in result.stdout
    assert "not checked" in result.stdout


def test_many_models_stand_below_each_other(invoke, toy):
    metric = {"value": 0.7, "low": 0.6, "high": 0.8, "higher_is_better": True, "n": 10}
    toy.changes = {"baselines": {f"baseline_{number}": {"test/roc_auc": metric} for number in range(9)}}
    lines = invoke("run", "toy_pipeline").stdout.splitlines()
    assert sum(line.startswith("baseline ") and "0.700 [0.600, 0.800]" in line for line in lines) == 9


def test_quiet_run_prints_nothing(invoke, toy):
    result = invoke("run", "toy_pipeline", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_json_on_stdout_is_the_only_thing_there(invoke, toy):
    toy.before = lambda: print("a library talks")  # noqa: T201
    result = invoke("run", "toy_pipeline", "--json", "-")
    document = json.loads(result.stdout)
    assert document["metrics"]["test/roc_auc"]["value"] == 0.79
    assert "a library talks" in result.stderr
    assert "outside noise" in result.stderr


def test_stdout_stays_empty_when_a_json_run_fails(invoke, toy):
    toy.error = FieldworkError("The disk is full. Free some space.")
    result = invoke("run", "toy_pipeline", "--json", "-")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "disk is full" in result.stderr


def test_json_file_holds_the_object_and_stdout_the_summary(invoke, toy, tmp_path):
    target = tmp_path / "result.json"
    result = invoke("run", "toy_pipeline", "--json", target)
    assert result.exit_code == 0, result.output
    assert json.loads(target.read_text())["model"]["version"] == 3
    assert "outside noise" in result.stdout
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("place", ["missing/result.json", "."])
def test_impossible_json_file_is_refused_before_the_run(invoke, toy, tmp_path, place):
    result = invoke("run", "toy_pipeline", "--json", tmp_path / place)
    assert result.exit_code == 2
    assert "--json" in result.stderr
    assert toy.calls == []


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (FieldworkError("It failed. Do this."), 1, "It failed. Do this."),
        (RequestError("Expected a. Received b."), 2, "Expected a. Received b."),
        (Stopped("Saved at step 7."), 3, "Saved at step 7. Run the same command to continue."),
        (KeyboardInterrupt(), 3, "Stopped. Run the same command to continue."),
        (ZeroDivisionError("division by zero"), 1, "unexpected: ZeroDivisionError: division by zero"),
        (MemoryError(), 1, "unexpected: MemoryError (rerun with --debug for the traceback)"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_one_plain_line(invoke, toy, error, exit_code, message):
    toy.error = error
    result = invoke("run", "toy_pipeline", "--quiet")
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_debug_adds_the_traceback_and_keeps_the_exit_code(invoke, toy):
    toy.error = RequestError("Expected a. Received b.")
    result = invoke("run", "toy_pipeline", "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.rstrip().endswith("Expected a. Received b.")


def test_message_of_an_unexpected_error_is_one_bounded_line_without_control_characters(invoke, toy):
    toy.error = ValueError("first \x1b[31mred " + "x" * 5000 + "\nsecond line")
    result = invoke("run", "toy_pipeline", "--quiet")
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 600
    assert "\x1b" not in result.stderr
    assert "second line" not in result.stderr


def test_long_path_in_a_message_is_not_broken_into_lines(invoke, toy):
    path = "/a" * 200
    toy.error = RequestError(f"Expected a file. Received {path}.")
    assert path in invoke("run", "toy_pipeline").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("toy_pipeline", "--all"),
        ("toy_pipelin",),
        ("toy_pipeline", "--preset", "huge"),
        ("toy_pipeline", "--set", "epochs"),
        ("toy_pipeline", "--nonsense"),
        ("--all", "--data", "file.csv"),
        ("--all", "--set", "a=1"),
    ],
)
def test_wrong_request_exits_with_2_and_runs_nothing(invoke, flows, arguments):
    result = invoke("run", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr
    assert not any(flow.calls for flow in flows.values())


def test_unknown_pipeline_names_the_close_one(invoke, flows):
    assert "Did you mean toy_pipeline" in invoke("run", "toy-pipelne").stderr


def test_all_runs_the_others_when_one_fails(invoke, flows, tmp_path: Path):
    flows["toy_pipeline"].error = RuntimeError("broken")
    target = tmp_path / "all.json"
    result = invoke("run", "--all", "--json", target)
    assert result.exit_code == 1
    assert len(flows["other_pipeline"].calls) == 1
    document = json.loads(target.read_text())
    assert list(document["runs"]) == ["other_pipeline"]
    assert document["failures"]["toy_pipeline"]["exit_code"] == 1
    assert "toy_pipeline: unexpected: RuntimeError: broken" in result.stderr
    assert "failed" in result.stdout


def test_all_stops_at_a_request_to_stop(invoke, flows):
    flows["toy_pipeline"].error = Stopped("Saved.")
    assert invoke("run", "--all").exit_code == 3
    assert flows["other_pipeline"].calls == []


def test_all_succeeds_with_one_overview_row_per_pipeline(invoke, flows):
    result = invoke("run", "--all", "--preset", "tiny")
    assert result.exit_code == 0, result.output
    overview = result.stdout.split("best baseline")[1]
    for name in ("toy_pipeline", "other_pipeline"):
        row = next(line for line in overview.splitlines() if line.startswith(name))
        assert "roc_auc 0.790 [0.740, 0.840]" in row
        assert "logistic regression 0.750" in row
    assert {flow.calls[0]["preset"] for flow in flows.values()} == {"tiny"}


def test_all_says_which_of_how_many_pipelines_runs(invoke, flows):
    shown = invoke("run", "--all").stderr
    assert "[1/2] toy_pipeline: preset quick" in shown
    assert "[2/2] other_pipeline: preset quick" in shown


def test_all_is_refused_under_torchrun(invoke, flows, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = invoke("run", "--all")
    assert result.exit_code == 2
    assert "torchrun" in result.stderr
    assert not any(flow.calls for flow in flows.values())


def test_quiet_run_of_all_prints_nothing_and_still_writes_the_page(invoke, flows):
    result = invoke("run", "--all", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert (home().root / "index.html").is_file()


def test_all_ends_with_the_path_of_a_page_that_leads_to_every_report(invoke, flows, tmp_path):
    target = tmp_path / "all.json"
    result = invoke("run", "--all", "--json", target)
    page = home().root / "index.html"
    assert result.stdout.rstrip().endswith(f"index        {page}")
    assert json.loads(target.read_text())["index"] == str(page)
    assert page.read_text().count('href="file:///home/x/report.html"') == 2
