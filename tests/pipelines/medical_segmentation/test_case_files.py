"""Masks of any case name end up as one file each, inside their folder, and never on an image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.medical_segmentation.case_files import CaseFolder
from shared.errors import RequestError


@given(st.lists(st.text(min_size=1, max_size=200), unique=True, max_size=20))
def test_every_case_gets_a_file_of_its_own_inside_the_folder(cases):
    folder = CaseFolder(Path("/out/results.masks"))
    names = [folder.name_of(case, ".png") for case in cases]
    assert len({name.lower() for name in names}) == len(cases), (
        "some file systems tell no upper from lower case"
    )
    for name in names:
        assert (folder.path / name).resolve().parent == folder.path
        assert not name.startswith(".")
        assert len(name) <= 150
        assert name.endswith(".png")


def test_plain_names_stay_and_others_can_be_told_apart():
    folder = CaseFolder(Path("/out/results.masks"))
    assert folder.name_of("polyp-0031", ".png") == "polyp-0031.png"
    first, second = folder.name_of("train/222", ".png"), folder.name_of("train_222", ".png")
    assert first.startswith("train_222-")
    assert second == "train_222.png"
    assert folder.name_of("../../etc/passwd", ".nii.gz").startswith("_.._etc_passwd-")


def test_the_same_cases_get_the_same_names_again():
    cases = ["a/b", "A", "a", "a_b", "é"]
    runs = [
        [folder.name_of(case, ".png") for case in cases]
        for folder in (CaseFolder(Path("m")), CaseFolder(Path("m")))
    ]
    assert runs[0] == runs[1]


def test_a_mask_is_a_picture_of_the_size_of_its_image_beside_the_table(generated, tmp_path):
    study = replace(generated.studies[0], case="ward 1/image 7")
    mask = np.zeros(study.shape, dtype=np.uint8)
    mask[3:9, 4:6] = 1
    place = CaseFolder.beside(tmp_path / "results.csv").write_mask(mask, study)
    assert place.startswith("results.masks/ward_1_image_7-")
    with Image.open(tmp_path / place) as written:
        assert written.size == study.shape[::-1]
        assert (np.asarray(written) > 0).sum() == 12


def test_images_in_the_folder_of_masks_are_not_written_over(tmp_path):
    folder = CaseFolder.beside(tmp_path / "results.csv")
    folder.require_apart([tmp_path / "image.png"])
    with pytest.raises(RequestError, match="choose another OUTPUT"):
        folder.require_apart([tmp_path / "results.masks" / "image.png"])
