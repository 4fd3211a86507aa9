"""The page of `run --all`: what it says of pipelines that ran and of those that failed, and where it leads."""

from pathlib import Path
from typing import Any

import pytest

from apps.cli.index_page import index_report, write_index
from apps.cli.summary import Outcome
from pipelines.catalogue import Pipeline
from shared.publishing.blocks import Callout, Table
from shared.publishing.report import render

TOY = Pipeline(
    "toy", "Toy", "Is it a toy?", "toys", "toy_scores", "pipelines.toy", ("synthetic",), "test/rmse"
)


def metric(value: float | None, *, higher_is_better: bool | None = False) -> dict[str, Any]:
    ends = {} if value is None else {"low": value - 1, "high": value + 1}
    return {"value": value, "unit": "cycles", "higher_is_better": higher_is_better, "n": 9} | ends


def outcome(headline: dict[str, Any], report: str | None = None, **baselines: dict[str, Any]) -> Outcome:
    others = {name: {"test/rmse": value} for name, value in baselines.items()}
    summary = {"metrics": {"test/rmse": headline}, "baselines": others, "verdict": "Fine.", "report": report}
    return Outcome(TOY, 12.4, summary)


def failure(error: str) -> Outcome:
    return Outcome(TOY, 1.0, error=error, exit_code=1)


def table_of(outcomes: list[Outcome], folder: Path) -> Table:
    blocks = index_report(outcomes, "tiny", folder).sections[0].blocks
    return next(block for block in blocks if isinstance(block, Table))


@pytest.mark.parametrize(("higher_is_better", "best"), [(False, "mean"), (True, "linear")])
def test_best_baseline_follows_the_direction_of_the_metric(higher_is_better, best):
    values = {"linear": 14.0, "mean": 12.0}
    metrics = {name: metric(value, higher_is_better=higher_is_better) for name, value in values.items()}
    found = outcome(metric(13.0, higher_is_better=higher_is_better), **metrics)
    assert found.best_baseline == (best, metrics[best])


def test_no_baseline_is_best_without_direction_or_value():
    assert outcome(metric(13.0, higher_is_better=None), mean=metric(1.0)).best_baseline == ("", {})
    assert outcome(metric(13.0), mean=metric(None)).best_baseline == ("", {})
    assert outcome(metric(13.0)).best_baseline == ("", {})
    assert failure("It broke.").best_baseline == ("", {})


def test_row_has_the_interval_the_best_baseline_the_verdict_and_the_seconds(tmp_path):
    table = table_of([outcome(metric(13.0), linear_model=metric(12.0))], tmp_path)
    pipeline, *values = table.cells()[0]
    assert pipeline == "Toy\nIs it a toy?"
    assert values == ["Rmse\ncycles", "13.0\n12.0 to 14.0", "12.0\nLinear model", "Fine.", "12"]


def test_links_are_relative_inside_the_home_and_whole_outside(tmp_path):
    inside = tmp_path / "artifacts" / "a b" / "report.html"
    table = table_of([outcome(metric(1.0), str(inside)), outcome(metric(1.0), "/srv/report.html")], tmp_path)
    assert table.links == {0: "artifacts/a%20b/report.html", 1: "file:///srv/report.html"}


def test_failed_pipeline_is_told_first_with_its_reason_and_leads_nowhere(tmp_path):
    report = index_report(
        [failure("The disk is full."), outcome(metric(1.0), "/srv/r.html")], "tiny", tmp_path
    )
    first = report.sections[0].blocks[0]
    assert isinstance(first, Callout)
    assert (first.kind, first.title, first.text) == ("bad", "Toy failed", "The disk is full.")
    assert report.facts["Failed"] == 1
    assert set(table_of([failure("x")], tmp_path).links) == set()
    assert "failed" in render(report)


def test_reason_of_a_failure_cannot_become_markup(tmp_path):
    page = render(index_report([failure("<script>alert(1)</script>")], "tiny", tmp_path))
    assert "<script" not in page


def test_new_page_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "new" / "home"))
    first = write_index([failure("The first.")], "tiny")
    second = write_index([outcome(metric(1.0))], "tiny")
    assert first == second == tmp_path / "new" / "home" / "index.html"
    assert "The first." not in second.read_text()
