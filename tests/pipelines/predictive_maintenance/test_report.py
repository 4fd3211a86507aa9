"""The report: every part is there, open ends stay open, and without failures nothing is said of remaining life."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.evaluate import evaluation_document, unjudged_document
from pipelines.predictive_maintenance.evidence import EvidenceDocuments, first_summary
from pipelines.predictive_maintenance.explain import explain_test
from pipelines.predictive_maintenance.figures import (
    anomaly_over_life,
    forecast_against_truth,
    lives_over_time,
    typical_lives,
)
from pipelines.predictive_maintenance.predictions import forecast_test, member_forecasts
from pipelines.predictive_maintenance.report import run_report
from pipelines.predictive_maintenance.report_data import fleet_facts
from shared.publishing.plain import plain

_WITH_FAILURES = ("When to service", "Protocol card", "Forecasts", "How sure the forecasts are")
_ALWAYS = ("Results", "Which sensors say so", "Anomaly score", "Data", "Limits and misuse")


def evidence_of(small) -> EvidenceDocuments:
    scorer, outcome, config = small.scorer, small.outcome, small.config
    train, test = (small.fleet.of_units(part) for part in (small.division.train, small.division.test))
    table = forecast_test(scorer, train, test)
    if scorer.forecaster is None:
        document = unjudged_document(table, scorer.scale, config)
    else:
        members = member_forecasts(scorer, test, table)
        document = evaluation_document(
            table, members, outcome.out_of_fold, scorer.forecaster.calibrated, config
        )
    explanation, contributions = explain_test(scorer.explainer(), test, scorer.preparation, table, config)
    return EvidenceDocuments(
        evaluation=plain(document),
        explanation=plain(explanation),
        training=plain(outcome.record),
        fleet=plain(fleet_facts(small.fleet, scorer.preparation)),
        forecasts=table,
        contributions=contributions,
        quarantine=None,
        notes=("A note.",),
        warnings=("3 failures are in quarantine.",),
        split="whole machines",
        audit={"checks": ["unit_overlap"], "findings": []},
    )


def report_of(small, evidence: EvidenceDocuments) -> str:
    summary = first_summary("synthetic", "machine_sensor_readings@1.0.0", {"in": 1}, evidence, small.config)
    return run_report(small.config, summary, evidence)


@pytest.fixture(scope="module")
def evidence(small) -> EvidenceDocuments:
    return evidence_of(small)


@pytest.fixture(scope="module")
def page(small, evidence) -> str:
    return report_of(small, evidence)


def headings(page: str) -> list[str]:
    return [part.split("</h2>")[0].split(">")[-1].strip() for part in page.split("<h2")[1:]]


def test_report_has_every_section_and_figure(page):
    assert {*_ALWAYS, *_WITH_FAILURES} <= set(headings(page))
    assert "Not drawn" not in page
    assert not re.search(r">\s*(nan|None)\s*<", page)


def test_report_states_the_conventions_of_the_protocol(page):
    for words in ("0 at the failing reading", "never a mean over batches", "d = forecast − truth"):
        assert words in page


def test_report_says_the_threshold_and_what_lies_in_quarantine(page, small):
    assert small.scorer.forecaster is not None
    assert f"as soon as the forecast says {small.scorer.forecaster.decision.threshold:.0f} cycles" in page
    assert "3 failures are in quarantine." in page


def test_report_without_failures_says_nothing_of_remaining_life(unfailed):
    page = report_of(unfailed, evidence_of(unfailed))
    assert set(_ALWAYS) <= set(headings(page))
    assert not set(_WITH_FAILURES) & set(headings(page))
    assert "cannot be judged" in page


def test_explanation_that_fails_its_check_is_shown_as_such(small, evidence):
    attribution = {
        **evidence.explanation["attribution"],
        "faithful": False,
        "warning": "Not faithful for this model",
    }
    failed = replace(evidence, explanation={**evidence.explanation, "attribution": attribution})
    assert "Not faithful for this model" in report_of(small, failed)


def forecasts(**columns: list[float]) -> pl.DataFrame:
    num_rows = len(columns["remaining"])
    base = {
        "unit_id": [f"u{row}" for row in range(num_rows)],
        "life": [1] * num_rows,
        "time": range(num_rows),
    }
    return pl.DataFrame({**base, "is_censored": [False] * num_rows, **columns})


def test_machines_whose_interval_misses_are_counted():
    last = forecasts(
        remaining=[5.0, 50.0, 90.0],
        forecast=[6.0, 20.0, 70.0],
        low=[4.0, 10.0, 60.0],
        high=[8.0, 30.0, np.nan],
    )
    figure = forecast_against_truth(last, 80.0, "cycles")
    assert "interval holds the truth (2 of 3)" in figure
    assert "it misses (1 of 3)" in figure


def test_figures_say_why_they_are_empty():
    nothing = forecasts(remaining=[1.0], forecast=[1.0], low=[1.0], high=[1.0])[:0]
    assert "Not drawn" in forecast_against_truth(nothing, 80.0, "cycles")
    assert "Not drawn" in lives_over_time(typical_lives(nothing, 80.0), 80.0, "cycles")


def test_lives_shown_are_the_best_the_middle_and_the_worst_that_came_near_failure():
    num_lives = 9
    errors = np.arange(num_lives, dtype=float)
    near = forecasts(remaining=[10.0] * num_lives, forecast=(10 + errors).tolist())
    far = forecasts(remaining=[70.0], forecast=[70.0]).with_columns(unit_id=pl.lit("far"))
    found = typical_lives(pl.concat([near, far]), 80.0)
    assert [life["unit_id"][0] for life in found] == ["u0", "u1", "u3", "u4", "u7", "u8"]


@pytest.mark.parametrize("num_lives", [1, 2, 5])
def test_few_lives_are_all_shown(num_lives):
    table = forecasts(remaining=[10.0] * num_lives, forecast=[10.0] * num_lives)
    assert len(typical_lives(table, 80.0)) == num_lives


def test_anomaly_score_goes_over_time_where_no_end_is_known():
    table = forecasts(remaining=[3.0, 2.0, 1.0], anomaly_score=[1.0, 1.1, 2.0])
    assert "True remaining life" in anomaly_over_life(table, 80.0, "hours")
    running = table.with_columns(is_censored=pl.lit(True))
    assert "Time of the machine" in anomaly_over_life(running, 80.0, "hours")


def test_facts_count_machines_lives_gaps_and_regimes(small, generated):
    facts = fleet_facts(small.fleet, small.scorer.preparation)
    assert facts["machines"] == 60
    assert facts["lives"] == generated.truth.height
    assert facts["failed_lives"] == int((~generated.truth["is_censored"]).sum())
    assert sum(regime["readings"] for regime in facts["regimes"]) == generated.frame.height
    assert len(facts["regimes"]) == 3
    assert facts["gaps"] == 0
