"""Masks are read without guessing, and written so that they fit the image they belong to."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.masks import THRESHOLD_NOTE, picture_mask, write_mask
from pipelines.medical_segmentation.readers import read_study
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.volumes import Grid
from shared.errors import RequestError

LIMIT, ONE, CONFIG = 1_000_000, Labels.binary(), DataConfig()
TWO = Labels.of({"lesion": 1, "core": 2})


def disc(size: int, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size / 2
    return rows**2 + columns**2 < radius**2


def test_a_clean_jpeg_mask_is_cut_and_the_change_counted(tmp_path):
    drawn = disc(128, 40)
    Image.fromarray(drawn.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=70)
    mask, notes = picture_mask(tmp_path / "m.jpg", tmp_path, ONE, LIMIT)
    assert (mask != drawn).mean() < 0.002
    stored = np.asarray(Image.open(tmp_path / "m.jpg"))
    assert notes == {THRESHOLD_NOTE: int(((stored != 0) & (stored != 255)).sum())}
    assert notes[THRESHOLD_NOTE] > 0


def test_an_empty_jpeg_mask_stays_empty(tmp_path):
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "m.jpg")
    mask, notes = picture_mask(tmp_path / "m.jpg", tmp_path, ONE, LIMIT)
    assert not mask.any()
    assert notes == {}


def test_other_lossy_masks_are_refused(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for values, labels in (
        (photograph, ONE),
        (disc(64, 20).astype(np.uint8), ONE),
        (disc(64, 20).astype(np.uint8) * 255, TWO),
    ):
        Image.fromarray(values).save(tmp_path / "m.jpg", quality=95)
        with pytest.raises(RequestError, match=r"without loss.*save it as PNG|Expected masks of 0"):
            picture_mask(tmp_path / "m.jpg", tmp_path, labels, LIMIT)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    labels=st.sampled_from([ONE, TWO]),
    seed=st.integers(0, 99),
)
def test_a_written_picture_mask_reads_as_the_same_numbers(tmp_path_factory, rows, columns, labels, seed):
    folder = tmp_path_factory.mktemp("masks")
    mask = np.random.default_rng(seed).integers(0, len(labels) + 1, (rows, columns)).astype(np.uint8)
    study = Study("a", "a", np.zeros((3, rows, columns), np.uint8), None, labels, "RGB")
    write_mask(folder / "m.png", mask, study)
    assert np.array_equal(picture_mask(folder / "m.png", folder, labels, LIMIT)[0], mask)


def test_one_structure_is_white_in_a_picture():
    assert ONE.decode(np.array([0, 1], np.uint8), brightest=True).tolist() == [0, 255]


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PSR", "ILA"])
def test_a_written_volume_mask_lies_on_its_image_in_the_order_of_its_file(write_nifti, tmp_path, axes):
    orientation = nib.orientations.axcodes2ornt(axes)
    affine = np.diag([1.0, 2.0, 3.0, 1.0]) @ nib.orientations.inv_ornt_aff(orientation, (4, 5, 6))
    path = write_nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16), affine)
    study = read_study({"case": "a", "image": "a.nii.gz"}, tmp_path, ONE, CONFIG)
    mask = np.zeros(study.shape, np.uint8)
    mask[0, 1, 2] = 1
    write_mask(tmp_path / "m.nii.gz", mask, study)
    image, written = nib.load(path), nib.load(tmp_path / "m.nii.gz")
    assert written.shape == image.shape
    assert np.allclose(written.affine, image.affine)
    again = read_study({"case": "a", "image": "a.nii.gz", "mask": "m.nii.gz"}, tmp_path, ONE, CONFIG)
    assert np.array_equal(again.mask, mask)


def test_a_mask_of_another_shape_or_format_is_not_written(tmp_path):
    study = Study("a", "a", np.zeros((1, 4, 5), np.uint8), None, ONE, "OTHER")
    deep = Study("a", "a", np.zeros((1, 2, 4, 5)), None, ONE, "MR", grid=Grid((5, 4, 2), np.eye(4)))
    for name, mask, of in (
        ("m.png", np.zeros((5, 4)), study),
        ("m.jpg", np.zeros((4, 5)), study),
        ("m.png", np.zeros((2, 4, 5)), deep),
    ):
        with pytest.raises(RequestError, match="Expected a mask of shape"):
            write_mask(tmp_path / name, mask.astype(np.uint8), of)
    assert not list(tmp_path.iterdir())
