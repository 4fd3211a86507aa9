"""Wrong requests to fraud detection end with exit code 2 and plain lines, before anything is trained or published."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.flows.bad_files import share, unreadable_tables

TINY = ("run", "fraud_detection", "--preset", "tiny", "--quiet")
LITTLE_EVIDENCE = (
    "--set", "protocol.num_folds=1", "--set", "evaluation.num_bootstraps=50", "--set", "explanation.num_checked=20",
    "--set", "explanation.num_background=10", "--set", "explanation.num_orders=1", "--set", "training.epochs=2",
)  # fmt: skip
# What was expected, one line for each kind of violation, the way out.
CONTRACT_LINES = 3


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """Long enough for one fold: 14 days back to its validation, 7 of training, 7 of delay, 7 of test."""
    from pipelines.fraud_detection.generator import generate

    return generate(100, 150, 40, seed=2).frame


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epoch=3"], ["training.epoch", "epochs"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "model.kind=forest"], ["model.kind", "'plain'", "forest"]),
        (["--set", "features.windows_days=[]"], ["features.windows_days"]),
        (["--set", "features.windows_days=[7, 1]"], ["features.windows_days", "shortest first"]),
        (["--set", "features.windows_days=[0]"], ["features.windows_days", "greater than or equal to 1"]),
        (["--set", "features.windows_days=[99999]"], ["features.windows_days", "less than or equal to 3650"]),
        (
            ["--set", "features.label_delay_days=99999"],
            ["features.label_delay_days", "less than or equal to"],
        ),
        (["--set", "features.night_hours=[22, 30]"], ["features.night_hours", "hours from 0 to 23"]),
        (["--set", "features.time_zone=Mars/Olympus"], ["features.time_zone", "Europe/Brussels"]),
        (["--set", "protocol.first_train_day=soon"], ["protocol.first_train_day"]),
        (
            ["--set", "protocol.first_train_day=9999-12-31"],
            ["protocol.first_train_day", "less than 2100-01-01"],
        ),
        (["--set", "protocol.train_days=9999999999"], ["protocol.train_days", "less than or equal to 3650"]),
        (["--set", "protocol.num_folds=9999999999"], ["protocol.num_folds", "less than or equal to 1000"]),
        (["--set", "model.hidden_sizes=[0]"], ["model.hidden_sizes", "greater than or equal to 1"]),
        (["--set", "model.hidden_sizes=[16, -3]"], ["model.hidden_sizes", "greater than or equal to 1"]),
        (["--set", "model.head_hidden_sizes=[0]"], ["model.head_hidden_sizes", "greater than or equal to 1"]),
        (["--set", "seed=99999999999999999999"], ["seed", "less than 2147483648"]),
        (["--set", "decision.alerts_per_day=0"], ["decision.alerts_per_day", "greater than or equal to 1"]),
        (["--set", "decision.lost_share=1.5"], ["decision.lost_share", "less than or equal to 1"]),
        (["--data", "no_such_table"], ["no_such_table", "synthetic, fraud_handbook"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
        (["--data", "/tmp"], ["/tmp", "folder"]),
        (["--data", "no/such/file.csv"], ["no/such/file.csv", "no such file"]),
        (["--set", "data.categories=[country]"], ["data.categories", "synthetic"]),
        (["--set", "data.columns=[amount=AMT]"], ["data.columns", "synthetic"]),
    ],
)
def test_wrong_option_is_refused_at_once(fieldwork, options, parts):
    fieldwork(*TINY, *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*TINY, "--data", "fraud_handbook").require_plain_failure(
        2, "fraud_handbook", "FIELDWORK_DATA/fraud_handbook", "source: https://"
    )


@unreadable_tables(b"time,customer_id,terminal_id,amount", "Café " + pl.col("terminal_id"))
def test_unreadable_table_is_a_wrong_request(fieldwork, tmp_path, table, write):
    path = write(tmp_path, table)
    fieldwork(*TINY, "--data", path).require_plain_failure(2, path.name)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("time"), ["time", "data.columns=[time=YOUR_COLUMN]"]),
        (lambda table: table.drop("customer_id"), ["customer_id", "data.columns=[customer_id=YOUR_COLUMN]"]),
        (lambda table: table.drop("amount"), ["amount", "data.columns=[amount=YOUR_COLUMN]"]),
        (share("customer_id", None), ["customer_id", "5 %"]),
        (share("terminal_id", " "), ["terminal_id", "5 %"]),
        (share("time", "yesterday"), ["time", "5 %"]),
        (share("time", "1066-10-14T00:00:00Z"), ["time", "5 %"]),
        (share("amount", "a lot"), ["amount", "5 %"]),
        (share("amount", float("nan")), ["amount", "5 %"]),
        (share("amount", float("inf")), ["amount", "5 %"]),
        (share("amount", -1.0), ["amount", "5 %"]),
        (share("is_fraud", 2), ["is_fraud", "5 %"]),
        (share("is_fraud", "maybe"), ["is_fraud", "5 %"]),
        (share("transaction_id", "t1"), ["transaction_id", "5 %"]),
        (lambda table: pl.concat([table, table]), ["duplicate_row", "5 %"]),
    ],
    ids=[
        "no-time", "no-customer", "no-amount", "null-customer", "blank-terminal", "time-as-words", "time-out-of-range",
        "amount-as-text", "nan-amount", "infinite-amount", "negative-amount", "label-of-two", "label-as-text",
        "duplicate-ids", "whole-table-twice",
    ],
)  # fmt: skip
def test_broken_contract_is_a_wrong_request(fieldwork, tmp_path, table, change, parts):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("data.columns=no/such/map.yaml", ["no/such/map.yaml"]),
        ("data.columns=[amount=no_such_column]", ["no_such_column"]),
        ("data.columns=[amnt=amount]", ["amnt", "amount"]),
        ("data.categories=[country]", ["data.categories", "country"]),
        ("data.categories=[amount]", ["data.categories", "amount"]),
        ("data.time_unit=weeks", ["data.time_unit", "weeks"]),
        ("protocol.num_folds=9", ["Expected at least 91 days", "9 folds", "Received 40", "protocol.num_folds"]),
        ("protocol.first_train_day=2018-07-25", ["2018-07-25", "Received 40", "they must reach from 2018-07-11"]),
    ],
    ids=[
        "no-map", "no-column", "no-name", "no-category", "category-with-a-part", "time-unit", "more-folds-than-days",
        "first-day-outside",
    ],
)  # fmt: skip
def test_setting_that_does_not_fit_the_table_is_a_wrong_request(fieldwork, tmp_path, table, setting, parts):
    table.write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, "--data", tmp_path / "own.csv", "--set", setting)
    outcome.require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_far_too_few_days_say_how_many_are_needed(fieldwork, tmp_path, table):
    table.filter(pl.col("time") < table["time"].min() + timedelta(days=3)).write_csv(tmp_path / "own.csv")
    fieldwork(*TINY, "--data", tmp_path / "own.csv").require_plain_failure(
        2, "Expected at least 42 days", "protocol.num_folds"
    )


def test_single_transaction_says_how_many_days_are_needed(fieldwork, tmp_path, table):
    table.head(1).write_csv(tmp_path / "own.csv")
    fieldwork(*TINY, "--data", tmp_path / "own.csv").require_plain_failure(
        2, "at least 42 days", "Received 1"
    )


def test_genuine_transactions_alone_train_without_labels_and_broken_rows_go_to_quarantine(
    fieldwork, tmp_path, table
):
    row = pl.int_range(pl.len())
    broken = {"amount": -1.0, "customer_id": None, "is_fraud": 2}
    genuine = table.drop("scenario").with_columns(is_fraud=pl.lit(0, dtype=pl.Int64))
    for number, (column, value) in enumerate(broken.items()):
        genuine = genuine.with_columns(
            pl.when(row % 300 == number).then(pl.lit(value)).otherwise(column).alias(column)
        )
    genuine.write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *LITTLE_EVIDENCE, "--data", tmp_path / "own.csv", "--json", "-")
    document = outcome.require_success().document
    assert document["rows"]["quarantined"] == sum(number % 300 < len(broken) for number in range(len(table)))
    assert document["verdict"].startswith("The autoencoder cannot be judged")
    assert not document["baselines"].keys() & {"logistic_regression", "gradient_boosting"}
    assert document["metrics"]["test/average_precision"]["value"] is None


def without_days(first: int, last: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Leaves out days of the table, both inclusive, counted from its first."""
    day = pl.col("time").dt.date() - pl.col("time").dt.date().min()
    return lambda table: table.filter(day.dt.total_days().is_between(first, last).not_())


def one_in_the_future(table: pl.DataFrame) -> pl.DataFrame:
    late = table.head(1).with_columns(
        transaction_id=pl.lit("late"), time=datetime(2090, 1, 1, 12, tzinfo=UTC)
    )
    return pl.concat([table, late.cast(table.schema)])


def few_at_the_end(table: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([without_days(33, 39)(table), table.tail(50)])


# With one fold: days 5 to 11 train for the validation, 19 to 25 are the validation and the training, 33 to 39 the test.
@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.with_columns(is_fraud=1), ["Received 0 in the training of the validation"]),
        (lambda table: table.gather_every(len(table) // 42), ["training of the validation", "Give more"]),
        (lambda table: table.with_columns(customer_id=pl.lit("c1")), ["Received 0", "known to be compromised"]),
        (without_days(5, 11), ["Received 0 in the training of the validation from 2024-01-06 to 2024-01-12"]),
        (without_days(19, 25), ["Received 0 in the validation from 2024-01-20 to 2024-01-26"]),
        (few_at_the_end, ["in the test from 2024-02-03 to 2024-02-09", "protocol.first_train_day"]),
        (one_in_the_future, ["Received 0 in the training of the validation from 2089-11-28"]),
    ],
    ids=[
        "frauds-alone", "forty-rows", "one-compromised-customer", "gap-before-validation", "gap-in-training",
        "few-in-test", "one-time-far-ahead",
    ],
)  # fmt: skip
def test_weeks_without_enough_genuine_transactions_are_a_wrong_request(
    fieldwork, tmp_path, table, change, parts
):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *LITTLE_EVIDENCE, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, "Expected at least 100 transactions", *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_one_customer_at_one_terminal_with_equal_amounts_and_times_of_two_zones_is_a_valid_table(
    fieldwork, tmp_path, table
):
    in_tokyo = pl.col("time").dt.convert_time_zone("Asia/Tokyo").dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
    in_utc = pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")
    times = table.select(time=pl.when(pl.int_range(pl.len()) % 2 == 0).then(in_tokyo).otherwise(in_utc))
    own = times.with_columns(customer_id=pl.lit("c1"), terminal_id=pl.lit("m1"), amount=7.0)
    own.write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *LITTLE_EVIDENCE, "--data", tmp_path / "own.csv", "--json", "-")
    assert outcome.require_success().document["rows"]["quarantined"] == 0
    # by its number: with nothing but hours to go by, explanations may fail their check, and nothing is promoted
    scored = ("score", "fraud_detection", tmp_path / "own.csv", "--out", tmp_path / "out.parquet")
    fieldwork(*scored, "--version", "1").require_success()
    alerts = pl.read_parquet(tmp_path / "out.parquet")
    assert alerts["time"].equals(table["time"])
    assert alerts["score"].is_finite().all()


def test_contract_check_says_whether_a_run_would_take_the_file(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "good.csv")
    good = fieldwork("contract", "check", "card_transactions", tmp_path / "good.csv").require_success()
    assert f"{len(table):,} rows in, {len(table):,} valid, 0 to quarantine" in good.stdout
    share("amount", -1.0)(table).write_csv(tmp_path / "bad.csv")
    bad = fieldwork("contract", "check", "card_transactions", tmp_path / "bad.csv")
    bad.require_plain_failure(2, "amount", most_lines=CONTRACT_LINES)


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    command = ("score", "fraud_detection", tmp_path / "own.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run fraud_detection")
