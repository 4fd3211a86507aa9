"""What the project promises on the Handbook's transactions: a run on one of its weeks that beats a plain distance."""

import os
from pathlib import Path
from typing import Any

import pytest

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory, fieldwork_in) -> dict[str, Any]:
    """One fold: training from 2018-07-11 on, test from 2018-07-25 on; networks are trained for a few epochs only."""
    if not (Path(DATA) / "fraud_handbook").is_dir():
        pytest.skip(f"fraud_handbook is not in {DATA}")
    changes = (
        "protocol.num_folds=1", "protocol.first_train_day=2018-07-11", "training.batch_size=512",
        "training.epochs=3", "training.head_epochs=6", "evaluation.num_bootstraps=50", "explanation.num_checked=20",
    )  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("handbook") / "home")
    command = ("run", "fraud_detection", "--preset", "tiny", "--data", "fraud_handbook", *options)
    found: dict[str, Any] = fieldwork(*command, "--quiet", "--json", "-").require_success().document
    return found


def test_handbook_is_divided_as_in_the_book(document):
    rows = document["rows"]
    assert (rows["quarantined"], rows["train"]) == (0, 66_928)
    for metrics in (document["metrics"], *document["baselines"].values()):
        for metric in metrics.values():
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert metric["n"] == 7, "days of the test week"


def test_served_network_beats_mahalanobis_and_the_autoencoder_outside_noise(document):
    served = document["metrics"]["test/average_precision"]
    for name in ("mahalanobis", "autoencoder"):
        assert served["low"] > document["baselines"][name]["test/average_precision"]["high"], name


def test_explanations_are_complete_and_faithful(document):
    assert document["explanation"]["faithful"] is True
    assert document["explanation"]["completeness_error"] < 1e-6
    assert document["model"]["promoted"] is True
