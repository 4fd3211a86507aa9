"""Wrong requests end with exit code 2 and one or two plain lines, before anything is trained or published."""

import os
from pathlib import Path

import polars as pl
import pytest

from tests.flows.bad_files import share, unreadable_tables, written

# What was expected, one line for each kind of violation, the way out.
CONTRACT_LINES = 3


@pytest.fixture
def table(applications) -> pl.DataFrame:
    return applications(300, seed=5)


def run_on(fieldwork, tiny, path: Path, *more: str):
    return fieldwork(*tiny, "--quiet", "--data", path, *more)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epoch=3"], ["training.epoch", "epochs"]),
        (["--set", "training.epochs=many"], ["training.epochs", "integer", "'many'"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "training.epochs"], ["key=value", "training.epochs"]),
        (["--set", "model.kind=forest"], ["model.kind", "'mlp' or 'additive'"]),
        (["--set", "data.fractions=[0.5, 0.5]"], ["data.fractions"]),
        (["--data", "no_such_table"], ["no_such_table", "synthetic, german_credit"]),
        (["--data", "movielens_100k"], ["movielens_100k", "another domain"]),
        (["--data", "/tmp"], ["/tmp", "folder"]),
        (["--data", "no/such/file.csv"], ["no/such/file.csv", "no such file"]),
        (["--json", "/no/such/folder/run.json"], ["--json", "/no/such/folder"]),
    ],
)  # fmt: skip
def test_wrong_option_is_refused_at_once(fieldwork, tiny, options, parts):
    fieldwork(*tiny, "--quiet", *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_unknown_pipeline_names_the_closest(fieldwork):
    fieldwork("run", "credit_skoring").require_plain_failure(2, "credit_skoring", "credit_scoring")


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, tiny, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*tiny, "--quiet", "--data", "german_credit").require_plain_failure(
        2, "german_credit", "fieldwork data fetch german_credit"
    )


@unreadable_tables(
    b"application_id,defaulted",
    pl.lit("Büro").alias("employment"),
    blank=written(b"\n\n\n"),
    no_parquet=written(b"not a parquet file", "own.parquet"),
)
def test_unreadable_table_is_a_wrong_request(fieldwork, tiny, tmp_path, table, write):
    path = write(tmp_path, table)
    run_on(fieldwork, tiny, path).require_plain_failure(2, path.name)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read every file")
def test_table_without_permission_is_a_wrong_request(fieldwork, tiny, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    (tmp_path / "own.csv").chmod(0)
    run_on(fieldwork, tiny, tmp_path / "own.csv").require_plain_failure(2, "own.csv")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("defaulted"), ["outcome column", "data.columns"]),
        (share("defaulted", 7, 0.2), ["defaulted", "5 %"]),
        (share("application_id", "A-1", 0.2), ["application_id", "5 %"]),
        (share("application_id", None, 0.2), ["application_id", "5 %"]),
        (lambda table: table.with_columns(defaulted=0), ["at least 10 defaults", "0 defaults"]),
        (lambda table: table[:50], ["at least 100", "50 rows"]),
        (lambda table: table.select("application_id", "defaulted"), ["feature columns"]),
    ],
    ids=[
        "no-outcome",
        "unknown-outcome",
        "duplicate-id",
        "no-id",
        "one-class",
        "too-few-rows",
        "no-features",
    ],
)
def test_broken_contract_is_a_wrong_request(fieldwork, tiny, tmp_path, table, change, parts):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = run_on(fieldwork, tiny, tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


@pytest.mark.parametrize("own_column_map", ["no/such/map.yaml", "[defaulted=no_such_column]", "{map}"])
def test_column_map_that_does_not_fit_is_a_wrong_request(fieldwork, tiny, tmp_path, table, own_column_map):
    table.write_csv(tmp_path / "own.csv")
    (tmp_path / "map.yaml").write_text("defalted: bad\n")
    option = f"data.columns={own_column_map.format(map=tmp_path / 'map.yaml')}"
    run_on(fieldwork, tiny, tmp_path / "own.csv", "--set", option).require_plain_failure(2)


def test_contract_check_says_whether_a_run_would_take_the_file(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "good.csv")
    good = fieldwork("contract", "check", "credit_applications", tmp_path / "good.csv").require_success()
    assert "300 rows in, 300 valid, 0 to quarantine" in good.stdout
    share("defaulted", 7, 0.01)(table).write_csv(tmp_path / "few.csv")
    few = fieldwork("contract", "check", "credit_applications", tmp_path / "few.csv").require_success()
    assert "300 rows in, 297 valid, 3 to quarantine" in few.stdout
    assert "defaulted" in few.stdout
    share("defaulted", 7, 0.2)(table).write_csv(tmp_path / "bad.csv")
    bad = fieldwork("contract", "check", "credit_applications", tmp_path / "bad.csv")
    bad.require_plain_failure(2, "credit_applications", most_lines=CONTRACT_LINES)
    fieldwork("contract", "check", "credit_aplications", tmp_path / "good.csv").require_plain_failure(
        2, "credit_applications"
    )


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    command = ("score", "credit_scoring", tmp_path / "own.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run credit_scoring")


def test_failure_that_nobody_expected_is_one_line_and_exit_code_1(fieldwork, tiny, monkeypatch):
    from pipelines.credit_scoring import flow

    def broken(*_arguments, **_options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(flow, "run", broken)
    outcome = fieldwork(*tiny, "--quiet")
    assert outcome.exit_code == 1
    assert outcome.stderr == (
        "unexpected: ZeroDivisionError: division by zero (rerun with --debug for the traceback)\n"
    )
    assert "Traceback" in fieldwork(*tiny, "--quiet", "--debug").stderr
