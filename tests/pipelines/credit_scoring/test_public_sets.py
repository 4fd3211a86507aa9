"""The public tables mean here what their publishers meant: sign, codes, and what must not be a feature."""

import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.credit_scoring.data import read_to_score, read_to_train
from pipelines.credit_scoring.declared import column_map
from shared.contracts.table import check_table

GERMAN = """A11 6 A34 A43 1169 A65 A75 4 A93 A101 4 A121 67 A143 A152 2 A173 1 A192 A201 1
A12 48 A32 A43 5951 A61 A73 2 A92 A101 2 A121 22 A143 A152 1 A173 1 A191 A201 2
A14 12 A34 A46 2096 A61 A74 2 A95 A101 3 A121 49 A143 A152 1 A172 2 A191 A202 1
"""
TAIWAN_HEADER = (
    "ID,LIMIT_BAL,SEX,EDUCATION,MARRIAGE,AGE,PAY_0,PAY_2,PAY_3,PAY_4,PAY_5,PAY_6,"
    "BILL_AMT1,BILL_AMT2,BILL_AMT3,BILL_AMT4,BILL_AMT5,BILL_AMT6,"
    "PAY_AMT1,PAY_AMT2,PAY_AMT3,PAY_AMT4,PAY_AMT5,PAY_AMT6,default.payment.next.month\n"
)
TAIWAN = TAIWAN_HEADER + (
    "1,20000,2,2,1,24,2,2,-1,-1,-2,-2,3913,3102,689,0,0,-17,0,689,0,0,0,0,1\n"
    "2,1.00E+05,1,1,2,nan,0,0,0,0,0,2,2682,1725,2682,3272,3455,3261,0,1000,1000,1000,0,2000,0\n"
    "3,90000,2,0,3,34,-1,2,0,0,0,2,29239,14027,13559,14331,14948,15549,1518,1500,1000,1000,1000,5000,0\n"
)


def read(tmp_path, name, text, file):
    path = tmp_path / file
    path.write_text(text)
    applications = read_to_train(path, column_map(name), name)
    return applications, check_table(applications.frame, applications.schema.contract())


@pytest.fixture
def german(tmp_path):
    return read(tmp_path, "german_credit", GERMAN, "german.data")


@pytest.fixture
def taiwan(tmp_path):
    return read(tmp_path, "taiwan_default", TAIWAN, "UCI_Credit_Card.csv")


def test_german_class_two_is_the_default(german):
    _, checked = german
    assert not checked.violations
    assert checked.valid["defaulted"].to_list() == [0, 1, 0]


def test_german_columns_are_where_the_publisher_put_them(german):
    row = german[1].valid.row(1, named=True)
    assert (row["duration_months"], row["credit_amount"], row["installment_rate"]) == (48.0, 5951.0, 2.0)
    assert (row["checking_account"], row["purpose"], row["telephone"]) == ("A12", "A43", "A191")


def test_german_sex_age_and_foreign_workers_are_audited_and_no_features(german):
    applications, checked = german
    protected = {column.name for column in applications.schema.protected}
    assert protected == {"personal_status_sex", "age", "foreign_worker"}
    assert not protected & set(applications.schema.feature_names)
    (status, _, _) = applications.schema.protected
    assert [status.levels[code] for code in checked.valid["personal_status_sex"]] == [
        "male",
        "female",
        "female",
    ]


def test_an_unknown_german_code_is_quarantined_by_its_rule(tmp_path):
    _, checked = read(
        tmp_path, "german_credit", GERMAN.replace("A14 12 A34 A46", "A14 12 A34 A47X"), "german.data"
    )
    assert checked.valid.height == 2
    assert {(item.column, item.rule) for item in checked.violations} == {("purpose", "valid_values")}


def test_taiwan_amounts_in_scientific_spelling_and_unknown_ages_are_read(taiwan):
    _, checked = taiwan
    assert not checked.violations
    assert checked.valid["credit_limit"].to_list() == [20000.0, 100000.0, 90000.0]
    assert checked.valid["age"].to_list() == [24.0, None, 34.0]
    assert checked.valid["bill_april"].to_list() == [-17.0, 3261.0, 15549.0]


def test_taiwan_months_are_not_shifted(taiwan):
    row = taiwan[1].valid.row(0, named=True)
    delays = ("september", "august", "july", "june", "may", "april")
    assert [row[f"delay_{month}"] for month in delays] == [2.0, 2.0, -1.0, -1.0, -2.0, -2.0]


def test_taiwan_payment_states_are_codes_not_amounts(taiwan):
    schema = taiwan[0].schema
    for column in schema.numeric:
        if column.name.startswith("delay_"):
            assert set(column.special_codes) == {-2.0, -1.0, 0.0}
            assert column.minimum == 1


def test_taiwan_sex_marriage_and_age_are_audited_and_no_features(taiwan):
    schema = taiwan[0].schema
    assert {column.name for column in schema.protected} == {"sex", "marriage", "age"}
    assert not {"sex", "marriage", "age"} & set(schema.feature_names)
    assert set(taiwan[1].valid["education"]) == {"2", "1", "0"}


def test_german_applicants_are_scored_from_the_published_form_and_from_a_table_with_a_header(
    german, tmp_path
):
    applications, checked = german
    published = read_to_score(tmp_path / "german.data", applications.schema)
    by_name = tmp_path / "mine.csv"
    checked.valid.drop("defaulted").write_csv(by_name)
    named = read_to_score(by_name, applications.schema)
    names = list(applications.schema.feature_names)
    contract = applications.schema.contract(scoring=True)
    tables = [
        check_table(frame.drop("defaulted", strict=False), contract).require() for frame in (published, named)
    ]
    assert tables[0].select(names).equals(tables[1].select(names))


def test_taiwan_applicants_are_scored_without_protected_columns(taiwan, tmp_path):
    path = tmp_path / "score.csv"
    pl.read_csv(tmp_path / "UCI_Credit_Card.csv", infer_schema=False).drop(
        "SEX", "AGE", "MARRIAGE", "default.payment.next.month"
    ).write_csv(path)
    frame = read_to_score(path, taiwan[0].schema)
    assert check_table(frame, taiwan[0].schema.contract(scoring=True)).require().height == 3
    assert frame["application_id"].to_list() == ["1", "2", "3"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "num_rows", "num_defaults", "num_features"),
    [("german_credit", 1000, 300, 17), ("taiwan_default", 30_000, 6636, 20)],
)
def test_the_published_table_is_whole_and_keeps_its_contract(
    ingest_file, name, num_rows, num_defaults, num_features
):
    folder = os.environ.get("FIELDWORK_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"FIELDWORK_DATA is not set, or has no {name}")
    found = ingest_file(name)
    assert found.ingested.rows_in == found.valid.height + found.ingested.quarantined == num_rows
    assert found.ingested.quarantined <= num_rows * 0.002, "rows sent twice"
    assert found.valid["defaulted"].sum() >= num_defaults - found.ingested.quarantined
    assert len(found.features) == num_features
    assert not {*found.protected, "defaulted", "application_id"} & set(found.features)
    if not found.ingested.quarantined:
        assert found.valid["defaulted"].sum() == num_defaults
