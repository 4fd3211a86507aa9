"""Wrong requests to predictive maintenance end with exit code 2 and plain lines, before anything is trained."""

from pathlib import Path

import polars as pl
import pytest

from tests.flows.bad_files import share, unreadable_tables

TINY = ("run", "predictive_maintenance", "--preset", "tiny", "--quiet")
LITTLE_EVIDENCE = (
    "--set", "evaluation.num_bootstraps=50", "--set", "evaluation.boosting_rounds=10",
    "--set", "explanation.num_checked=20", "--set", "explanation.num_steps=8", "--set", "training.min_steps=20",
)  # fmt: skip
# What was expected, one line for each kind of violation, the way out.
CONTRACT_LINES = 3
OWN = ("--set", "data.settings=[load, ambient_temperature]")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    from pipelines.predictive_maintenance.generator import generate

    return generate(24, 8, 2, 120, seed=2).frame


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "training.learning_rate=inf"], ["training.learning_rate"]),
        (["--set", "features.window_length=2"], ["features.window_length", "greater than or equal to 8"]),
        (["--set", "features.window_length=99999"], ["features.window_length", "less than or equal to 1000"]),
        (["--set", "target.rul_cap=0"], ["target.rul_cap", "greater than 0"]),
        (["--set", "target.rul_cap=20", "--set", "target.horizon=30"], ["horizon", "at most target.rul_cap, 20"]),
        (["--set", "target.horizon=500"], ["target.horizon", "at most target.rul_cap"]),
        (["--set", "target.rul_cap=0.5"], ["target.rul_cap above the time between two readings, 1 cycles"]),
        (["--set", "protocol.num_folds=1"], ["protocol.num_folds", "greater than or equal to 2"]),
        (["--set", "protocol.num_folds=40"], ["at least 40 units to train on", "Received 30", "protocol.num_folds"]),
        (["--set", "protocol.coverage=1"], ["protocol.coverage", "less than or equal to 0.99"]),
        (["--set", "protocol.test_share=1"], ["protocol.test_share", "less than 0.9"]),
        (["--set", "model.hidden_size=99999999"], ["model.hidden_size", "less than or equal to 1024"]),
        (["--set", "model.num_members=0"], ["model.num_members", "greater than or equal to 1"]),
        (["--set", "model.code_size=99999999"], ["model.code_size", "less than or equal to 1024"]),
        (["--set", "decision.cost_failure=-1"], ["decision.cost_failure", "greater than 0"]),
        (["--set", "decision.lead_time=nan"], ["decision.lead_time", "finite number"]),
        (["--set", "seed=99999999999999999999"], ["seed", "less than 2147483648"]),
        (["--set", "data.subset=FD005"], ["data.subset", "FD004"]),
        (["--data", "no_such_table"], ["no_such_table", "synthetic, cmapss"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
        (["--data", "/tmp"], ["/tmp", "folder"]),
        (["--set", "data.sensors=[flow]"], ["data.sensors", "synthetic"]),
        (["--set", "data.columns=[unit_id=pump]"], ["data.columns", "synthetic"]),
    ],
    ids=[
        "section", "no-epochs", "infinite-rate", "window-short", "window-long", "no-cap", "horizon-beyond-cap",
        "horizon-beyond-lives", "cap-within-step", "one-fold", "more-folds-than-machines", "coverage-of-all",
        "all-for-test", "huge-layer", "no-network", "huge-code", "negative-cost", "nan-lead-time", "seed", "subset",
        "no-table", "other-domain", "folder", "sensors-of-generator", "columns-of-generator",
    ],
)  # fmt: skip
def test_wrong_option_is_refused_at_once(fieldwork, options, parts):
    fieldwork(*TINY, *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*TINY, "--data", "cmapss").require_plain_failure(2, "fieldwork data fetch cmapss")


@unreadable_tables(b"unit_id,time,flow", "Café " + pl.col("unit_id"))
def test_unreadable_table_is_a_wrong_request(fieldwork, tmp_path, table, write):
    path = write(tmp_path, table)
    fieldwork(*TINY, "--data", path).require_plain_failure(2, path.name)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("unit_id"), ["unit_id", "data.columns=[unit_id=YOUR_COLUMN]"]),
        (lambda table: table.drop("time"), ["time", "data.columns=[time=YOUR_COLUMN]"]),
        (lambda table: table.drop(pl.selectors.contains("_1", "_2")), ["at least one sensor"]),
        (share("unit_id", None), ["unit_id", "5 %"]),
        (lambda table: table.with_columns(time=pl.col("time") - 30), ["time", "5 %"]),
        (share("time", "soon"), ["time", "5 %"]),
        (share("flow_1", "a lot"), ["flow_1", "5 %"]),
        (share("flow_1", float("inf")), ["flow_1", "5 %"]),
        (share("failed", 2), ["failed", "5 %"]),
        (share("failed", "perhaps"), ["failed", "5 %"]),
        (lambda table: pl.concat([table, table]), ["duplicate_row", "5 %"]),
        (lambda table: table.with_columns(part=pl.lit("validation")), ["part"]),
    ],
    ids=[
        "no-unit", "no-time", "no-sensor", "null-unit", "negative-time", "time-as-words", "sensor-as-text",
        "infinite-sensor", "failed-of-two", "failed-as-text", "whole-table-twice", "unknown-part",
    ],
)  # fmt: skip
def test_broken_contract_is_a_wrong_request(fieldwork, tmp_path, table, change, parts):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *OWN, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.filter(unit_id="pump-001"), ["at least 5 units", "Received 1"]),
        (lambda table: table.group_by("unit_id").first(), ["machines with several readings each"]),
        (
            lambda table: table.with_columns(part=pl.lit("train")),
            ["5 units for train, 1 for test", "of which 24 for train"],
        ),
        (
            lambda table: table.with_columns(
                part=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("train")).otherwise(pl.lit("test"))
            ),
            ["all readings of a unit in one part"],
        ),
        (
            lambda table: table.with_columns(pl.selectors.contains("_1", "_2") * 0 + 1),
            ["a sensor that changes", "never do within an operating regime"],
        ),
    ],
    ids=["one-machine", "one-reading-each", "no-test-machine", "unit-in-both-parts", "nothing-changes"],
)
def test_fleet_that_cannot_teach_anything_is_a_wrong_request(fieldwork, tmp_path, table, change, parts):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *OWN, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("data.columns=no/such/map.yaml", ["no/such/map.yaml"]),
        ("data.columns=[unit_id=no_such_column]", ["no_such_column"]),
        ("data.columns=[unt_id=unit_id]", ["unt_id", "unit_id"]),
        ("data.settings=[pressure]", ["data.settings", "pressure"]),
        ("data.sensors=[unit_id]", ["data.sensors", "unit_id"]),
        ("data.units=[flw=l/min]", ["data.units", "flw"]),
        ("data.units=no/such/units.yaml", ["no/such/units.yaml"]),
    ],
    ids=["no-map", "no-column", "no-name", "no-setting", "sensor-with-a-part", "unit-of-nothing", "no-units"],
)
def test_setting_that_does_not_fit_the_table_is_a_wrong_request(fieldwork, tmp_path, table, setting, parts):
    table.write_csv(tmp_path / "own.csv")
    fieldwork(*TINY, "--data", tmp_path / "own.csv", "--set", setting).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_broken_rows_go_to_quarantine_and_a_lost_failure_is_told(fieldwork, tmp_path, table):
    first_failure = (pl.col("failed") == 1) & ((pl.col("failed") == 1).cum_sum() == 1)
    own = table.with_columns(flow_1=pl.when(first_failure).then(float("inf")).otherwise("flow_1"))
    own.write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, *LITTLE_EVIDENCE, *OWN, "--data", tmp_path / "own.csv", "--json", "-")
    document = outcome.require_success().document
    assert document["rows"]["quarantined"] == 1
    assert "1 failures are in quarantine" in Path(document["model"]["bundle"], "model_card.md").read_text()


def test_windows_longer_than_every_life_are_padded_and_told(fieldwork, tmp_path, table):
    command = (*TINY, *LITTLE_EVIDENCE, *OWN, "--set", "features.window_length=200", "--json", "-")
    table.write_csv(tmp_path / "own.csv")
    document = fieldwork(*command, "--data", tmp_path / "own.csv").require_success().document
    card = Path(document["model"]["bundle"], "model_card.md").read_text()
    assert "longer than every life" in card


def test_contract_check_says_whether_a_run_would_take_the_file(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "good.csv")
    good = fieldwork("contract", "check", "machine_sensor_readings", tmp_path / "good.csv").require_success()
    assert f"{len(table):,} rows in, {len(table):,} valid, 0 to quarantine" in good.stdout
    share("failed", 2)(table).write_csv(tmp_path / "bad.csv")
    bad = fieldwork("contract", "check", "machine_sensor_readings", tmp_path / "bad.csv")
    bad.require_plain_failure(2, "failed", most_lines=CONTRACT_LINES)


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    command = ("score", "predictive_maintenance", tmp_path / "own.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run predictive_maintenance")
