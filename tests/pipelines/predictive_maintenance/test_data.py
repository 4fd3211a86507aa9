"""Tables as users have them: read as meant, put into quarantine with a reason, or refused in one clear message."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.predictive_maintenance.config import DataConfig
from pipelines.predictive_maintenance.data import (
    Readings,
    load_readings,
    lost_failures,
    parse_column_map,
    parse_units,
    read_to_score,
    source_paths,
)
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
# Ten units, each begun a day after the one before, with a reading every 90 minutes.
MOMENTS = [NOON + timedelta(days=row // 10, minutes=90 * (row % 10)) for row in range(100)]
Read = Callable[..., Readings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_frame(frame: pl.DataFrame, name: str = "pumps.parquet", **settings) -> Readings:
        path = tmp_path / name
        writers = {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}
        writers[name.rsplit(".")[-1]](path)
        return load_readings(str(path), DataConfig(**settings), seed=0)

    return read_frame


def checked(readings: Readings) -> TableCheck:
    return check_table(readings.frame, readings.schema.contract())


def readings(**columns) -> pl.DataFrame:
    """Ten units of ten readings; columns may be added or replaced."""
    base = {
        "unit_id": [f"u{row // 10}" for row in range(100)],
        "time": [float(row % 10 + 1) for row in range(100)],
        "failed": [int(row % 10 == 9) for row in range(100)],
        "vibration": [row * 0.25 for row in range(100)],
    }
    return pl.DataFrame({**base, **columns}, strict=False)


def planted(frame: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    """The table with another value in its first three rows."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(value)).otherwise(column).alias(column)
    )


@pytest.mark.parametrize("name", ["pumps.csv", "pumps.jsonl"])
def test_every_format_gives_the_same_table(read, name):
    assert checked(read(readings(), name)).require().equals(checked(read(readings())).require())


@pytest.mark.parametrize(
    "times",
    [
        pl.Series(MOMENTS),
        pl.Series([moment.isoformat() for moment in MOMENTS]),
        pl.Series([f"{moment:%Y-%m-%d %H:%M:%S}" for moment in MOMENTS]),
    ],
    ids=["moments", "ISO text", "naive text"],
)
def test_moments_become_hours_since_the_first_reading_of_the_unit(read, times):
    given = read(readings(time=times))
    table = checked(given).require()
    assert table["time"][:4].to_list() == [0.0, 1.5, 3.0, 4.5]
    assert table["time"][10:12].to_list() == [0.0, 1.5]
    assert table["taken_at"][1] == NOON + timedelta(minutes=90)
    assert (given.schema.time_unit, given.schema.has_moments) == ("hours", True)


def test_a_moment_that_cannot_be_read_puts_its_row_into_quarantine(read):
    times = [f"{NOON + timedelta(hours=row % 10):%Y-%m-%dT%H:%M:%SZ}" for row in range(100)]
    times[4] = "yesterday"
    outcome = checked(read(readings(time=times)))
    assert outcome.require().height == 99
    assert "time: required" in outcome.quarantined["broken_rules"][0]
    assert outcome.quarantined["taken_at"].to_list() == ["yesterday"]


def test_ages_keep_their_unit_and_a_stray_word_among_them_does_not_make_them_moments(read):
    times = [str(row % 10) for row in range(100)]
    times[7] = "seven"
    given = read(readings(time=times), time_unit="operating hours")
    assert given.schema.time_unit == "operating hours"
    outcome = checked(given)
    assert outcome.require()["time"][:3].to_list() == [0.0, 1.0, 2.0]
    assert outcome.quarantined["row_number"].to_list() == [8]


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"time": [1.7e9 + row for row in range(100)]}, {}, "time since 1970: write it as moments"),
        ({"time": [NOON] * 100}, {"time_unit": "cycles"}, r"data\.time_unit: Expected hours"),
    ],
    ids=["seconds since 1970", "moments as cycles"],
)
def test_a_time_that_cannot_be_meant_is_refused_with_the_way_out(read, columns, settings, message):
    with pytest.raises(RequestError, match=message):
        read(readings(**columns), **settings)


@pytest.mark.parametrize(
    "labels",
    [
        pl.Series([0, None] * 50),
        pl.Series([0.0, float("nan")] * 50),
        pl.Series(["False", "0"] * 50),
        pl.Series([False] * 100),
    ],
    ids=["int", "float of pandas", "words", "bool"],
)
def test_labels_of_any_kind_are_0_1_or_unknown(read, labels):
    assert set(checked(read(readings(failed=labels))).require()["failed"]) <= {0, None}


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("unit_id", None, "unit_id: required"),
        ("unit_id", " ", "unit_id: pattern"),
        ("time", None, "time: required"),
        ("time", -1.0, "time: range"),
        ("time", float("inf"), "time: finite"),
        ("failed", 2, "failed: valid_values"),
        ("vibration", float("inf"), "vibration: finite"),
        ("vibration", "broken", "vibration: type"),
    ],
)
def test_a_broken_cell_puts_its_row_into_quarantine_with_the_rule(read, column, value, rule):
    frame = readings()
    if isinstance(value, str):
        frame = frame.with_columns(pl.col(column).cast(pl.String))
    outcome = checked(read(planted(frame, column, value)))
    assert outcome.require().height == 97
    assert all(rule in text for text in outcome.quarantined["broken_rules"])


def test_two_different_readings_of_a_unit_at_one_time_are_both_in_quarantine(read):
    twice = pl.concat([readings(), readings().head(1).with_columns(vibration=99.0)])
    outcome = checked(read(twice))
    assert outcome.quarantined["row_number"].to_list() == [1, 101]
    assert "unit_id, time: unique" in outcome.quarantined["broken_rules"][0]


def test_a_reading_that_did_not_arrive_is_no_error(read):
    frame = readings(vibration=[None, float("nan")] + [1.0] * 98)
    assert checked(read(frame)).require()["vibration"].null_count() == 2


def test_failures_in_quarantine_are_warned_of(read):
    failing = readings().with_columns(
        vibration=pl.when(pl.col("unit_id") == "u3", pl.col("failed") == 1).then(float("inf")).otherwise("vibration")
    )  # fmt: skip
    outcome = checked(read(failing))
    [warning] = lost_failures(outcome.quarantined)
    assert warning.startswith("1 failures are in quarantine")
    assert lost_failures(checked(read(readings())).quarantined) == ()


@pytest.mark.parametrize("column", ["unit_id", "time"])
def test_a_missing_key_is_refused_with_the_columns_there_and_the_way_out(read, column):
    with pytest.raises(RequestError, match=rf"a column {column} (.|\n)*other(.|\n)*\[{column}=YOUR_COLUMN\]"):
        read(readings().rename({column: "other"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"unit_id,time,s\n", "Expected rows"),
        ("unit_id;time\nstra\xdfe;1\n".encode("latin-1"), "Expected UTF-8 text"),
        (b"unit_id,time\n1,2\n1,2,3\n", "fields in each row"),
        (b"PAR1 and then nothing", "Parquet"),
        (gzip.compress(b"unit_id,time\n1,2\n" * 500, mtime=0)[:-20], "gzip"),
    ],
    ids=["empty", "no rows", "latin-1", "ragged", "parquet", "gzip"],
)
def test_an_unreadable_file_is_one_request_error(tmp_path, content, message):
    path = tmp_path / "pumps.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        load_readings(str(path), DataConfig(), seed=0)


OWN = {"unit_id": "machine", "time": "hours", "failed": "breakdown"}


def own_table() -> pl.DataFrame:
    """A plant's table with numbers, text, an empty column, and a sensor with a stray word."""
    return pl.DataFrame(
        {
            "machine": [7.0] * 20 + [8.0] * 20,
            "hours": [*range(20), *range(20)],
            "breakdown": [False] * 40,
            "load": [50.0, 80.0] * 20,
            "oil": ["81.5"] * 39 + ["n/a"],
            "current": [4] * 40,
            "place": ["north"] * 40,
            "spare": pl.Series([None] * 40, dtype=pl.Float64),
        }
    )


def test_every_column_of_numbers_is_a_sensor_unless_it_is_declared_otherwise(read):
    given = read(
        own_table(), columns=OWN, settings=("load",), units={"oil": "degC", "load": "%"}, time_unit="hours"
    )
    assert given.schema.names_of("setting") == ("load",)
    assert given.schema.names_of("sensor") == ("oil", "current")
    assert [channel.unit for channel in given.schema.channels] == ["%", "degC", ""]
    assert given.notes == ("Columns that are not used: place, spare.",)
    outcome = checked(given)
    assert outcome.require()["unit_id"].unique().sort().to_list() == ["7", "8"]
    assert outcome.quarantined["oil"].to_list() == ["n/a"]
    assert given.schema.contract().id_version == "machine_sensor_readings@1.0.0+pumps"


def test_declared_sensors_are_the_only_ones(read):
    given = read(own_table(), columns=OWN, sensors=("current",))
    assert given.schema.names_of("sensor") == ("current",)
    assert "load, oil, place, spare" in given.notes[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {**OWN, "time": "hour"}}, r"Expected a column hour in the table.*hours"),
        ({"columns": OWN, "sensors": ("oi",)}, r"data.sensors: Expected a column oi.*oil"),
        ({"columns": OWN, "settings": ("machine",)}, "no other part to play. Received 'machine'"),
        ({"columns": OWN, "settings": ("load",), "sensors": ("load",)}, "no other part to play"),
        ({"columns": OWN, "sensors": ("oil", "oil")}, "Expected distinct columns"),
        ({"columns": OWN, "units": {"oils": "degC"}}, r"data.units: Expected a column oils.*oil"),
    ],
    ids=["column", "sensor", "setting that is a key", "setting and sensor", "sensor twice", "unit"],
)
def test_a_declaration_that_does_not_fit_the_table_is_refused(read, settings, message):
    with pytest.raises(RequestError, match=message):
        read(own_table(), **settings)


def test_a_table_without_numbers_beside_its_keys_is_refused(read):
    with pytest.raises(RequestError, match="Expected at least one sensor"):
        read(readings().drop("vibration"))


def test_text_in_all_of_a_declared_sensor_stops_the_run_and_is_named(read):
    with pytest.raises(RequestError, match="place: type"):
        checked(read(own_table(), columns=OWN, sensors=("place",))).require()


def test_readings_to_score_come_in_the_own_form_or_in_the_contracts(read, tmp_path):
    schema = read(own_table(), columns=OWN, settings=("load",)).schema
    own, contract = tmp_path / "own.csv", tmp_path / "contract.parquet"
    table = own_table().drop("breakdown", "place").head(39)
    table.write_csv(own)
    table.rename({"machine": "unit_id", "hours": "time"}).write_parquet(contract)
    for path in (own, contract):
        to_score = check_table(read_to_score(path, schema).frame, schema.contract()).require()
        assert to_score.columns == ["unit_id", "time", "load", "oil", "current"]
        assert to_score.height == 39


def test_a_sensor_that_is_not_there_to_score_is_named(read, tmp_path):
    schema = read(own_table(), columns=OWN).schema
    path = tmp_path / "later.csv"
    own_table().drop("oil").write_csv(path)
    with pytest.raises(RequestError, match="oil"):
        check_table(read_to_score(path, schema).frame, schema.contract()).require()


def test_moments_are_refused_where_the_model_learnt_cycles_and_the_other_way_round(read, tmp_path):
    cycles = read(readings()).schema
    moments = read(readings(time=[NOON + timedelta(hours=row % 10) for row in range(100)])).schema
    path = tmp_path / "readings.csv"
    readings(time=["2024-01-31"] * 100).write_csv(path)
    with pytest.raises(RequestError, match=r"Expected time as cycles, as in training. Received moments"):
        read_to_score(path, cycles)
    readings().write_csv(path)
    with pytest.raises(RequestError, match=r"Expected time as moments, as in training. Received numbers"):
        read_to_score(path, moments)


@pytest.mark.parametrize("source", ["no_such_set", "german_credit", "/tmp", "", "\x00"])
def test_an_unknown_source_names_what_there_is(source):
    with pytest.raises(RequestError, match="synthetic, cmapss"):
        source_paths(source, DataConfig())


@pytest.mark.parametrize(
    "setting",
    [{"columns": OWN}, {"sensors": ("oil",)}, {"units": {"oil": "degC"}}, {"time_unit": "hours"}],
    ids=["columns", "sensors", "units", "time_unit"],
)
@pytest.mark.parametrize("source", ["synthetic", "cmapss"])
def test_settings_of_an_own_table_are_refused_with_other_data(source, setting):
    with pytest.raises(RequestError, match=rf"with a table of your own. Received it with {source}"):
        load_readings(source, DataConfig(**setting), seed=0)


def test_synthetic_readings_have_the_sizes_asked_for():
    config = DataConfig(num_units=10, num_sensors=5, num_regimes=2, max_life=60)
    given = load_readings("synthetic", config, seed=0)
    assert given.frame["unit_id"].n_unique() == 10
    assert len(given.schema.names_of("sensor")) == 5
    assert source_paths("synthetic", config) == ()


@pytest.mark.parametrize("value", [7, ["time"], {"tme": "a"}, {"time": ""}, "/no/such/file.yaml"], ids=str)
def test_a_column_map_that_makes_no_sense_is_refused(value):
    with pytest.raises(RequestError, match=r"data\.columns: Expected"):
        parse_column_map(value)


def test_maps_are_read_from_pairs():
    assert parse_column_map(["time=hours", "unit_id=machine"]) == {"time": "hours", "unit_id": "machine"}
    assert parse_units(["oil=degC"]) == {"oil": "degC"}
