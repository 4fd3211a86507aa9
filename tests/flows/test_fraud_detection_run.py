"""One run of fraud detection: the JSON that users build on, scores that are those of the evaluation, no labels."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun

HEADLINES = {
    f"test/{name}" for name in ("average_precision", "roc_auc", "card_precision_at_100", "recall_at_budget")
}
UNSUPERVISED = {"mahalanobis", "max_z", "isolation_forest", "pca"}
STEPS = ["ingest", "featurise", "split", "train", "evaluate", "explain", "assemble", "publish"]
TINY = ("run", "fraud_detection", "--preset", "tiny")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("fraud_detection") / "home")
    return FinishedRun(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def unlabelled_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    """A table of one's own without is_fraud, with a category, and with the model of a customer's last payments."""
    from pipelines.fraud_detection.generator import generate

    folder = tmp_path_factory.mktemp("unlabelled")
    payments = generate(200, 400, 75, seed=1).frame.drop("is_fraud", "scenario")
    at_night = pl.when(pl.col("time").dt.hour() < 6).then(pl.lit("online")).otherwise(pl.lit("chip"))
    payments.with_columns(entry_mode=at_night).write_csv(folder / "payments.csv")
    fieldwork = fieldwork_in(folder / "home")
    knobs = ("--set", "data.categories=[entry_mode]", "--set", "model.sequence_length=3")
    outcome = fieldwork(*TINY, "--data", folder / "payments.csv", *knobs, "--json", "-")
    return FinishedRun(fieldwork, outcome.require_success())


@pytest.fixture(scope="module")
def last_week(first_run: FinishedRun) -> pl.DataFrame:
    """All transactions of the last test week, those of compromised cards too."""
    start = first_run.result("split")["folds"][-1]["test_start"]
    frame = first_run.frame(first_run.result("ingest")["table"])
    return frame.filter(pl.col("time") >= pl.lit(start).str.to_datetime(time_zone="UTC"))


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    assert names == ["fraud_detection", "tiny", "synthetic", "card_transactions@1.0.0"]
    assert list(document["seconds"]) == STEPS
    assert all(document["rows"][part] > 0 for part in ("in", "train", "validation", "test"))
    assert document["explanation"]["completeness_error"] < 1e-4
    assert document["explanation"]["faithful"] is True
    assert document["model"]["promoted"] is True


def test_every_model_has_every_headline_with_interval(first_run):
    models = {"served": first_run.document["metrics"], **first_run.document["baselines"]}
    assert models.keys() == {
        "served",
        "autoencoder",
        "logistic_regression",
        "gradient_boosting",
        *UNSUPERVISED,
    }
    for metrics in models.values():
        assert metrics.keys() == HEADLINES
        for metric in metrics.values():
            assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
            assert metric["n"] == 14, "days of two weeks"


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle(
        "profile.json", "features/scorer.json", "features/usual.parquet", "features/history.parquet"
    )


def test_report_shows_every_part(first_run):
    report = (first_run.bundle / "report.html").read_text()
    for part in ("Verdict", "Decision", "Days and folds", "careless protocols", "Explanations", "Planted anomalies",
                 "Training: network with labels", "Limits and misuse"):  # fmt: skip
        assert part in report
    assert "nan" not in report.lower().split("<svg")[0]


def test_score_command_gives_the_scores_of_the_evaluation(first_run, last_week, tmp_path):
    last_week.drop("scenario").write_csv(tmp_path / "week.csv")
    out = tmp_path / "alerts.parquet"
    first_run.fieldwork(
        "score", "fraud_detection", tmp_path / "week.csv", "--out", out, "--explain"
    ).require_success()
    alerts = pl.read_parquet(out)
    assert alerts.height == last_week.height
    evaluated = first_run.frame(first_run.result("evaluate")["table"]).filter(pl.col("fold") == 2)
    both = evaluated.join(alerts.select("transaction_id", "score"), on="transaction_id", validate="1:1")
    assert both.height == evaluated.height > 0
    np.testing.assert_allclose(both["score"], both["head"], rtol=1e-6, atol=1e-6)
    explanations = pl.read_parquet(tmp_path / "alerts.explanations.parquet")
    assert explanations["transaction_id"].to_list() == alerts.filter("alert")["transaction_id"].to_list()
    assert alerts.filter("alert")["contributing_features"].null_count() == 0


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_table_without_labels_runs_and_says_that_nothing_was_measured(unlabelled_run, tmp_path):
    document = unlabelled_run.document
    assert document["verdict"].startswith("The autoencoder cannot be judged")
    assert document["baselines"].keys() == UNSUPERVISED | {"sequence_autoencoder"}
    assert all(metric["value"] is None for metric in document["metrics"].values())
    payments = unlabelled_run.frame(unlabelled_run.result("ingest")["table"])[-200:]
    payments.write_csv(tmp_path / "today.csv")
    out = tmp_path / "alerts.csv"
    unlabelled_run.fieldwork(
        "score", "fraud_detection", tmp_path / "today.csv", "--out", out
    ).require_success()
    alerts = pl.read_csv(out)
    assert alerts["probability"].null_count() == 200
    assert unlabelled_run.result("featurise")["names"][-1] == "customer_share_of_entry_mode"
    assert alerts["alert"].sum() > 0


def test_too_few_days_are_refused_with_the_way_out(first_run):
    outcome = first_run.fieldwork(*TINY, "--set", "protocol.num_folds=20")
    outcome.require_plain_failure(2, "Expected at least 168 days", "protocol.num_folds", most_lines=5)
