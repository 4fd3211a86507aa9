"""Every number under its own protocol: last or all windows, true or clipped, known or not."""

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.config import EvaluationConfig, MaintenanceConfig
from pipelines.predictive_maintenance.evaluate import NETWORK, TestResults, seeds_card, unjudged_document
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.targets import Scale

SCALE = Scale(cap=100.0, horizon=20.0)
CONFIG = MaintenanceConfig(evaluation=EvaluationConfig(num_bootstraps=50))
MACHINES = 12


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """Machines of 150 readings that are asked at a third of their life, forecast 5 too low there and 10 too low
    elsewhere; the constant baseline says 50."""
    remaining = np.tile(np.arange(149.0, -1, -1), MACHINES)
    is_last = np.tile(np.arange(150) == 50, MACHINES)
    forecast = np.minimum(remaining, SCALE.cap) - np.where(is_last, 5.0, 10.0)
    return pl.DataFrame(
        {
            "unit_id": np.repeat([f"m{number}" for number in range(MACHINES)], 150),
            "remaining": remaining,
            "is_censored": False,
            "time_unit": "hours",
            FORECAST: forecast,
            "constant": 50.0,
            "low": forecast - 10,
            "high": np.where(forecast >= 90, np.nan, forecast + 10),
            "failure_probability": np.where(remaining <= SCALE.horizon, 0.9, 0.1),
            "anomaly_score": 200 - remaining,
            "is_last": is_last,
        }
    )


@pytest.fixture(scope="module")
def metrics(table):
    return TestResults(table, SCALE, CONFIG).metrics(NETWORK)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmse_clipped", 4.0), ("rmse_true", 4.0), ("mae_clipped", 4.0),
        ("nasa_score", MACHINES * np.expm1(4 / 13)),
    ],
)  # fmt: skip
def test_each_machine_counts_once_at_the_moment_it_is_asked(table, name, expected):
    asked = table.with_columns(
        pl.when("is_last").then(pl.col("remaining") - 4).otherwise(FORECAST).alias(FORECAST)
    )
    metric = TestResults(asked, SCALE, CONFIG).metrics(NETWORK)[f"test/{name}"]
    assert metric.value == pytest.approx(expected)
    assert metric.n == MACHINES
    assert metric.unit == ("" if name == "nasa_score" else "hours")


def test_clipping_changes_only_what_lies_beyond_the_cap(table):
    beyond = table.with_columns(remaining=pl.when("is_last").then(110.0).otherwise("remaining"))
    found = TestResults(beyond, SCALE, CONFIG).metrics(NETWORK)
    forecast = table.filter("is_last")[FORECAST][0]
    assert found["test/rmse_true"].value == pytest.approx(110 - forecast)
    assert found["test/rmse_clipped"].value == pytest.approx(100 - forecast)


def test_all_windows_are_another_protocol(metrics):
    assert metrics["test/rmse_clipped"].value == pytest.approx(5.0)
    assert metrics["test/rmse_clipped_all"].value == pytest.approx(10.0, abs=0.1)


def test_coverage_counts_open_ends_and_is_given_near_failure_too(metrics):
    assert metrics["test/interval_coverage"].value == 1.0
    assert metrics["test/interval_coverage_all"].value == 1.0
    assert metrics["test/interval_coverage_near_failure"].n == MACHINES
    assert metrics["test/interval_width"].value == pytest.approx(100 - (99 - 5 - 10)), "up to the cap"


def test_failing_and_anomaly_are_judged_on_windows_of_which_it_is_known(metrics, table):
    assert metrics["test/fails_average_precision"].value == pytest.approx(1.0)
    assert metrics["test/anomaly_roc_auc"].value == 1.0
    running = table.with_columns(is_censored=pl.lit(True))
    assert TestResults(running, SCALE, CONFIG).judgeable["remaining"].min() > SCALE.horizon


def test_where_no_failure_is_known_nothing_is_claimed(table):
    running = TestResults(table.with_columns(is_censored=pl.lit(True)), SCALE, CONFIG)
    found = running.metrics(NETWORK)
    for name in ("rmse_true", "rmse_clipped", "nasa_score", "interval_coverage", "anomaly_roc_auc"):
        assert not found[f"test/{name}"].is_defined
        assert found[f"test/{name}"].reason
    judged, _ = running.judge()
    assert judged.sentence.startswith("The CNN-LSTM cannot be judged")
    assert running.per_stage() == []
    assert seeds_card(running.last, {}, SCALE) == {}


def test_the_verdict_compares_the_same_machines(table):
    judged, comparisons = TestResults(table, SCALE, CONFIG).judge()
    assert comparisons["constant"]["n"] == MACHINES
    assert judged.beats == "yes"
    assert "constant" in judged.sentence


def test_stages_go_by_the_true_remaining_life(table):
    rows = TestResults(table, SCALE, CONFIG).per_stage()
    assert [row["windows"] for row in rows] == [34 * MACHINES, 33 * MACHINES, 83 * MACHINES]
    assert all(row["rmse"]["network"] == pytest.approx(10.0, abs=0.2) for row in rows)


def test_a_fleet_without_failures_says_that_nothing_was_judged(table):
    running = table.with_columns(is_censored=pl.lit(True)).drop(FORECAST, "constant", "low", "high")
    document = unjudged_document(running, SCALE, CONFIG)
    assert document["verdict"]["sentence"].startswith("The LSTM autoencoder cannot be judged")
    assert {values["value"] for values in document["metrics"]["autoencoder"].values()} == {None}
    assert document["policies"] is document["out_of_fold"] is None
