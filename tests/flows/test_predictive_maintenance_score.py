"""Scoring with the published model: every machine once, as of its last reading, with what speaks for it."""

import json
from typing import Any

import polars as pl
import pytest

ACTIONS = ("service_now", "plan_service", "run_on")


@pytest.fixture(scope="module")
def published(published_alone):
    """The command in a home with one published model."""
    return published_alone("predictive_maintenance")


@pytest.fixture(scope="module")
def running() -> pl.DataFrame:
    """The fleet that `--preset tiny` generates in its first lives: half of it in the middle, half near the end."""
    from pipelines.predictive_maintenance.config import tiny
    from pipelines.predictive_maintenance.generator import generate

    data = tiny().data
    frame = generate(data.num_units, data.num_sensors, data.num_regimes, data.max_life, tiny().seed).frame
    first_life = (pl.col("failed").cum_sum() - pl.col("failed")).over("unit_id") == 0
    share = pl.when(pl.col("unit_id").rank("dense") % 2 == 0).then(0.5).otherwise(0.97)
    return frame.filter(first_life).filter(pl.col("time") <= share * pl.col("time").max().over("unit_id"))


def score(fieldwork: Any, source: Any, out: Any, *options: str):
    return fieldwork("score", "predictive_maintenance", source, "--out", out, *options)


def scored(
    fieldwork: Any, table: pl.DataFrame, folder: Any, *options: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The summary and the forecasts for a table."""
    table.write_parquet(folder / "new.parquet")
    outcome = score(fieldwork, folder / "new.parquet", folder / "out.parquet", "--json", "-", *options)
    return outcome.require_success().document, pl.read_parquet(folder / "out.parquet")


@pytest.fixture(scope="module")
def explained(published, running, tmp_path_factory) -> tuple[dict[str, Any], pl.DataFrame]:
    """The fleet with driving sensors, scored once for all tests that only look at it."""
    return scored(published, running, tmp_path_factory.mktemp("explained"), "--explain")


def test_every_machine_is_forecast_once_from_its_last_reading(explained, running):
    document, forecasts = explained
    last = running.group_by("unit_id", maintain_order=True).agg(pl.col("time").max())
    assert forecasts.select("unit_id", "time").sort("unit_id").equals(last.sort("unit_id"))
    counts = {name: (forecasts["action"] == name).sum() for name in ACTIONS[:2]}
    assert document["rows"] == {"in": len(running), "quarantined": 0, "scored": len(forecasts), **counts}
    assert forecasts["model_version"].unique().to_list() == ["1"]


def test_actions_follow_the_remaining_life(explained):
    _, forecasts = explained
    ordered = forecasts.sort("rul")["action"].to_list()
    assert ordered == sorted(ordered, key=ACTIONS.index)
    assert len(set(ordered)) > 1
    assert forecasts["action_reason"].str.contains("cycles").all()


def test_machines_that_may_fail_sooner_are_more_likely_to_fail(explained):
    _, forecasts = explained
    ordered = forecasts.sort("rul")
    quarter = len(ordered) // 4
    likely, unlikely = (
        part["failure_probability"].mean() for part in (ordered[:quarter], ordered[-quarter:])
    )
    assert likely > unlikely


def test_every_machine_has_driving_sensors_and_their_contributions_are_kept(explained):
    document, forecasts = explained
    contributions = pl.read_parquet(document["explanations"])
    assert contributions["unit_id"].equals(forecasts["unit_id"])
    for text, values in zip(
        forecasts["driving_sensors"], contributions.drop("unit_id").iter_rows(named=True), strict=True
    ):
        first = json.loads(text)[0]
        strongest = max(values, key=lambda name: abs(values[name]))
        assert first["sensor"] == strongest
        assert first["contribution"] == pytest.approx(values[strongest], abs=1e-4)
        assert first["direction"] == ("shortens" if values[strongest] < 0 else "prolongs")


def test_forecasts_can_be_written_as_csv_and_read_back(published, running, tmp_path):
    running.write_csv(tmp_path / "fleet.csv")
    score(published, tmp_path / "fleet.csv", tmp_path / "out.csv").require_success()
    forecasts = pl.read_csv(tmp_path / "out.csv")
    assert forecasts.height == running["unit_id"].n_unique()
    assert forecasts["driving_sensors"].null_count() == forecasts.height


def test_broken_rows_go_to_quarantine_and_the_rest_is_forecast(published, running, tmp_path):
    broken = pl.int_range(pl.len()) % 50 == 7
    table = running.with_columns(flow_1=pl.when(broken).then(float("inf")).otherwise("flow_1"))
    document, forecasts = scored(published, table, tmp_path)
    quarantine = pl.read_parquet(document["quarantine"])
    assert document["rows"]["quarantined"] == len(quarantine) == table["flow_1"].is_infinite().sum() > 10
    assert set(quarantine.columns) - set(table.columns), "the quarantine names the rule that each row broke"
    assert forecasts.height == running["unit_id"].n_unique()


def test_the_same_fleet_has_not_drifted_and_a_recalibrated_one_has(published, explained, running, tmp_path):
    assert explained[0]["drift"] == {"drifted": False, "columns": []}
    moved = running.with_columns(pl.col("flow_1") + 10)
    drift = scored(published, moved, tmp_path)[0]["drift"]
    assert drift["drifted"] is True
    assert "flow_1" in drift["columns"]


def test_one_machine_with_a_single_reading_is_forecast_and_its_short_history_said(
    published, running, tmp_path
):
    _, forecasts = scored(published, running[:1], tmp_path)
    [reason] = forecasts["action_reason"]
    assert "Short history: 1 of 24 readings." in reason


@pytest.mark.parametrize("what", ["quarantine", "explanations"])
def test_scoring_never_writes_over_its_input(published, running, tmp_path, what):
    source = tmp_path / f"out.{what}.parquet"
    running.write_parquet(source)
    score(published, source, tmp_path / "out.csv", "--explain").require_plain_failure(2, source.name)
    assert pl.read_parquet(source).equals(running)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("flow_1"), ["flow_1"]),
        (lambda table: table.drop("load"), ["load"]),
        (lambda table: table.drop("time"), ["time"]),
        (lambda table: table[:0], ["row"]),
        (lambda table: table.with_columns(unit_id=pl.lit(None)), ["unit_id"]),
        (lambda table: table.with_columns(flow_1=pl.lit("a lot")), ["flow_1"]),
        (lambda table: table.with_columns(time=pl.lit("2024-05-06T07:08:09Z")), ["time", "cycles", "moments"]),
        (lambda table: pl.concat([table, table]), ["5 %"]),
    ],
    ids=[
        "no-sensor", "no-setting", "no-time", "no-rows", "no-units", "sensor-as-text", "moments-instead-of-cycles",
        "whole-table-twice",
    ],
)  # fmt: skip
def test_table_that_breaks_the_contract_as_a_whole_is_refused(published, running, tmp_path, change, parts):
    change(running).write_csv(tmp_path / "new.csv")
    outcome = score(published, tmp_path / "new.csv", tmp_path / "out.csv")
    outcome.require_plain_failure(2, *parts, most_lines=3)
    assert not (tmp_path / "out.csv").exists()
