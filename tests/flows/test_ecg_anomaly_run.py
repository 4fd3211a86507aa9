"""One run of ECG anomaly detection: the JSON that users build on, the bundle, a division that is given."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.ecg_folders import write_folder
from tests.flows.finished_run import FinishedRun

HEADLINES = [f"test/{name}" for name in ("auroc", "auroc_v", "auroc_s", "false_alarm_rate")]
STEPS = ["ingest", "split", "train_fold", "train", "evaluate", "explain", "assemble", "publish"]
BASELINES = ["interval_rule", "nearest_neighbours", "pca", "pca_and_interval", "usual_beat_and_earliness"]
TINY = ("run", "ecg_anomaly", "--preset", "tiny")
LITTLE = ("--set", "evaluation.num_bootstraps=50", "--set", "explanation.num_steps=8")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("ecg_anomaly") / "home")
    return FinishedRun(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def divided_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    """Recordings of one's own with a given division and no abnormal beat."""
    folder = tmp_path_factory.mktemp("divided")
    names = write_folder(folder / "holter", only_normal=True)
    pl.DataFrame(
        {
            "recording": names,
            "patient": [*names[:3], names[-1], *names[4:]],
            "path": [f"holter/{name}" for name in names],
            "annotation": [f"holter/{name}.atr" for name in names],
            "part": ["train"] * 4 + ["test"] * 2,
        }
    ).write_csv(folder / "recordings.csv")
    fieldwork = fieldwork_in(folder / "home")
    own = ("--data", folder / "recordings.csv", "--set", "data.columns=[record=recording, file=path]")
    return FinishedRun(fieldwork, fieldwork(*TINY, *LITTLE, *own, "--json", "-").require_success())


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    assert names == ["ecg_anomaly", "tiny", "synthetic", "ecg_records@1.0.0"]
    assert sorted(document["seconds"]) == sorted(STEPS)
    assert document["rows"] == {"in": 8, "quarantined": 0, "train": 8, "test": 8}
    assert document["model"]["promoted"] is True
    assert document["training"]["samples_per_second"] > 0


def test_every_model_has_the_headlines_with_interval_and_the_detector_first(first_run):
    document = first_run.document
    assert list(document["metrics"])[:4] == HEADLINES
    assert sorted(document["baselines"]) == BASELINES
    for model in (document["metrics"], *document["baselines"].values()):
        for name in HEADLINES[:3]:
            assert model[name]["low"] <= model[name]["value"] <= model[name]["high"], name
            assert model[name]["n"] > 0
    assert document["metrics"]["test/false_alarm_rate"]["higher_is_better"] is False
    assert document["metrics"]["test/auroc_v"]["value"] > 0.9


def test_every_recording_is_tested_once_by_a_fold_that_has_not_seen_its_patient(first_run):
    predictions = first_run.frame(first_run.result("evaluate")["table"])
    assert predictions["beat"].is_duplicated().sum() == 0
    assert predictions.group_by("record").agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 8
    assert sorted(first_run.result("split")["fold"]) == [0] * 4 + [1] * 4


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle("profile.json", "features/thresholds.json", "test_scores.parquet")


def test_the_bundle_names_no_recording_of_the_test(first_run):
    kept = pl.read_parquet(first_run.bundle / "test_scores.parquet")
    assert kept.columns == ["recording", "number", "score"]
    assert not kept["recording"].str.contains("patient").any()
    assert "patient-0" not in (first_run.bundle / "profile.json").read_text()


def test_report_and_card_say_that_this_is_no_medical_device(first_run):
    report = (first_run.bundle / "report.html").read_text()
    card = (first_run.bundle / "model_card.md").read_text()
    for text in (report, card):
        assert "not a medical device" in text.lower()
    assert not re.search(r"\bnan\b", report.lower().split("<svg")[0])
    assert "folds of whole patients" in card
    assert "1.0% false alarms" in card


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_a_given_division_is_kept_and_the_served_detector_is_the_tested_one(divided_run):
    document = divided_run.document
    assert document["rows"] == {"in": 6, "quarantined": 0, "train": 3, "test": 2}
    assert divided_run.result("train")["scorer"] == divided_run.result("train_fold")["scorer"]
    card = Path(document["model"]["bundle"], "model_card.md").read_text()
    assert "as the data say: 3 recordings train, 2 test" in card
    assert "Left out, because the patient is tested" in card


def test_without_abnormal_beats_nothing_is_claimed_but_the_false_alarms(divided_run):
    metrics = divided_run.document["metrics"]
    for name in HEADLINES[:3]:
        assert metrics[name]["value"] is None
        assert metrics[name]["reason"]
    assert metrics["test/false_alarm_rate"]["value"] < 0.2
    assert "cannot be judged" in divided_run.document["verdict"]


def test_a_worse_model_does_not_replace_the_champion(first_run):
    """One that was not trained, sees a quarter of the beat, and compares its interval with three others."""
    changes = (
        "training.min_steps=1",
        "beats.num_local_beats=3",
        "beats.num_samples=64",
        "beats.before_ms=170",
    )
    options = [part for change in changes for part in ("--set", change)]
    outcome = first_run.fieldwork(*TINY, *LITTLE, *options, "--json", "-").require_success()
    assert outcome.document["model"]["promoted"] is False
    assert re.search(r"AUROC differs by \W0\.0\d", outcome.stderr)


def test_the_profile_watches_recordings(first_run):
    profile = json.loads((first_run.bundle / "profile.json").read_text())
    assert profile["num_rows"] == 8
    assert {"heart_rate", "amplitude_mv", "quality"} <= profile["columns"].keys()
    assert np.isfinite(profile["columns"]["heart_rate"]["mean"])
