"""One run of predictive maintenance: the JSON that users build on, forecasts that are those of the evaluation, fleets
without failures."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun

HEADLINES = [f"test/{name}" for name in ("rmse_true", "rmse_clipped", "nasa_score", "interval_coverage")]
STEPS = ["ingest", "split", "train", "evaluate", "explain", "assemble", "publish"]
TINY = ("run", "predictive_maintenance", "--preset", "tiny")


class Run(FinishedRun):
    """A finished run whose model can be used."""

    def scored(self, table: pl.DataFrame, folder: Path, *options: str) -> pl.DataFrame:
        """Forecasts for a table."""
        table.write_parquet(folder / "new.parquet")
        command = ("score", "predictive_maintenance", folder / "new.parquet", "--out", folder / "out.parquet")
        self.fieldwork(*command, *options).require_success()
        return pl.read_parquet(folder / "out.parquet")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> Run:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("predictive_maintenance") / "home")
    return Run(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def unfailed_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> Run:
    """A table of one's own with moments, in its own columns, of machines none of which has failed."""
    from pipelines.predictive_maintenance.generator import generate

    folder = tmp_path_factory.mktemp("unfailed")
    half = generate(40, 8, 2, 200, seed=1).frame.filter(
        pl.col("time") <= pl.col("time").max().over("unit_id") / 2
    )
    moments = pl.datetime(2024, 1, 1) + pl.duration(hours=pl.col("time"))
    own = half.select(
        pl.col("unit_id").alias("pump"), moments.alias("read_at"), pl.exclude("unit_id", "time", "failed")
    )
    own.write_csv(folder / "pumps.csv")
    fieldwork = fieldwork_in(folder / "home")
    changes = (
        "data.columns=[unit_id=pump, time=read_at]", "data.settings=[load, ambient_temperature]", "data.units=[load=%]",
    )  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    outcome = fieldwork(*TINY, "--data", folder / "pumps.csv", *options, "--json", "-")
    return Run(fieldwork, outcome.require_success())


@pytest.fixture(scope="module")
def test_readings(first_run: Run) -> pl.DataFrame:
    """All readings of the test machines."""
    folds = first_run.frame(first_run.result("split")["folds"])
    test = folds.filter(pl.col("fold") < 0).select("unit_id")
    return first_run.frame(first_run.result("ingest")["table"]).join(test, on="unit_id")


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    assert names == ["predictive_maintenance", "tiny", "synthetic", "machine_sensor_readings@1.0.0+synthetic"]
    assert list(document["seconds"]) == STEPS
    assert document["rows"]["in"] == document["rows"]["train"] + document["rows"]["test"]
    assert document["explanation"]["faithful"] is True
    assert document["model"]["promoted"] is True
    assert document["training"]["samples_per_second"] > 0


def test_every_model_has_the_headlines_with_interval_and_the_network_first(first_run):
    metrics = first_run.document["metrics"]
    assert list(metrics)[:4] == HEADLINES
    assert list(first_run.document["baselines"]) == ["gradient_boosting", "linear", "age", "constant"]
    for model in (metrics, *first_run.document["baselines"].values()):
        for name, metric in model.items():
            assert metric["low"] <= metric["value"] <= metric["high"], name
            assert metric["n"] > 0
    assert metrics["test/rmse_clipped"]["unit"] == "cycles"
    assert metrics["test/rmse_clipped"]["value"] <= metrics["test/rmse_true"]["value"]


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle("profile.json", "features/scorer.json")


def test_report_and_card_show_every_part(first_run):
    report = (first_run.bundle / "report.html").read_text()
    for part in ("Verdict", "Limits and misuse", "out of fold", "Perfect foresight", "Coverage"):
        assert part.lower() in report.lower(), part
    assert not re.search(r"\bnan\b", report.lower().split("<svg")[0])
    card = (first_run.bundle / "model_card.md").read_text()
    assert "Whole machines" in card
    assert "90%" in card


def test_score_command_gives_the_forecasts_of_the_evaluation(first_run, test_readings, tmp_path):
    """Once with everything that is known of the test machines, once up to the moments at which they were asked."""
    evaluated = first_run.frame(first_run.result("evaluate")["table"])
    asked = evaluated.filter("is_last").select("unit_id", moment="time")
    until = test_readings.join(asked, on="unit_id").filter(pl.col("time") <= pl.col("moment")).drop("moment")
    for number, table in enumerate((test_readings, until)):
        forecasts = first_run.scored(table, tmp_path)
        both = forecasts.join(evaluated, on=("unit_id", "time"), how="inner", suffix="_evaluated")
        assert both.height > (forecasts.height - 1 if number == 0 else forecasts.height / 2)
        for name, known in (("rul", "forecast"), ("rul_low", "low"), ("anomaly_score", "anomaly_score_evaluated"),
                            ("failure_probability", "failure_probability_evaluated")):  # fmt: skip
            np.testing.assert_allclose(both[name], both[known], rtol=0, atol=1e-6, err_msg=name)
        assert both.filter(pl.col("rul_high").is_null() != pl.col("high").is_nan()).is_empty()


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_a_fleet_without_failures_gets_an_alarm_and_nothing_is_claimed(unfailed_run, tmp_path):
    document = unfailed_run.document
    assert document["verdict"].startswith("The LSTM autoencoder cannot be judged")
    assert document["baselines"] == {}
    assert list(document["metrics"])[:4] == HEADLINES
    assert all(metric["value"] is None and metric["reason"] for metric in document["metrics"].values())
    own = pl.read_csv(document["source"])
    forecasts = unfailed_run.scored(own, tmp_path, "--explain")
    assert forecasts["rul"].null_count() == forecasts.height == own["pump"].n_unique()
    assert forecasts["time_unit"].unique().to_list() == ["hours"]
    assert forecasts["taken_at"].null_count() == 0
    assert (forecasts["action"] == "run_on").mean() > 0.5
    strange = unfailed_run.scored(own.with_columns(pl.col("flow_1") * 1.3), tmp_path)
    assert (strange["action"] == "plan_service").all()


def test_a_worse_model_does_not_replace_the_champion(first_run):
    options = ("--set", "training.min_steps=1", "--set", "training.learning_rate=0.000001", "--json", "-")
    outcome = first_run.fieldwork(*TINY, *options).require_success()
    assert outcome.document["model"]["promoted"] is False
    assert "RMSE against the clipped life differs by +" in outcome.stderr
