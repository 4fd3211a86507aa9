"""A file that cannot be used ends in quarantine or in one clear message, never in a traceback or a silent drop."""

import gzip

import polars as pl
import pytest

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.config import DataConfig
from pipelines.credit_scoring.data import source_path
from shared.errors import RequestError

DECLARED = {
    "numeric": [
        {"name": "monthly_income", "unit": "EUR", "minimum": 0},
        {"name": "months_since_delinquency", "minimum": 0, "special_codes": {-9: "never"}},
    ],
    "categorical": [{"name": "housing", "levels": {"owner": "o", "tenant": "t", "family": "f"}}],
}


def planted(applicants, column, value, rows=4):
    """The table with a wrong value in a few rows."""
    return applicants.with_columns(
        pl.when(pl.int_range(applicants.height) < rows).then(pl.lit(value)).otherwise(column).alias(column)
    )


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("monthly_income", -1.0, "range"),
        ("monthly_income", float("inf"), "finite"),
        ("months_since_delinquency", -8.0, "range"),
        ("housing", "castle", "valid_values"),
        ("defaulted", 2, "valid_values"),
        ("application_id", "S3-0000000", "unique"),
    ],
)
def test_a_broken_row_is_in_quarantine_with_its_rule(ingest, applicants, column, value, rule):
    read = ingest(planted(applicants, column, value), DECLARED)
    assert read.quarantine.height == read.ingested.quarantined == 4
    assert read.valid.height == 396
    assert all(f"{column}: {rule}" in text for text in read.quarantine["broken_rules"].cast(pl.String))
    assert rule in read.note("Quarantine")


def test_nan_in_a_float_column_is_missing_not_a_number(ingest, applicants):
    read = ingest(planted(applicants, "monthly_income", float("nan")), DECLARED)
    assert read.ingested.quarantined == 0
    assert read.valid["monthly_income"].null_count() == 4
    assert not read.valid["monthly_income"].is_nan().any()


def test_more_broken_rows_than_the_limit_stop_the_run_and_name_the_rule(ingest, applicants):
    with pytest.raises(RequestError, match=r"(?s)at most 5 % broken rows.*monthly_income: range"):
        ingest(planted(applicants, "monthly_income", -1.0, rows=30), DECLARED)


def test_text_in_a_declared_number_is_named(ingest, applicants):
    with pytest.raises(RequestError, match="monthly_income: type"):
        ingest(applicants.with_columns(monthly_income=pl.lit("plenty")), DECLARED, "a.csv")


def test_wholly_identical_rows_are_one_application_sent_twice(ingest, applicants):
    read = ingest(pl.concat([applicants, applicants[:3]]), DECLARED)
    assert read.valid.height == 400
    assert read.quarantine.height == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"application_id,defaulted,income\n", "Expected rows"),
        ("id;defaulted;stra\xdfe\n1;0;x\n".encode("latin-1"), "Expected UTF-8 text"),
        (b"a,b\n1,2\n1,2,3\n", "fields in each row"),
        (b"PK\x03\x04not a table", "zip or Excel"),
        (b"PAR1 and then nothing", "Parquet"),
        (gzip.compress(b"a,b\n1,2\n" * 500, mtime=0)[:-20], "gzip"),
        (b"\x1f\x8b\x08broken", "gzip"),
        (b'{"a": 1}\n[2]\n', "JSON object in each line"),
        (b"income,defaulted\n", "Expected rows"),
    ],
)
def test_an_unreadable_file_is_one_request_error(ingest_file, tmp_path, content, message):
    path = tmp_path / "applications.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        ingest_file(path)


def test_a_parquet_file_cut_short_is_one_request_error(ingest_file, tmp_path, applicants):
    path = tmp_path / "a.parquet"
    applicants.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RequestError, match="cut off or damaged"):
        ingest_file(path)


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_class_only_is_refused(ingest, applicants, outcome):
    with pytest.raises(RequestError, match="at least 10 defaults and 10 repaid"):
        ingest(applicants.filter(pl.col("defaulted") == outcome))


def test_far_too_few_rows_are_refused(ingest, applicants):
    with pytest.raises(RequestError, match="at least 100 applications"):
        ingest(applicants[:60])


def test_no_outcome_column_and_no_outcomes_are_refused(ingest, applicants):
    with pytest.raises(RequestError, match="Expected an outcome column"):
        ingest(applicants.drop("defaulted"))
    with pytest.raises(RequestError):
        ingest(applicants.with_columns(defaulted=pl.lit(None, pl.Int64)))


@pytest.mark.parametrize("source", ["no_such_set", "movielens_100k", "/tmp", "", "\x00"])
def test_an_unknown_source_names_what_there_is(source):
    with pytest.raises(RequestError, match=r"german_credit, taiwan_default"):
        source_path(source)


def test_a_public_set_that_is_not_there_names_the_way_to_it(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    with pytest.raises(RequestError, match="fieldwork data fetch german_credit"):
        source_path("german_credit")


def test_other_content_under_the_same_name_is_another_source(tmp_path, applicants):
    path = tmp_path / "a.csv"
    applicants.write_csv(path)
    before = steps.identify(str(path), DataConfig())
    applicants[1:].write_csv(path)
    assert steps.identify(str(path), DataConfig()) != before
