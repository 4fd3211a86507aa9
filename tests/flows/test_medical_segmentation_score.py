"""Scoring with the published model: masks beside the table, sizes, referral; one bad file does not stop the rest."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.flows.medical_folders import write_folder

TINY = ("run", "medical_segmentation", "--preset", "tiny", "--quiet")
LITTLE = ("--set", "evaluation.num_bootstraps=50")
# What was trained a few seconds ago, champion or not: its explanations are not what is tested here.
VERSION = ("--version", "1")


@pytest.fixture(scope="module")
def published(published_alone) -> Any:
    """The command in a home with one published model."""
    return published_alone("medical_segmentation")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clinic") / "clinic"
    write_folder(folder, 4)
    return folder


def scored(fieldwork: Any, source: Path, out: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The summary and the results for a source."""
    outcome = fieldwork("score", "medical_segmentation", source, "--out", out, *VERSION, "--json", "-")
    document = outcome.require_success().document
    return document, pl.read_csv(out) if out.suffix == ".csv" else pl.read_parquet(out)


@pytest.fixture(scope="module")
def from_manifest(published, clinic, tmp_path_factory) -> tuple[dict[str, Any], pl.DataFrame, Path]:
    """A manifest with spacing and patients, scored once for the tests that only look at it."""
    out = tmp_path_factory.mktemp("out") / "results.parquet"
    return *scored(published, clinic / "manifest.csv", out), out


def test_every_case_has_a_row_and_a_mask_of_its_size(from_manifest, clinic):
    document, results, out = from_manifest
    assert document["rows"]["in"] == document["rows"]["scored"] == results.height == 8
    assert document["rows"]["referred"] == results.filter("refer").height
    for row in results.iter_rows(named=True):
        with (
            Image.open(out.parent / row["mask_file"]) as mask,
            Image.open(clinic / f"images/{row['case']}.png") as image,
        ):
            assert mask.size == image.size
            assert int((np.asarray(mask) > 0).sum()) == row["num_pixels"]
    assert results["refer_reason"].is_null().equals(~results["refer"], check_names=False)
    assert sorted(path.name for path in out.parent.iterdir()) == ["results.masks", "results.parquet"]


def test_sizes_follow_from_the_spacing_of_the_manifest(from_manifest, clinic):
    _, results, _ = from_manifest
    manifest = pl.read_csv(clinic / "manifest.csv").select(
        "case", "patient", "spacing_row_mm", "spacing_column_mm"
    )
    both = results.join(manifest, on="case", suffix="_given")
    pixel = both["spacing_row_mm"] * both["spacing_column_mm"]
    np.testing.assert_allclose(both["area_mm2"], both["num_pixels"] * pixel, rtol=1e-6)
    assert both["patient"].equals(both["patient_given"], check_names=False)
    assert results["volume_ml"].null_count() == results.height


def test_a_folder_is_scored_like_its_manifest_but_without_sizes(published, from_manifest, clinic, tmp_path):
    _, expected, _ = from_manifest
    _, found = scored(published, clinic, tmp_path / "results.parquet")
    assert found["area_mm2"].null_count() == found.height
    columns = ["case", "num_pixels", "confidence", "refer", "refer_reason"]
    assert found.select(columns).equals(expected.select(columns))


def test_a_second_run_writes_the_same_files_and_leaves_others_alone(published, clinic, tmp_path):
    out = tmp_path / "results.csv"
    scored(published, clinic, out)
    (tmp_path / "results.masks" / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "results.masks").iterdir()}
    scored(published, clinic, out)
    assert {path.name: path.read_bytes() for path in (tmp_path / "results.masks").iterdir()} == before


@pytest.mark.usefixtures("drawn_figures")
def test_outlines_are_drawn_where_they_are_asked_for(published, clinic, tmp_path):
    command = (
        "score",
        "medical_segmentation",
        clinic,
        "--out",
        tmp_path / "results.csv",
        *VERSION,
        "--explain",
    )
    document = published(*command, "--json", "-").require_success().document
    drawn = sorted(Path(document["explanations"]).iterdir())
    assert [path.stem for path in drawn] == sorted(pl.read_csv(tmp_path / "results.csv")["case"])
    assert all("<svg" in path.read_text() and "confidence" in path.read_text() for path in drawn)


def test_one_picture_is_scored_alone(published, clinic, tmp_path):
    image = next(iter(sorted((clinic / "images").iterdir())))
    document, results = scored(published, image, tmp_path / "results.csv")
    assert results["case"].to_list() == [image.stem]
    assert document["rows"]["in"] == 1


def test_files_that_cannot_be_used_are_listed_and_the_others_scored(published, clinic, tmp_path):
    shutil.copytree(clinic / "images", tmp_path / "new")
    (tmp_path / "new" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    (tmp_path / "new" / "words.png").write_text("these are words")
    Image.new("L", (64, 64), 100).save(tmp_path / "new" / "grey.png")
    document, results = scored(published, tmp_path / "new", tmp_path / "results.csv")
    assert document["rows"]["scored"] == results["case"].n_unique() == 8
    lost = pl.read_parquet(document["quarantine"])
    reasons = dict(lost.select("case", "broken_rules").rows())
    assert set(reasons) == {"broken", "words", "grey"}
    assert (
        "Expected pictures of 3 channels, as in training. Received pictures of 1 channel" in reasons["grey"]
    )
    assert not (tmp_path / "results.masks" / "grey.png").exists()


def test_names_of_cases_lead_nowhere_else(published, clinic, tmp_path):
    shutil.copytree(clinic, tmp_path / "clinic")
    names = ["../../up", "/etc/up", "a/b", "A/B", "ward 1: left", "x" * 190, ".hidden", "übung"]
    manifest = pl.read_csv(clinic / "manifest.csv").with_columns(case=pl.Series(names))
    manifest.write_csv(tmp_path / "clinic" / "manifest.csv")
    (tmp_path / "out").mkdir()
    _, results = scored(published, tmp_path / "clinic" / "manifest.csv", tmp_path / "out" / "results.csv")
    places = [(tmp_path / "out" / name).resolve() for name in results["mask_file"]]
    assert {place.parent for place in places} == {(tmp_path / "out" / "results.masks").resolve()}
    assert len(set(places)) == len(names)
    assert all(place.is_file() for place in places)


def test_images_unlike_the_training_are_referred_and_seen_as_drift(published, clinic, tmp_path):
    (tmp_path / "dark").mkdir()
    for path in sorted((clinic / "images").iterdir()):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(tmp_path / "dark" / path.name)
    document, results = scored(published, tmp_path / "dark", tmp_path / "results.csv")
    assert results["refer"].all()
    assert results["refer_reason"].str.contains("unlike the training images").all()
    assert document["drift"]["drifted"] is True
    assert any(name.startswith("brightness") for name in document["drift"]["columns"])


@pytest.mark.parametrize(
    ("name", "write", "parts"),
    [
        ("empty", lambda folder: None, ["Expected images in"]),
        (
            "words",
            lambda folder: (folder / "a.png").write_text("words"),
            ["Expected images that can be scored", "a.png"],
        ),
    ],
    ids=["no images", "only bad ones"],
)
def test_nothing_to_score_is_one_clear_message(published, tmp_path, name, write, parts):
    (tmp_path / name).mkdir()
    write(tmp_path / name)
    outcome = published(
        "score", "medical_segmentation", tmp_path / name, "--out", tmp_path / "out.csv", *VERSION
    )
    outcome.require_plain_failure(2, *parts)
    assert not (tmp_path / "out.csv").exists()


def test_images_in_the_folder_of_masks_are_not_written_over(published, clinic, tmp_path):
    shutil.copytree(clinic / "images", tmp_path / "results.masks")
    before = {path.name: path.read_bytes() for path in (tmp_path / "results.masks").iterdir()}
    outcome = published(
        "score",
        "medical_segmentation",
        tmp_path / "results.masks",
        "--out",
        tmp_path / "results.csv",
        *VERSION,
    )
    outcome.require_plain_failure(2, "choose another OUTPUT")
    assert {path.name: path.read_bytes() for path in (tmp_path / "results.masks").iterdir()} == before


def test_grades_have_rows_without_masks(tmp_path, clinic, fieldwork):
    fieldwork(*TINY, *LITTLE, "--set", "task=grading", "--set", "training.min_steps=8").require_success()
    document, results = scored(fieldwork, clinic, tmp_path / "results.csv")
    assert results["structure"].unique().to_list() == ["image"]
    assert results["grade"].is_between(0, 3).all()
    assert results["mask_file"].null_count() == results.height == document["rows"]["scored"]
    assert not (tmp_path / "results.masks").exists()
