"""Tables as users have them: read as meant, put into quarantine with a reason, or refused in one clear message."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.fraud_detection.config import DataConfig
from pipelines.fraud_detection.data import (
    load_transactions,
    parse_column_map,
    read_to_score,
    source_paths,
)
from pipelines.fraud_detection.public import read_handbook
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
Ingest = Callable[..., TableCheck]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """A table through file, reader and contract, as a run takes it."""

    def ingest_frame(frame: pl.DataFrame, name: str = "payments.parquet", **settings) -> TableCheck:
        path = tmp_path / name
        writers = {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}
        writers[name.rsplit(".")[-1]](path)
        transactions = load_transactions(str(path), DataConfig(**settings), seed=0)
        return check_table(transactions.frame, load("card_transactions"))

    return ingest_frame


def payments(rows: int = 100, **columns) -> pl.DataFrame:
    """A plain table; columns may be added or replaced."""
    base = {
        "transaction_id": [f"t{row}" for row in range(rows)],
        "time": ["2024-01-31T12:00:00Z"] * rows,
        "customer_id": [f"c{row % 10}" for row in range(rows)],
        "terminal_id": [f"m{row // 10}" for row in range(rows)],
        "amount": [10.5] * rows,
    }
    return pl.DataFrame({**base, **columns})


def planted(frame: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    """The table with another value in its first three rows."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(value)).otherwise(column).alias(column)
    )


@pytest.mark.parametrize("name", ["payments.csv", "payments.jsonl", "payments.parquet"])
def test_every_format_gives_the_same_table(ingest, name):
    frame = payments(is_fraud=[0, 1] * 50, label_time=["2024-02-05 08:00:00"] * 100)
    assert ingest(frame, name).require().equals(ingest(frame).require())


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (pl.Series([int(NOON.timestamp())]), "s"),
        (pl.Series([int(NOON.timestamp()) * 1000]), "ms"),
        (pl.Series([str(int(NOON.timestamp()))]), "s"),
        (pl.Series(["2024-01-31 12:00:00"]), "s"),
        (pl.Series(["2024-01-31T14:00:00+02:00"]), "s"),
        (pl.Series([NOON.replace(tzinfo=None)]), "s"),
    ],
    ids=["s", "ms", "text s", "naive text", "+02", "naive"],
)
def test_times_of_every_form_are_the_same_moment_in_utc(ingest, times, unit):
    checked = ingest(payments(1, time=times, label_time=times), time_unit=unit).require()
    assert checked.select("time", "label_time").row(0) == (NOON, NOON)


@pytest.mark.parametrize(
    "ids",
    [pl.Series([7, 8]), pl.Series([7.0, 8.0]), pl.Series(["7", " 8 "]), pl.Series(["7", "8"], dtype=pl.Categorical)],
    ids=["int", "whole float", "text with blanks", "categorical"],
)  # fmt: skip
def test_ids_of_any_kind_are_one_text(ingest, ids):
    checked = ingest(payments(2, transaction_id=ids, customer_id=ids, terminal_id=ids)).require()
    for name in ("transaction_id", "customer_id", "terminal_id"):
        assert checked[name].to_list() == ["7", "8"]


@pytest.mark.parametrize(
    "labels",
    [
        pl.Series([1, 0, None]),
        pl.Series([1.0, 0.0, float("nan")]),
        pl.Series([True, False, None]),
        pl.Series(["True", "false", None]),
        pl.Series(["1", "0", None]),
    ],
    ids=["int", "float of pandas", "bool", "words", "text"],
)
def test_labels_of_any_kind_are_0_1_or_unknown(ingest, labels):
    assert ingest(payments(3, is_fraud=labels)).require()["is_fraud"].to_list() == [1, 0, None]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("transaction_id", None, "transaction_id: required"),
        ("transaction_id", "same", "transaction_id: unique"),
        ("customer_id", "", "customer_id: pattern"),
        ("terminal_id", "x" * 10_000, "terminal_id: length"),
        ("time", None, "time: required"),
        ("time", "yesterday", "time: type"),
        ("time", "1955-01-01T00:00:00Z", "time: range"),
        ("amount", None, "amount: required"),
        ("amount", -0.5, "amount: range"),
        ("amount", float("nan"), "amount: finite"),
        ("amount", float("inf"), "amount: finite"),
        ("amount", 1e300, "amount: range"),
        ("is_fraud", 2, "is_fraud: valid_values"),
        ("label_time", "never", "label_time: type"),
        ("scenario", -1, "scenario: range"),
    ],
)
def test_a_broken_cell_puts_its_row_into_quarantine_with_the_rule(ingest, column, value, rule):
    frame = payments(is_fraud=[0] * 100, label_time=["2024-02-05T12:00:00Z"] * 100, scenario=[0] * 100)
    checked = ingest(planted(frame, column, value))
    assert checked.require().height == 97
    assert checked.quarantined["row_number"].to_list() == [1, 2, 3]
    assert all(rule in text for text in checked.quarantined["broken_rules"])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (payments(customer_id=[1.5] * 100), "customer_id: type"),
        (payments(amount=["much"] * 100), "amount: type"),
        (payments(time=["soon"] * 100), "time: type"),
        (payments(is_fraud=["maybe"] * 100), "is_fraud: type"),
        (payments(transaction_id=["a"] * 100), "transaction_id: unique"),
    ],
    ids=["fractional ids", "words as amounts", "words as times", "words as labels", "one id"],
)
def test_a_column_of_the_wrong_kind_stops_the_run_and_is_named(ingest, frame, message):
    with pytest.raises(RequestError, match=message):
        ingest(frame).require()


@pytest.mark.parametrize("column", ["time", "customer_id", "terminal_id", "amount"])
def test_a_missing_column_is_refused_with_the_columns_there_and_the_way_out(ingest, column):
    with pytest.raises(RequestError, match=rf"a column {column} (.|\n)*card(.|\n)*\[{column}=YOUR_COLUMN\]"):
        ingest(payments().rename({column: "card"}))


def test_times_in_another_unit_are_refused_by_the_name_of_the_column(ingest):
    with pytest.raises(RequestError, match=r"Expected label_time in seconds.*data.time_unit=ms"):
        ingest(payments(label_time=[int(NOON.timestamp() * 1000)] * 100))


def test_transactions_without_an_id_are_called_by_their_row(tmp_path):
    path = tmp_path / "payments.csv"
    payments().drop("transaction_id").write_csv(path)
    transactions = load_transactions(str(path), DataConfig(), seed=0)
    assert transactions.frame["transaction_id"][:2].to_list() == ["row-1", "row-2"]
    assert "no transaction id" in transactions.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"time,amount\n", "Expected rows"),
        ("time;amount\nstra\xdfe;1\n".encode("latin-1"), "Expected UTF-8 text"),
        (b"time,amount\n1,2\n1,2,3\n", "fields in each row"),
        (b"PK\x03\x04not a table", "zip or Excel"),
        (b"PAR1 and then nothing", "Parquet"),
        (gzip.compress(b"time,amount\n1,2\n" * 500, mtime=0)[:-20], "gzip"),
    ],
    ids=["empty", "no rows", "latin-1", "ragged", "zip", "parquet", "gzip"],
)
def test_an_unreadable_file_is_one_request_error(tmp_path, content, message):
    path = tmp_path / "payments.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        load_transactions(str(path), DataConfig(), seed=0)
    with pytest.raises(RequestError, match=message):
        read_to_score(path, DataConfig())


OWN = {
    "time": "bought",
    "customer_id": "card",
    "terminal_id": "shop",
    "amount": "eur",
    "is_fraud": "chargeback",
}


def own_table() -> pl.DataFrame:
    """A bank's table with columns that are no part of the contract, and one that has another meaning there."""
    return pl.DataFrame(
        {
            "bought": ["2024-01-31 12:00:00", "2024-02-01 12:00:00"],
            "card": [1, 2],
            "shop": ["a", "b"],
            "eur": [1.0, 2.0],
            "chargeback": [True, False],
            "mcc": [5411, 742],
            "online": [True, None],
            "risk": [0.25, 0.75],
            "time": ["noon", "noon"],
        }
    )


def test_declared_columns_and_categories_are_used_and_the_others_are_named(tmp_path):
    path = tmp_path / "bank.parquet"
    own_table().write_parquet(path)
    transactions = load_transactions(str(path), DataConfig(columns=OWN, categories=("mcc", "online")), seed=0)
    checked = check_table(transactions.frame, load("card_transactions")).require()
    assert checked.select("customer_id", "is_fraud", "mcc", "online").rows() == [
        ("1", 1, "5411", "true"),
        ("2", 0, "742", None),
    ]
    assert transactions.notes[-1] == "Columns that are not used: risk, time."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {**OWN, "amount": "euro"}}, r"Expected a column euro in the table.*eur"),
        ({"columns": OWN, "categories": ("mc",)}, r"data.categories: Expected a column mc.*mcc"),
        ({"columns": OWN, "categories": ("eur",)}, "no other part to play. Received eur"),
        ({"columns": OWN, "categories": ("time",)}, "no other part to play. Received time"),
        ({"columns": OWN, "categories": ("risk",)}, "Received Float64 in risk"),
    ],
    ids=[
        "column",
        "category",
        "category that is a column",
        "category with a name of the contract",
        "quantity",
    ],
)
def test_a_declaration_that_does_not_fit_the_table_is_refused(tmp_path, settings, message):
    path = tmp_path / "bank.parquet"
    own_table().write_parquet(path)
    with pytest.raises(RequestError, match=message):
        load_transactions(str(path), DataConfig(**settings), seed=0)


def test_transactions_to_score_come_in_the_own_form_or_in_the_contracts(tmp_path):
    own, contract = tmp_path / "own.parquet", tmp_path / "contract.csv"
    own_table().drop("chargeback", "time").write_parquet(own)
    payments(2, customer_id=["1", "2"]).write_csv(contract)
    config = DataConfig(columns=OWN)
    for path in (own, contract):
        frame = read_to_score(path, config).frame
        assert check_table(frame, load("card_transactions")).require()["customer_id"].to_list() == ["1", "2"]


def test_a_table_to_score_without_a_category_of_the_model_is_refused_by_its_name(tmp_path):
    own_table().drop("mcc").write_parquet(tmp_path / "own.parquet")
    with pytest.raises(RequestError, match=r"categories online, mcc.*without mcc"):
        read_to_score(tmp_path / "own.parquet", DataConfig(columns=OWN, categories=("online", "mcc")))


@pytest.mark.parametrize("source", ["no_such_set", "german_credit", "/tmp", "", "\x00"])
def test_an_unknown_source_names_what_there_is(source):
    with pytest.raises(RequestError, match="synthetic, fraud_handbook"):
        source_paths(source, DataConfig())


@pytest.mark.parametrize(
    "setting", [{"columns": OWN}, {"categories": ("mcc",)}], ids=["columns", "categories"]
)
def test_settings_of_an_own_table_are_refused_with_generated_data(setting):
    with pytest.raises(RequestError, match=r"with a table of your own. Received it with synthetic"):
        load_transactions("synthetic", DataConfig(**setting), seed=0)


def test_synthetic_transactions_have_the_sizes_asked_for():
    frame = load_transactions(
        "synthetic", DataConfig(num_customers=60, num_terminals=70, num_days=80), seed=0
    ).frame
    assert frame["customer_id"].n_unique() <= 60
    assert (frame["time"].max() - frame["time"].min()).days == 79
    assert source_paths("synthetic", DataConfig()) == ()


@pytest.mark.parametrize("form", ["transactions.csv.gz", "transactions.csv", "transactions.parquet"])
def test_the_handbook_is_read_in_every_form_that_users_have(tmp_path, monkeypatch, form):
    text = (
        "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO\n"
        "0,2018-04-01T00:00:31,596,3156,57.16,31,0,0,0\n1,2018-09-30T23:59:57,4961,3412,81.51,130,182,1,2\n"
    )  # fmt: skip
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    path = tmp_path / "fraud_handbook" / form
    path.parent.mkdir()
    if form.endswith("parquet"):
        raw = pl.read_csv(text.encode(), try_parse_dates=True)
        raw.with_columns(pl.col("CUSTOMER_ID", "TERMINAL_ID").cast(pl.String)).write_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    frame = load_transactions("fraud_handbook", DataConfig(), seed=0).frame
    assert check_table(frame, load("card_transactions")).require().row(1) == (
        "1", datetime(2018, 9, 30, 23, 59, 57, tzinfo=UTC), "4961", "3412", 81.51, 1, 2,
    )  # fmt: skip


def test_a_handbook_file_in_another_form_is_refused(tmp_path):
    path = tmp_path / "transactions.csv"
    payments().write_csv(path)
    with pytest.raises(RequestError, match="Expected a column TRANSACTION_ID"):
        read_handbook(path)


@pytest.mark.parametrize(
    "value", [7, ["time"], {"time": 7}, {"tme": "a"}, {"time": ""}, "/no/such/file.yaml"], ids=str
)
def test_a_column_map_that_makes_no_sense_is_refused(value):
    with pytest.raises(RequestError, match=r"data\.columns: Expected"):
        parse_column_map(value)


def test_the_column_map_is_read_from_pairs():
    assert parse_column_map(["time=bought", "amount=eur"]) == {"time": "bought", "amount": "eur"}
