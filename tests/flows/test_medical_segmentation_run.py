"""One run of medical segmentation: the JSON that users build on, the bundle, own folders, a given division, grades."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun
from tests.flows.medical_folders import write_folder

HEADLINES = ["test/dice", "test/iou", "test/hd95"]
STEPS = ["ingest", "split", "train_fold", "train", "evaluate", "explain", "assemble", "publish"]
TINY = ("run", "medical_segmentation", "--preset", "tiny")
LITTLE = ("--set", "evaluation.num_bootstraps=50", "--set", "training.min_steps=8")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("medical_segmentation") / "home")
    return FinishedRun(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def graded_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    """A table of one's own with grades, a corrupt picture, and a division that is given and leaks a patient."""
    folder = tmp_path_factory.mktemp("graded")
    cases = write_folder(folder / "clinic", 10)
    (folder / "clinic" / "images" / f"{cases[3]}.png").write_bytes(b"\x89PNG no picture")
    table = pl.read_csv(folder / "clinic" / "manifest.csv").rename({"patient": "subject"})
    parts = ["train"] * 13 + ["test"] * 7
    table.drop("mask").with_columns(part=pl.Series(parts)).write_csv(folder / "clinic" / "manifest.csv")
    fieldwork = fieldwork_in(folder / "home")
    own = ("--data", folder / "clinic" / "manifest.csv", "--set", "data.columns=[patient=subject]")
    outcome = fieldwork(*TINY, *LITTLE, *own, "--set", "task=grading", "--json", "-")
    return FinishedRun(fieldwork, outcome.require_success())


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    assert names == ["medical_segmentation", "tiny", "synthetic", "image_studies@1.0.0"]
    assert sorted(document["seconds"]) == sorted(STEPS)
    assert document["rows"] == {"in": 24, "quarantined": 0, "train": 24, "test": 24}
    assert document["explanation"]["faithful"] is True
    assert document["model"]["promoted"] is True
    assert document["training"]["samples_per_second"] > 0


def test_the_headlines_come_first_and_the_baselines_have_a_dice(first_run):
    document = first_run.document
    assert list(document["metrics"])[:3] == HEADLINES
    assert sorted(document["baselines"]) == ["mean_mask", "nearest_case", "threshold"]
    for model in (document["metrics"], *document["baselines"].values()):
        assert model["test/dice"]["low"] <= model["test/dice"]["value"] <= model["test/dice"]["high"]
    assert document["metrics"]["test/hd95"]["unit"] == "mm"
    best = max(rival["test/dice"]["value"] for rival in document["baselines"].values())
    assert document["metrics"]["test/dice"]["value"] > best


def test_every_case_is_tested_once_by_a_fold_that_has_not_seen_its_patient(first_run):
    results = first_run.frame(first_run.result("evaluate")["table"])
    assert results.height == 24
    assert results["case"].n_unique() == 24
    assert results.group_by("patient").agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 12


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle("profile.json", "features/scorer.json", "test_results.parquet")


def test_what_is_kept_for_later_models_names_no_case(first_run):
    kept = pl.read_parquet(first_run.bundle / "test_results.parquet")
    assert kept.columns == ["digest", "value"]
    assert not kept["digest"].str.contains("patient").any()
    assert "patient-0" not in (first_run.bundle / "profile.json").read_text()


def test_report_and_card_say_that_this_is_no_medical_device(first_run):
    report = (first_run.bundle / "report.html").read_text()
    card = (first_run.bundle / "model_card.md").read_text()
    for text in (report, card):
        assert "not a medical device" in text.lower()
    assert not re.search(r"\bnan\b", report.lower().split("<svg")[0])
    assert "2 folds of whole patients" in card
    assert "are referred" in card


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_a_worse_model_does_not_replace_the_champion(first_run):
    outcome = first_run.fieldwork(
        *TINY, "--set", "training.min_steps=1", "--set", "training.epochs=1", "--json", "-"
    ).require_success()
    assert outcome.document["model"]["promoted"] is False
    assert re.search(r"dice differs by \W0\.\d", outcome.stderr) or "faithful" in outcome.stderr


def test_the_profile_watches_brightness_size_and_confidence(first_run):
    profile = json.loads((first_run.bundle / "profile.json").read_text())
    assert profile["num_rows"] == 24
    watched = {f"brightness_{channel}" for channel in range(3)} | {"rows", "columns"}
    assert set(profile["columns"]) == watched | {"spacing_row_mm", "spacing_column_mm"}
    assert np.isfinite(profile["scores"]["mean"])


def test_grades_are_judged_by_kappa_and_the_given_division_is_kept_without_its_leak(graded_run):
    document = graded_run.document
    # one training case cannot be read, and one is of a patient who is tested
    assert document["rows"] == {"in": 20, "quarantined": 1, "train": 11, "test": 7}
    assert list(document["metrics"])[:2] == ["test/quadratic_kappa", "test/referable_auc"]
    assert sorted(document["baselines"]) == ["colour_regression", "nearest_case", "usual_grade"]
    assert graded_run.result("train")["scorer"] == graded_run.result("train_fold")["scorer"]
    card = Path(document["model"]["bundle"], "model_card.md").read_text()
    assert "because a test case is of the same patient" in card
    assert "Expected a readable picture" in card
