"""A short training on Kvasir-SEG and on the hippocampus set, from the files to masks that fit them."""

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from PIL import Image

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


def trained(name: str, folder: Path, fieldwork_in: Any, *changes: str) -> tuple[Any, dict[str, Any]]:
    """The command in the home of a short run, and what the run gave."""
    if not (Path(DATA) / name).is_dir():
        pytest.skip(f"{name} is not in {DATA}")
    options = [part for change in ("evaluation.num_bootstraps=50", *changes) for part in ("--set", change)]
    fieldwork = fieldwork_in(folder / "home")
    command = ("run", "medical_segmentation", "--preset", "tiny", "--data", name, *options)
    return fieldwork, fieldwork(*command, "--quiet", "--json", "-").require_success().document


@pytest.fixture(scope="module")
def kvasir(tmp_path_factory, fieldwork_in) -> tuple[Any, dict[str, Any]]:
    return trained("kvasir_seg", tmp_path_factory.mktemp("kvasir"), fieldwork_in, "training.epochs=1")


@pytest.fixture(scope="module")
def hippocampus(tmp_path_factory, fieldwork_in) -> tuple[Any, dict[str, Any]]:
    """At 3 mm a step costs a twentieth of one at 1 mm."""
    return trained(
        "msd_hippocampus", tmp_path_factory.mktemp("hippocampus"), fieldwork_in,
        "image.spacing_mm=[3, 3, 3]", "volumes.min_steps=60", "training.batch_size=4", "volumes.width=8",
    )  # fmt: skip


def test_kvasir_is_tested_on_its_validation_folder_and_copies_are_left_out(kvasir):
    _, document = kvasir
    assert document["rows"]["in"] == 900
    assert document["rows"]["test"] == 100
    assert 790 <= document["rows"]["train"] < 800
    card = Path(document["model"]["bundle"], "model_card.md").read_text()
    assert "1 training case left out, because a test case looks nearly the same" in card
    assert "names no patients" in card


def test_polyps_are_found_better_than_by_chance_after_seconds(kvasir):
    _, document = kvasir
    found = document["metrics"]["test/dice"]
    assert found["n"] == 100
    assert found["value"] > 0.25
    assert document["metrics"]["test/hd95"]["unit"] == "px"
    for baseline in ("mean_mask", "threshold", "nearest_case"):
        assert 0.1 < document["baselines"][baseline]["test/dice"]["value"] < 0.5


def test_masks_of_polyps_have_the_size_of_their_pictures(kvasir, tmp_path):
    fieldwork, _ = kvasir
    images = sorted((Path(DATA) / "kvasir_seg" / "validation" / "images").iterdir())[:6]
    outcome = fieldwork(
        "score",
        "medical_segmentation",
        images[0].parent,
        "--out",
        tmp_path / "out.parquet",
        "--version",
        "1",
        "--json",
        "-",
    ).require_success()
    results = pl.read_parquet(tmp_path / "out.parquet")
    assert outcome.document["rows"]["scored"] == results.height == 100
    for path in images:
        [row] = results.filter(case=path.stem).to_dicts()
        with Image.open(path) as image, Image.open(tmp_path / row["mask_file"]) as mask:
            assert mask.size == image.size
            assert int((np.asarray(mask) > 0).sum()) == row["num_pixels"]


def test_both_parts_of_the_hippocampus_are_found_better_than_by_chance_after_seconds(hippocampus):
    _, document = hippocampus
    assert document["metrics"]["test/dice"]["value"] > 0.25
    assert document["metrics"]["test/hd95"]["unit"] == "mm"
    threshold = document["baselines"]["threshold"]["test/dice"]["value"]
    assert document["metrics"]["test/dice"]["value"] > threshold


def test_masks_of_volumes_lie_where_their_volumes_lie_with_sizes_in_millilitres(hippocampus, tmp_path):
    fieldwork, _ = hippocampus
    volume = min((Path(DATA) / "msd_hippocampus" / "images").iterdir())
    fieldwork(
        "score", "medical_segmentation", volume, "--out", tmp_path / "out.parquet", "--version", "1"
    ).require_success()
    results = pl.read_parquet(tmp_path / "out.parquet")
    assert results["structure"].to_list() == ["anterior", "posterior"]
    image, mask = nib.load(volume), nib.load(tmp_path / results["mask_file"][0])
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
    values = np.asarray(mask.dataobj)
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    for number, row in enumerate(results.iter_rows(named=True), start=1):
        assert int((values == number).sum()) == row["num_pixels"]
        assert row["volume_ml"] == pytest.approx(row["num_pixels"] * voxel_ml)
        assert row["area_mm2"] is None
