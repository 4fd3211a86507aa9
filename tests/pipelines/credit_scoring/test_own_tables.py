"""A lender's own table comes in as it is meant: nothing turned round, nothing lost, nothing protected let through."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring.data import read_to_score, read_to_train
from pipelines.credit_scoring.schema import ColumnMap
from shared.errors import RequestError


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl", "申请.csv"])
def test_the_file_format_and_name_do_not_change_the_table(ingest, applicants, name):
    expected = ingest(applicants, name="reference.parquet")
    read = ingest(applicants, name=name)
    assert read.features == expected.features
    assert read.valid.equals(expected.valid.select(read.valid.columns))


def test_undeclared_table_keeps_protected_attributes_out_of_the_features_and_says_so(ingest, applicants):
    frame = applicants.rename({"sex": "Sex", "age": "age_years"}).with_columns(
        isMarried=pl.lit("y"), account_age_months=pl.int_range(400) % 7, ageOfApplicant=pl.lit(30)
    )
    read = ingest(frame)
    assert set(read.protected) == {"Sex", "age_years", "isMarried", "ageOfApplicant"}
    assert "account_age_months" in read.features
    assert not set(read.protected) & set(read.features)
    assert "Sex" in read.note("fairness audit")


def test_protected_attribute_in_numeric_codes_is_audited_by_code_and_an_age_by_band(ingest, applicants):
    coded = applicants.with_columns(sex=pl.when(pl.col("sex") == "f").then(2).otherwise(1))
    read = ingest(coded)
    edges = {column.name: column.upper_edges for column in read.ingested.lender.protected}
    assert edges["sex"] == ()
    assert edges["age"] == (25.0, 40.0, 60.0)
    assert set(read.valid["sex"]) == {"1", "2"}


def test_protected_columns_declared_alone_are_no_features_and_the_rest_is_inferred(ingest, applicants):
    frame = applicants.with_columns(origin=pl.Series(["x", "y"] * 200))
    read = ingest(frame, {"protected": [{"name": "origin"}]})
    assert "origin" in read.protected
    assert "origin" not in read.features
    assert "monthly_income" in read.features


def test_dates_lists_and_birth_data_in_an_undeclared_table_are_left_out_with_a_note(ingest, applicants):
    frame = applicants.with_columns(
        opened=pl.lit(date(2020, 1, 31)),
        seen_at=pl.lit(datetime(2020, 1, 31, 12)),
        opened_text=pl.lit("2020-01-31"),
        seen_text=pl.lit("2020-01-31T10:00:00"),
        visits=pl.lit([1, 2]),
        date_of_birth=pl.lit(date(1980, 1, 1)),
        birth_year=pl.lit(1980),
        row_number=pl.int_range(400),
    )
    read = ingest(frame)
    left_out = {name for name in frame.columns if name not in applicants.columns}
    assert not left_out & {*read.features, *read.protected}
    assert all(name in read.note("not used:") for name in left_out)
    assert read.ingested.rows_in == read.ingested.table.rows == 400


def test_a_table_of_dates_alone_is_refused(ingest, applicants):
    frame = applicants.select("defaulted", opened=pl.lit(date(2020, 1, 31)))
    with pytest.raises(RequestError, match="Expected feature columns"):
        ingest(frame)


def test_date_declared_as_a_feature_is_refused_by_its_type(ingest, applicants):
    frame = applicants.with_columns(opened=pl.lit(date(2020, 1, 31)))
    with pytest.raises(RequestError, match=r"opened: type: Expected text\. Received a column of Date"):
        ingest(frame, {"categorical": [{"name": "opened"}]})


@pytest.mark.parametrize(
    ("bad", "good", "columns"),
    [
        ("2", "1", {"default_value": 2, "repaid_value": 1}),
        ("charged off", "paid", {"default_value": "charged off", "repaid_value": "paid"}),
        ("yes", "no", {"default_value": True, "repaid_value": False}),  # what YAML makes of yes and no
        ("none", "paid", {"default_value": "none", "repaid_value": "paid"}),
        (True, False, {}),
        (1.0, 0.0, ["default_value=1", "repaid_value=0"]),
        (0, 1, {"default_value": 0, "repaid_value": 1}),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_outcomes_keep_their_sign_however_they_are_spelled(ingest, applicants, bad, good, columns, name):
    values = [bad if outcome else good for outcome in applicants["defaulted"]]
    frame = applicants.drop("defaulted").with_columns(state=pl.Series(values))
    given = [*columns, "defaulted=state"] if isinstance(columns, list) else {**columns, "defaulted": "state"}
    read = ingest(frame, given, name)
    assert read.valid["defaulted"].to_list() == applicants["defaulted"].to_list()
    assert "state" not in read.features


def test_an_outcome_that_could_be_taken_for_a_default_is_refused(ingest, applicants):
    frame = applicants.with_columns(defaulted=pl.Series([0, 1, 2, 2] * 100))
    with pytest.raises(RequestError, match=r"Expected 2 .default. or 0 .repaid.*Received 1 in 100 rows"):
        ingest(frame, {"default_value": 2})


def test_every_row_is_valid_in_quarantine_or_without_outcome(ingest, applicants):
    frame = applicants.with_columns(
        defaulted=pl.when(pl.int_range(400) < 30).then(None).otherwise("defaulted"),
        monthly_income=pl.when(pl.int_range(400).is_between(50, 54)).then(-5.0).otherwise("monthly_income"),
    )
    read = ingest(frame, {"numeric": [{"name": "monthly_income", "minimum": 0}]})
    assert read.ingested.rows_in == 400
    assert read.quarantine.height == read.ingested.quarantined == 5
    assert read.valid.height == 365
    assert "30 rows without an outcome" in read.note("without an outcome")
    assert set(read.quarantine["application_id"]) == set(frame["application_id"][50:55])


def test_declared_columns_come_in_by_yaml_with_renames_and_bounds(ingest, applicants, tmp_path):
    yaml = tmp_path / "columns.yaml"
    yaml.write_text(
        "application_id: id\ndefaulted: bad\ndefault_value: yes\nrepaid_value: no\nrename: {einkommen: income}\n"
        "numeric:\n  - {name: income, unit: EUR, minimum: 0, special_codes: {-9: not asked}}\n"
        "categorical:\n  - {name: branch, levels: {1: north, 2: south}}\nprotected:\n  - {name: sex}\n"
    )
    frame = applicants.select(
        "sex",
        id="application_id",
        bad=pl.when(pl.col("defaulted") == 1).then(pl.lit("yes")).otherwise(pl.lit("no")),
        einkommen=pl.when(pl.int_range(400) < 7).then(-9).otherwise("monthly_income"),
        branch=pl.int_range(400) % 2 + 1,
    )
    read = ingest(frame, str(yaml), "a.csv")
    assert read.features == ("income", "branch")
    assert (read.valid["income"] == -9).sum() == 7
    assert set(read.valid["branch"]) == {"1", "2"}
    assert read.valid["application_id"].to_list() == applicants["application_id"].to_list()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["defaulted=bad_flg"], "a column bad_flg in the table .close: bad_flag"),
        (["outcome=bad_flag"], "outcome: Extra inputs"),
        ({"rename": {"nowhere": "here"}}, "none called nowhere"),
        ({"rename": {"savings": "loan_amount"}}, "loan_amount twice"),
        ({"default_value": 0}, "default_value that differs"),
        (
            {"numeric": [{"name": "savings"}], "protected": [{"name": "savings"}]},
            "one meaning of each column.*savings",
        ),
        (
            {"defaulted": "bad_flag", "numeric": [{"name": "bad_flag"}]},
            "one meaning of each column.*bad_flag",
        ),
        ({"numeric": [{"name": "savings", "minimum": 5, "maximum": 1}]}, "minimum below the maximum"),
        ({"numeric": [{"name": "savings", "special_codes": {float("inf"): "x"}}]}, "finite bounds and codes"),
        ({"numeric": [{"name": "row_number"}]}, "name that the contract does not use"),
        ({"numeric": [{"name": "defaulted"}]}, "name that the contract does not use"),
        ({"numeric": [{"name": "savngs"}]}, "Expected a column savngs.*close: savings"),
        ({"separator": ";;"}, "one character as the separator"),
        ("no_such_file.yaml", "Expected a YAML file"),
        (3, "Input should be"),
    ],
)
def test_a_column_map_that_does_not_fit_is_one_clear_request_error(ingest, applicants, columns, message):
    frame = applicants.with_columns(bad_flag=pl.col("defaulted"))
    if isinstance(columns, dict) and "defaulted" not in columns:
        columns = {**columns, "defaulted": "bad_flag"} if "default_value" not in columns else columns
    with pytest.raises(RequestError, match=r"(?s)" + message):
        ingest(frame, columns, "a.csv")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00\x01"])
def test_a_broken_yaml_file_is_a_request_error(ingest, applicants, tmp_path, text):
    path = tmp_path / "columns.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"data\.columns: Expected a"):
        ingest(applicants, str(path))


def test_data_columns_beside_a_named_source_is_refused_not_ignored(ingest_file):
    with pytest.raises(RequestError, match="table of your own"):
        ingest_file("synthetic", ["defaulted=bad"])


def test_marks_of_missing_values_become_missing_with_a_note_and_declared_levels_stay(ingest, applicants):
    marks = np.array(["NA", "?", " nan ", "None"])
    frame = applicants.with_columns(
        savings=pl.Series([marks[row % 4] if row < 40 else f"{row}.5" for row in range(400)]),
        guarantor=pl.Series(["none", "guarantor"] * 200),
    )
    levels = {"none": "none", "guarantor": "guarantor"}
    columns = {"numeric": [{"name": "savings"}], "categorical": [{"name": "guarantor", "levels": levels}]}
    read = ingest(frame, columns, "a.csv")
    assert read.valid["savings"].null_count() == 40
    assert read.valid["savings"].dtype == pl.Float64
    assert read.valid["guarantor"].null_count() == 0
    assert "savings (40)" in read.note("read as missing")


def test_codes_with_leading_zeros_stay_codes_beside_missing_marks(ingest, applicants):
    frame = applicants.with_columns(
        branch=pl.Series(["0012", "12", "NA", "0012"] * 100),
        application_id=pl.Series([f"{n:05d}" for n in range(400)]),
    )
    read = ingest(frame, name="a.csv")
    assert set(read.valid["branch"].drop_nulls()) == {"0012", "12"}
    assert read.valid["application_id"][7] == "00007"


def test_ids_and_codes_read_as_floats_are_the_whole_numbers_that_they_are(ingest, applicants):
    frame = applicants.with_columns(
        application_id=pl.int_range(400).cast(pl.Float64), k=(pl.int_range(400) % 3).cast(pl.Float64)
    )
    read = ingest(frame, {"categorical": [{"name": "k", "levels": {0: "a", 1: "b", 2: "c"}}]})
    assert set(read.valid["k"]) == {"0", "1", "2"}
    assert read.valid["application_id"][7] == "7"


@pytest.mark.parametrize("value", [float("inf"), 1e300])
def test_a_category_with_impossible_numbers_does_not_crash(ingest, applicants, value):
    frame = applicants.with_columns(k=pl.Series([value, 1.5] * 200))
    read = ingest(frame, {"categorical": [{"name": "k"}]})
    assert read.valid["k"].n_unique() == 2


def test_a_scoring_table_needs_features_alone(tmp_path, applicants):
    path = tmp_path / "train.csv"
    frame = applicants.rename({"application_id": "id", "defaulted": "bad", "savings": "Erspartes"})
    frame = frame.with_columns(group=pl.lit("g"))
    frame.write_csv(path)
    columns = ColumnMap(
        application_id="id", defaulted="bad", group_id="group", rename={"Erspartes": "savings"}, separator=","
    )
    trained = read_to_train(path, columns, "own").schema
    for given in (frame.drop("bad", "group", "sex", "age"), applicants.drop("defaulted", "sex", "age")):
        given.write_csv(path)
        scored = read_to_score(path, trained)
        assert set(trained.feature_names) <= set(scored.columns)
        assert scored["application_id"].to_list() == applicants["application_id"].to_list()
    applicants.drop("application_id").write_csv(path)
    with pytest.raises(RequestError, match="Expected a column id"):
        read_to_score(path, trained)
