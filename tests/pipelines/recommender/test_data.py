"""Tables as users have them: read as meant, put into quarantine with a reason, or refused in one clear message."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

from pipelines.recommender.config import DataConfig
from pipelines.recommender.data import load_tables, parse_column_map, read_histories, source_paths
from pipelines.recommender.public import read_public
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
Ingest = Callable[..., TableCheck]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """A table through file, reader and contract, as a run takes it."""

    def ingest_frame(frame: pl.DataFrame, name: str = "log.parquet", **settings) -> TableCheck:
        path = tmp_path / name
        writers = {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}
        writers[name.rsplit(".")[-1]](path)
        tables = load_tables(str(path), DataConfig(**settings), seed=0)
        return check_table(tables.interactions, load("interactions"))

    return ingest_frame


def log(rows: int = 100, **columns) -> pl.DataFrame:
    """A plain table; columns may be added or replaced."""
    base = {
        "user_id": [f"u{row % 10}" for row in range(rows)],
        "item_id": [f"i{row // 10}" for row in range(rows)],
    }
    return pl.DataFrame({**base, **columns})


def planted(frame: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    """The table with another value in its first three rows."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(value)).otherwise(column).alias(column)
    )


@pytest.mark.parametrize(
    "ids",
    [
        pl.Series([7, 8], dtype=pl.Int64),
        pl.Series([7, 8], dtype=pl.UInt8),
        pl.Series([7.0, 8.0]),
        pl.Series(["7", " 8 "]),
        pl.Series(["7", "8"], dtype=pl.Categorical),
    ],
    ids=["int64", "uint8", "whole floats", "text with blanks", "categorical"],
)
def test_ids_of_any_kind_are_one_text(ingest, ids):
    frame = pl.DataFrame({"user_id": ids, "item_id": ["a", "b"]})
    assert ingest(frame).require()["user_id"].to_list() == ["7", "8"]


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_every_format_gives_the_same_table(ingest, name):
    frame = log(interacted_at=["2024-01-31T12:00:00Z"] * 100, rating=[4.5] * 100)
    assert ingest(frame, name).require().equals(ingest(frame).require())


def test_ids_with_leading_zeros_uuids_and_mixed_ids_stay_apart(ingest):
    ids = ["007", "7", "a7", "5f0c6d9e-8a43-4b1e-9a57-0d3c2b1a0f9e"]
    frame = pl.DataFrame({"user_id": ids, "item_id": ["x"] * 4})
    for name in ("log.csv", "log.parquet"):
        assert ingest(frame, name).require()["user_id"].to_list() == ids


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (pl.Series([int(NOON.timestamp())]), "s"),
        (pl.Series([NOON.timestamp()]), "s"),
        (pl.Series([int(NOON.timestamp()) * 1000]), "ms"),
        (pl.Series([int(NOON.timestamp()) * 1_000_000]), "us"),
        (pl.Series([str(int(NOON.timestamp()))]), "s"),
        (pl.Series(["2024-01-31T12:00:00Z"]), "s"),
        (pl.Series(["2024-01-31 12:00:00"]), "s"),
        (pl.Series(["2024-01-31T14:00:00+02:00"]), "s"),
        (pl.Series([NOON.replace(tzinfo=None)]), "s"),
        (pl.Series([NOON.astimezone(timezone(timedelta(hours=2)))]), "s"),
    ],
    ids=["s", "float s", "ms", "us", "text s", "iso Z", "iso naive", "iso +02", "naive", "aware"],
)
def test_times_of_every_form_are_the_same_moment_in_utc(ingest, times, unit):
    checked = ingest(
        pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "interacted_at": times}), time_unit=unit
    )
    assert checked.require()["interacted_at"].to_list() == [NOON]


@pytest.mark.parametrize("day", [date(2024, 1, 31), "2024-01-31"], ids=["date", "text"])
def test_a_date_is_its_midnight(ingest, day):
    checked = ingest(log(interacted_at=[day] * 100))
    assert checked.require()["interacted_at"].unique().to_list() == [datetime(2024, 1, 31, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("user_id", None, "user_id: required"),
        ("user_id", "", "user_id: pattern"),
        ("item_id", "   ", "item_id: pattern"),
        ("item_id", "x" * 10_000, "item_id: length"),
        ("interacted_at", None, "interacted_at: required"),
        ("interacted_at", "yesterday", "interacted_at: type"),
        ("interacted_at", "2024-02-30", "interacted_at: type"),
        ("interacted_at", "1955-01-01T00:00:00Z", "interacted_at: range"),
        ("interacted_at", "9999-01-01T00:00:00Z", "interacted_at: range"),
        ("rating", float("inf"), "rating: finite"),
        ("weight", float("nan"), "weight: finite"),
        ("weight", float("-inf"), "weight: finite"),
        ("weight", -0.5, "weight: range"),
        ("part", None, "part: required"),
        ("part", "holdout", "part: valid_values"),
    ],
)
def test_a_broken_cell_puts_its_row_into_quarantine_with_the_rule(ingest, column, value, rule):
    frame = log(
        interacted_at=["2024-01-31T12:00:00Z"] * 100,
        rating=[4.0] * 100,
        weight=[1.0] * 100,
        part=["train"] * 100,
    )
    checked = ingest(planted(frame, column, value))
    assert checked.require().height == 97
    assert checked.quarantined["row_number"].to_list() == [1, 2, 3]
    assert all(rule in text for text in checked.quarantined["broken_rules"])


def test_a_time_that_cannot_be_read_is_quarantined_as_it_was_given(ingest):
    frame = log(interacted_at=["2024-01-31T12:00:00.250Z"] * 50 + ["1706702400"] * 47 + ["soon"] * 3)
    checked = ingest(frame)
    assert checked.quarantined["interacted_at"].to_list() == ["soon"] * 3
    assert checked.require()["interacted_at"].unique().sort().to_list() == [
        NOON,
        NOON + timedelta(milliseconds=250),
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300], ids=["nan", "inf", "huge"])
def test_a_number_that_is_no_time_is_quarantined(ingest, value):
    checked = ingest(planted(log(interacted_at=[NOON.timestamp()] * 100), "interacted_at", value))
    assert (checked.require().height, checked.quarantined.height) == (97, 3)


@pytest.mark.parametrize(
    ("factor", "unit", "meant"),
    [(1e3, "s", "ms"), (1e6, "s", "us"), (1e9, "s", "ns"), (1.0, "ms", "s"), (1e6, "ms", "us")],
)
def test_times_in_another_unit_are_refused_with_the_unit_that_they_must_be_in(ingest, factor, unit, meant):
    with pytest.raises(RequestError, match=f"data.time_unit={meant}"):
        ingest(log(interacted_at=[int(NOON.timestamp() * factor)] * 100), time_unit=unit)


def test_dates_without_hyphens_are_not_read_as_seconds(ingest):
    with pytest.raises(RequestError, match="20240131, which looks like a date without hyphens"):
        ingest(log(interacted_at=[20240131] * 100))


def test_times_since_the_start_of_a_recording_are_accepted(ingest):
    assert ingest(log(interacted_at=list(range(100)))).require().height == 100


def test_missing_ratings_of_pandas_are_missing_and_not_broken(ingest):
    checked = ingest(log(rating=[float("nan")] * 50 + [4.0] * 50))
    assert checked.require()["rating"].null_count() == 50


def test_repeated_events_are_allowed(ingest):
    assert ingest(pl.concat([log(), log()])).require().height == 200


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (log(user_id=[1.5] * 100), "user_id: type"),
        (log(user_id=[[1]] * 100), "user_id: type"),
        (log(weight=["much"] * 100), "weight: type"),
        (log(interacted_at=[True] * 100), "interacted_at: type"),
        (log(interacted_at=["soon"] * 100), "interacted_at: type"),
        (log(part=["a"] * 100), "part: valid_values"),
    ],
    ids=["fractional ids", "lists", "words", "truth values", "words as times", "unknown parts"],
)
def test_a_column_of_the_wrong_kind_stops_the_run_and_is_named(ingest, frame, message):
    with pytest.raises(RequestError, match=message):
        ingest(frame).require()


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_missing_key_is_refused_with_the_columns_there_and_the_way_out(ingest, column):
    frame = log().rename({column: "customer"})
    with pytest.raises(
        RequestError, match=rf"a column {column} (.|\n)*customer(.|\n)*\[{column}=YOUR_COLUMN\]"
    ):
        ingest(frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"user_id,item_id\n", "Expected rows"),
        ("user_id;item_id\nstra\xdfe;1\n".encode("latin-1"), "Expected UTF-8 text"),
        (b"user_id,item_id\n1,2\n1,2,3\n", "fields in each row"),
        (b"PK\x03\x04not a table", "zip or Excel"),
        (b"PAR1 and then nothing", "Parquet"),
        (gzip.compress(b"user_id,item_id\n1,2\n" * 500, mtime=0)[:-20], "gzip"),
        (b'{"user_id": 1}\n[2]\n', "JSON object in each line"),
    ],
    ids=["empty", "no rows", "latin-1", "ragged", "zip", "parquet", "gzip", "json"],
)
def test_an_unreadable_file_is_one_request_error(tmp_path, content, message):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        load_tables(str(path), DataConfig(), seed=0)
    with pytest.raises(RequestError, match=message):
        read_histories(path, DataConfig())


def test_a_parquet_file_cut_short_is_one_request_error(tmp_path):
    path = tmp_path / "log.parquet"
    log().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RequestError, match="cut off or damaged"):
        load_tables(str(path), DataConfig(), seed=0)


OWN = {"user_id": "customer", "item_id": "sku", "interacted_at": "bought"}


def own_table() -> pl.DataFrame:
    """A shop's table with a column that would be taken for the contract's if it were not declared otherwise."""
    return pl.DataFrame(
        {"customer": [1, 2], "sku": ["a", "b"], "bought": ["2024-01-31", "2024-02-01"], "user_id": ["x", "y"]}
    )


def test_declared_columns_are_used_and_the_others_are_named(tmp_path):
    path = tmp_path / "shop.csv"
    own_table().write_csv(path)
    tables = load_tables(str(path), DataConfig(columns=OWN), seed=0)
    assert tables.interactions["user_id"].to_list() == ["1", "2"]
    assert tables.interactions.columns == ["user_id", "item_id", "interacted_at"]
    assert tables.notes == ("Columns that are not used: user_id.",)


def test_a_declared_column_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "shop.csv"
    own_table().write_csv(path)
    with pytest.raises(RequestError, match=r"Expected a column costumer in the table.*customer"):
        load_tables(str(path), DataConfig(columns={**OWN, "user_id": "costumer"}), seed=0)


@pytest.mark.parametrize("columns", [("customer", "sku"), ("user_id", "item_id")], ids=["own", "contract"])
def test_a_table_to_serve_is_read_in_the_own_form_and_in_the_contracts(tmp_path, columns):
    path = tmp_path / "serve.csv"
    pl.DataFrame({columns[0]: [1, 2], columns[1]: ["a", "b"]}).write_csv(path)
    frame = read_histories(path, DataConfig(columns=OWN))
    assert frame.to_dict(as_series=False) == {"user_id": ["1", "2"], "item_id": ["a", "b"]}


def test_attribute_tables_meet_the_interactions_by_key(tmp_path):
    log_path, items_path, users_path = (tmp_path / f"{name}.csv" for name in ("log", "items", "users"))
    own_table().write_csv(log_path)
    pl.DataFrame({"sku": ["a", "b"], "colour": ["red", "blue|green"]}).write_csv(items_path)
    pl.DataFrame({"user_id": [1, 2], "age": [30, 40]}).write_csv(users_path)
    config = DataConfig(columns=OWN, items=str(items_path), users=str(users_path))
    tables = load_tables(str(log_path), config, seed=0)
    assert tables.items.columns == ["item_id", "colour"]
    assert tables.users["user_id"].to_list() == ["1", "2"]
    assert source_paths(str(log_path), config) == (log_path, items_path, users_path)


def test_attributes_that_are_missing_or_without_their_key_are_refused(tmp_path):
    path = tmp_path / "log.csv"
    log().write_csv(path)
    with pytest.raises(RequestError, match=r"column item_id in data.items. Received .*no such file"):
        source_paths(str(path), DataConfig(items=str(tmp_path / "none.csv")))
    other = tmp_path / "other.csv"
    pl.DataFrame({"name": ["a"], "colour": ["red"]}).write_csv(other)
    with pytest.raises(RequestError, match="Expected a column item_id in the table"):
        load_tables(str(path), DataConfig(items=str(other)), seed=0)


def test_an_item_described_twice_in_different_words_is_quarantined():
    items = pl.DataFrame({"item_id": ["a", "a", *map(str, range(98))], "colour": ["red", *["blue"] * 99]})
    checked = check_table(items, load("item_attributes"))
    assert checked.quarantined["item_id"].to_list() == ["a", "a"]


@pytest.mark.parametrize("source", ["no_such_set", "german_credit", "/tmp", "", "\x00"])
def test_an_unknown_source_names_what_there_is(source):
    with pytest.raises(RequestError, match="synthetic, movielens_100k, gowalla"):
        source_paths(source, DataConfig())


@pytest.mark.parametrize("setting", [{"columns": OWN}, {"items": "a.csv"}, {"users": "a.csv"}], ids=str)
def test_settings_of_an_own_table_are_refused_with_generated_data(setting):
    with pytest.raises(RequestError, match=r"with a table of your own. Received it with synthetic"):
        load_tables("synthetic", DataConfig(**setting), seed=0)


def test_synthetic_tables_have_the_sizes_asked_for():
    tables = load_tables("synthetic", DataConfig(num_users=60, num_items=70), seed=0)
    assert (tables.users.height, tables.items.height) == (60, 70)
    assert source_paths("synthetic", DataConfig()) == ()


def test_the_column_map_is_read_from_pairs_a_mapping_and_a_file(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("user_id: customer\nitem_id: sku\n")
    wanted = {"user_id": "customer", "item_id": "sku"}
    for value in (["user_id=customer", "item_id=sku"], wanted, str(path)):
        assert parse_column_map(value) == wanted


@pytest.mark.parametrize(
    "value", [7, ["user_id"], {"user_id": 7}, {"usr_id": "a"}, {"user_id": ""}, "/no/such/file.yaml"], ids=str
)
def test_a_column_map_that_makes_no_sense_is_refused(value):
    with pytest.raises(RequestError, match=r"data\.columns: Expected"):
        parse_column_map(value)


def test_adjacency_lines_may_be_ragged_and_users_without_items_are_told(tmp_path):
    (tmp_path / "train.txt").write_text("0 5 6 \n1\t7\n\n2\n")
    (tmp_path / "test.txt").write_text("0 8\r\n1 \n")
    tables = read_public("gowalla", tmp_path)
    assert tables.interactions.rows() == [
        ("0", "5", "train"),
        ("0", "6", "train"),
        ("1", "7", "train"),
        ("0", "8", "test"),
    ]
    assert tables.notes == ("1 users have no item in train.txt.", "1 users have no item in test.txt.")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"0 \xff\xfe"], ids=["empty", "blank", "binary"])
def test_an_adjacency_file_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "train.txt").write_bytes(content)
    (tmp_path / "test.txt").write_text("0 8\n")
    with pytest.raises(RequestError, match=r"Expected lines `user item item \.\.\.`"):
        read_public("gowalla", tmp_path)
