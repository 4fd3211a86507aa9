"""What the project promises on public data: a floor under the quality, honest calibration, checked explanations."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


def run(fieldwork_in: Any, home: Path, source: str, *settings: str) -> tuple[Any, dict[str, Any]]:
    if not (Path(DATA) / source).is_dir():
        pytest.skip(f"{source} is not in {DATA}")
    fieldwork = fieldwork_in(home)
    options = [part for setting in settings for part in ("--set", setting)]
    outcome = fieldwork("run", "credit_scoring", "--data", source, *options, "--json", "-").require_success()
    return fieldwork, outcome.document


@pytest.fixture(scope="module")
def german(tmp_path_factory, fieldwork_in) -> tuple[Any, dict[str, Any]]:
    home = tmp_path_factory.mktemp("german") / "home"
    return run(
        fieldwork_in, home, "german_credit", "evaluation.num_bootstraps=200", "explanation.stability_seeds=0"
    )


@pytest.fixture(scope="module")
def taiwan(tmp_path_factory, fieldwork_in) -> tuple[Any, dict[str, Any]]:
    home = tmp_path_factory.mktemp("taiwan") / "home"
    return run(
        fieldwork_in, home, "taiwan_default", "evaluation.num_bootstraps=200", "explanation.stability_seeds=0"
    )


def assert_complete(document: dict[str, Any], source: str) -> None:
    assert (document["source"], document["preset"]) == (source, "quick")
    rows = document["rows"]
    assert rows["quarantined"] + rows["train"] + rows["validation"] + rows["test"] == rows["in"]
    for metrics in (document["metrics"], *document["baselines"].values()):
        for name in ("roc_auc", "gini", "ks", "average_precision", "brier", "ece"):
            metric = metrics[f"test/{name}"]
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert metric["n"] == rows["test"]
    assert document["explanation"]["faithful"] is True
    assert document["explanation"]["completeness_error"] <= 1e-3
    assert document["model"]["promoted"] is True
    assert Path(document["report"]).stat().st_size > 10_000


def test_german_credit_run_is_complete_and_explained(german):
    _, document = german
    assert_complete(document, "german_credit")
    assert document["rows"]["in"] == 1000


def test_german_credit_reaches_the_promised_floor_over_repeated_splits(german):
    _, document = german
    network = document["metrics"]["cv/roc_auc"]
    assert network["value"] >= 0.76
    assert "worse than logistic regression" not in document["verdict"]


def test_german_credit_model_scores_the_table_that_it_came_from(german, tmp_path):
    fieldwork, document = german
    out = tmp_path / "decisions.parquet"
    source = Path(DATA) / "german_credit" / "german.data"
    scored = fieldwork("score", "credit_scoring", source, "--out", out, "--explain", "--json", "-")
    assert scored.require_success().document["rows"] == {"in": 1000, "quarantined": 0, "scored": 1000}
    decisions = pl.read_parquet(out)
    assert decisions["application_id"].n_unique() == 1000
    assert decisions["probability_of_default"].is_between(0, 1).all()
    assert abs(decisions["probability_of_default"].mean() - 0.3) < 0.03, "3 of 10 defaulted"
    assert decisions.filter(decision="decline")["reason_1_text"].null_count() == 0
    assert document["model"]["version"] == 1


def test_taiwan_run_is_complete_and_explained(taiwan):
    _, document = taiwan
    assert_complete(document, "taiwan_default")
    assert document["rows"]["in"] == 30_000


def test_taiwan_reaches_the_promised_floor_and_is_calibrated(taiwan):
    _, document = taiwan
    assert document["metrics"]["test/roc_auc"]["value"] >= 0.775
    assert document["metrics"]["test/ece"]["value"] <= 0.02
    assert "worse than logistic regression" not in document["verdict"]
