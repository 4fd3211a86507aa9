"""The report: every part is there, the promise stands beside what was measured, and nothing is said without marks."""

import re
from dataclasses import replace

import polars as pl
import pytest

from pipelines.ecg_anomaly.audit import CHECKS
from pipelines.ecg_anomaly.evaluate import evaluation_document
from pipelines.ecg_anomaly.evidence import EvidenceDocuments, first_summary
from pipelines.ecg_anomaly.explain import explain_test
from pipelines.ecg_anomaly.labels import class_counts
from pipelines.ecg_anomaly.report import run_report
from pipelines.ecg_anomaly.report_alarms import alarms_section
from pipelines.ecg_anomaly.report_beats import explanation_section
from pipelines.ecg_anomaly.report_classes import classes_section
from pipelines.ecg_anomaly.report_data import hours_of
from shared.publishing.blocks import Report, Section
from shared.publishing.plain import plain
from shared.publishing.report import render

_SECTIONS = (
    "Results",
    "Can the alarm rate be trusted",
    "Which beats, and where in them",
    "Why a beat is flagged",
    "From recording to alarms",
    "Classes of beats (EC57)",
    "Data",
    "Training: autoencoder",
    "Run",
    "Limits and misuse",
)


@pytest.fixture(scope="module")
def evidence(judged) -> EvidenceDocuments:
    tested = judged.recordings.beats.beat_class[judged.table["beat"].to_numpy()]
    document = evaluation_document(judged.table, judged.found, class_counts(tested), judged.config)
    explanation, contributions = explain_test(
        judged.scorer, judged.recordings, judged.inputs, judged.table, judged.generated.truth
    )
    return EvidenceDocuments(
        evaluation=plain(document),
        explanation=plain(explanation),
        training=plain(judged.fitted.record),
        threshold=plain(judged.fitted.thresholds.to_json()),
        recordings=judged.recordings,
        beats=judged.table,
        found=judged.found,
        explained=contributions,
        quarantine=None,
        notes=("A note.",),
        split="2 folds of whole patients",
        audit={"clean": True, "checks": list(CHECKS), "findings": []},
    )


def page_of(judged, evidence: EvidenceDocuments) -> str:
    summary = first_summary("synthetic", "ecg_records@1.0.0", {"in": 12}, evidence, judged.config)
    return run_report(judged.config, summary, evidence)


def text_of(section: Section) -> str:
    return render(Report("Title", "Subtitle", [section]))


@pytest.fixture(scope="module")
def page(judged, evidence) -> str:
    return page_of(judged, evidence)


def headings(page: str) -> list[str]:
    return [part.split("</h2>")[0].split(">")[-1].strip() for part in page.split("<h2")[1:]]


def test_report_has_every_section_and_figure(page):
    assert headings(page) == list(_SECTIONS)
    assert "Not drawn" not in page
    assert not re.search(r">\s*(nan|None)\s*<", page)


def test_report_says_at_once_that_it_is_no_medical_device(page):
    assert page.index("Not a medical device") < page.index("<h2")


def test_promise_stands_beside_what_was_measured(page, evidence):
    measured = evidence.evaluation["metrics"]["detector"]["test/false_alarm_rate"]["value"]
    assert (
        f"Promised were 1.0 % of the normal beats of patients that were never seen. {100 * measured:.2f} %"
        in page
    )


def test_the_textbook_rule_promises_nothing(judged, evidence):
    threshold = judged.config.threshold.model_copy(update={"rule": "three_deviations"})
    config = judged.config.model_copy(update={"threshold": threshold})
    assert "Promised were" not in text_of(alarms_section(config, evidence))


def test_alarms_per_hour_are_those_of_unmarked_recordings(page, evidence):
    hours = hours_of(evidence.recordings, evidence.beats)
    assert hours == pytest.approx(6 * 2.5 / 60)
    assert f"{evidence.found['flagged'].sum() / hours:,.0f} an hour" in page


def test_every_test_recording_is_in_the_table(page, evidence):
    for name in evidence.beats["record"].unique():
        assert re.search(rf">\s*{name}\s*<", page)


def test_published_results_stand_only_beside_mit_bih(evidence, page):
    assert "de Chazal" not in page
    own = text_of(classes_section("mitdb_ds1", evidence))
    assert "de Chazal et al. 2004" in own
    assert "context, not a ranking" in own


def test_explanations_are_held_against_the_truth_of_the_generator(page, evidence):
    assert "Against the truth of the generator" in page
    unknown = replace(evidence, explanation={**evidence.explanation, "truth": None})
    assert "Against the truth of the generator" not in text_of(explanation_section(unknown))


def test_explanation_that_fails_its_check_is_shown_as_such(evidence):
    attribution = {
        **evidence.explanation["attribution"],
        "warning": "Not faithful for this model",
        "faithful": False,
    }
    failed = replace(evidence, explanation={**evidence.explanation, "attribution": attribution})
    assert "Not faithful for this model" in text_of(explanation_section(failed))


def test_recordings_without_any_abnormal_beat_have_a_report(judged, evidence):
    normal = judged.table.filter(beat_class="N")
    document = evaluation_document(normal, judged.found, {"N": normal.height}, judged.config)
    explanation, contributions = explain_test(judged.scorer, judged.recordings, judged.inputs, normal)
    quiet = replace(
        evidence,
        evaluation=plain(document),
        explanation=plain(explanation),
        explained=contributions,
        beats=normal,
    )
    page = page_of(judged, quiet)
    assert headings(page) == list(_SECTIONS)
    assert "not enough abnormal beats" in page


def test_recordings_without_a_single_flag_have_a_report(judged, evidence):
    quiet = replace(
        evidence,
        beats=judged.table.with_columns(flagged=pl.lit(False), flagged_textbook=pl.lit(False)),
        found=judged.found.with_columns(flagged=pl.lit(False)),
    )
    assert headings(page_of(judged, quiet)) == list(_SECTIONS)
