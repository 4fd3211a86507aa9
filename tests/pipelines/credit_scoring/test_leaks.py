"""Planted leaks are found by the steps that every run goes through, and clean tables pass them."""

import datetime

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.generator import SCHEMA
from shared.data.audit import audit_split
from shared.data.splits import Split
from shared.data.store import default_store
from shared.errors import FieldworkError

STRATIFIED, BY_HASH = 5000, 0  # tables of fewer rows are stratified


def split(read, stratify_below_rows=STRATIFIED):
    parts = steps.split.function(read.ingested, read.config, stratify_below_rows)
    store = default_store()
    return parts, {name: store.frame(getattr(parts, name)) for name in ("train", "validation", "test")}


def test_parts_share_no_row_and_lose_none(ingest, applicants):
    _, parts = split(ingest(applicants))
    ids = [set(frame["application_id"]) for frame in parts.values()]
    assert sum(map(len, ids)) == len(set().union(*ids)) == 400
    rates = [frame["defaulted"].mean() for frame in parts.values()]
    assert max(rates) - min(rates) < 0.03, "stratified"


@pytest.mark.parametrize("stratify_below_rows", [STRATIFIED, BY_HASH])
def test_equal_applications_stay_in_one_part(ingest, applicants, stratify_below_rows):
    copies = applicants.with_columns(application_id=pl.col("application_id") + "-again")
    _, parts = split(ingest(pl.concat([applicants, copies])), stratify_below_rows)
    for name in ("validation", "test"):
        shared = parts["train"].join(parts[name], on=list(SCHEMA.feature_names), nulls_equal=True)
        assert shared.is_empty(), name


@pytest.mark.parametrize("stratify_below_rows", [STRATIFIED, BY_HASH])
def test_all_applications_of_one_applicant_stay_in_one_part(ingest, applicants, stratify_below_rows):
    grouped = applicants.with_columns(group_id=(pl.int_range(400) // 4).cast(pl.String))
    grouped = grouped.with_columns(group_id=pl.when(pl.int_range(400) < 20).then(None).otherwise("group_id"))
    parts, frames = split(ingest(grouped), stratify_below_rows)
    groups = [set(frame["group_id"].drop_nulls()) for frame in frames.values()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert "group_overlap" in parts.audit["checks"]
    assert sum(frame["group_id"].null_count() for frame in frames.values()) == 20, (
        "who has no group stands alone"
    )


def test_dated_applications_are_tested_on_the_latest(ingest, applicants):
    days = np.random.default_rng(0).permutation(400)
    dated = applicants.with_columns(
        application_date=pl.Series([datetime.date(2024, 1, 1) + datetime.timedelta(int(day)) for day in days])
    )
    parts, frames = split(ingest(dated))
    assert frames["train"]["application_date"].max() < frames["validation"]["application_date"].min()
    assert frames["validation"]["application_date"].max() < frames["test"]["application_date"].min()
    assert "time_order" in parts.audit["checks"]


@pytest.mark.parametrize(
    "leak",
    [
        pl.col("defaulted").cast(pl.Float64),
        1.0 - 3 * pl.col("defaulted"),
        pl.when(pl.col("defaulted") == 1).then(pl.lit("written off")).otherwise(pl.lit("closed")),
        pl.when(pl.col("defaulted") == 1).then(500.0).otherwise(None),  # only defaulters have a loss
    ],
)
def test_a_feature_that_gives_the_outcome_away_stops_the_run(ingest, applicants, leak):
    read = ingest(applicants.with_columns(recovered=leak))
    with pytest.raises(FieldworkError, match=r"target_leak.*recovered"):
        split(read)


def divided(frame, first_of_validation=240):
    rows = np.arange(400)
    return frame, Split(rows[:240], rows[first_of_validation:320], rows[320:])


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (lambda frame: divided(frame, first_of_validation=239), "row_overlap"),
        (lambda frame: divided(pl.concat([frame[:320], frame[:80]])), "duplicate_rows"),
        (
            lambda frame: divided(frame.with_columns(group_id=(pl.int_range(400) % 90).cast(pl.String))),
            "group_overlap",
        ),
    ],
)
def test_a_leak_planted_between_the_parts_is_caught(applicants, plant, check):
    frame, parts = plant(applicants)
    group = "group_id" if "group_id" in frame.columns else None
    report = audit_split(frame, parts, features=SCHEMA.feature_names, target="defaulted", group=group)
    assert check in {finding.check for finding in report.findings}
    with pytest.raises(FieldworkError, match=check):
        report.require()


def test_an_identifier_among_the_features_is_pointed_out(ingest, applicants):
    parts, _ = split(ingest(applicants.with_columns(customer=pl.Series([f"c{n}" for n in range(400)]))))
    assert any("identifiers: customer" in finding["message"] for finding in parts.audit["findings"])


def test_a_clean_table_has_no_findings(ingest, applicants):
    parts, _ = split(ingest(applicants))
    assert parts.audit["findings"] == []
    assert {"row_overlap", "duplicate_rows", "target_leak", "class_missing"} <= set(parts.audit["checks"])
