"""The model card says what the model is for, what it promises, and what it measured."""

from typing import Any

import polars as pl
import pytest

from pipelines.ecg_anomaly.evaluate import evaluation_document
from pipelines.ecg_anomaly.evidence import EvidenceDocuments, first_summary
from pipelines.ecg_anomaly.labels import class_counts
from pipelines.ecg_anomaly.model_card import run_model_card
from shared.publishing.plain import plain


@pytest.fixture(scope="module")
def document(judged) -> dict[str, Any]:
    marked = class_counts(judged.recordings.beats.beat_class)
    found: dict[str, Any] = plain(evaluation_document(judged.table, judged.found, marked, judged.config))
    return found


def card(judged: Any, document: dict[str, Any], **threshold: object) -> str:
    scorer = judged.scorer
    evidence = EvidenceDocuments(
        evaluation=document,
        explanation={"attribution": {"method": "gradients", "faithful": True, "warning": None}},
        training=plain(judged.fitted.record),
        threshold=plain(scorer.thresholds.to_json()) | threshold,
        recordings=judged.recordings,
        beats=judged.table,
        found=judged.found,
        explained=pl.DataFrame(),
        quarantine=None,
        notes=["101: 12 s are flat."],
        split="2 folds of whole patients",
        audit={"clean": True, "checks": [], "findings": []},
    )
    rows = {"in": 12, "quarantined": 0, "train": 6, "test": 6}
    summary = first_summary("synthetic", "ecg_records@1.0.0", rows, evidence, judged.config)
    return run_model_card(scorer, summary, evidence)


def test_the_card_promises_what_was_asked_and_says_what_was_measured(judged, document):
    text = card(judged, document)
    measured = document["metrics"]["detector"]["test/false_alarm_rate"]["value"]
    assert "Promised are 1.0% false alarms" in text
    assert f"Measured are {measured:.2%}" in text
    assert "101: 12 s are flat." in text
    assert "12 recordings of 12 patients" in text


def test_the_card_says_that_this_is_no_medical_device_and_what_it_cannot_see(judged, document):
    text = card(judged, document)
    assert "Not a medical device" in text
    assert "Paced beats" in text
    assert "fieldwork run ecg_anomaly --preset tiny --data synthetic" in text


def test_a_threshold_of_the_textbook_promises_nothing(judged, document):
    text = card(judged, document, rule="three_deviations", title="mean + 3 standard deviations")
    assert "It promises no false-alarm rate." in text
    assert "Promised are" not in text
