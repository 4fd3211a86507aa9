"""A row of a manifest becomes a study, or says why not: places, sizes, spacings and promises are checked."""

import numpy as np
import pytest

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.readers import read_spacing, read_study
from shared.errors import RequestError

ONE, CONFIG = Labels.binary(), DataConfig()
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
MASK = np.zeros((6, 9), np.uint8)
MASK[2:4, 3:6] = 255
VOLUME = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


def read(root, **row):
    return read_study({"case": "a", **row}, root, ONE, CONFIG)


@pytest.fixture
def folder(write_picture, write_nifti, tmp_path):
    write_picture(tmp_path / "a.png", IMAGE)
    write_picture(tmp_path / "m.png", MASK)
    write_nifti(tmp_path / "v.nii.gz", VOLUME, np.diag([1.0, 2.0, 3.0, 1.0]))
    write_nifti(tmp_path / "l.nii.gz", (VOLUME > 0).astype(np.uint8), np.diag([1.0, 2.0, 3.0, 1.0]))
    return tmp_path


def test_a_picture_with_what_its_row_says(folder):
    study = read(folder, image="a.png", mask="m.png", patient="p", part="test", grade=2, spacing_row_mm=0.2,
                 spacing_column_mm=0.3)  # fmt: skip
    assert np.array_equal(study.pixels, IMAGE.transpose(2, 0, 1))
    assert np.array_equal(study.mask, MASK // 255)
    assert (study.patient, study.part, study.grade, study.modality) == ("p", "test", 2, "RGB")
    assert study.spacing_mm == (0.2, 0.3)


def test_a_volume_with_the_spacing_of_its_file(folder):
    study = read(folder, image="v.nii.gz", mask="l.nii.gz", modality="MR", spacing_row_mm=2.0)
    assert study.pixels.shape == (1, 6, 5, 4)
    assert np.array_equal(study.mask, VOLUME.transpose(2, 1, 0) > 0)
    assert study.spacing_mm == pytest.approx((3, 2, 1))
    assert read_spacing({"image": "v.nii.gz"}, folder, CONFIG) == pytest.approx((3, 2, 1))


def test_a_series_with_a_volume_or_a_picture_a_slice_as_mask(
    write_series, write_nifti, write_picture, tmp_path
):
    values = np.random.default_rng(0).integers(0, 3000, (4, 5, 6)).astype(np.uint16)
    drawn = (values > 1500).astype(np.uint8)
    write_series(tmp_path / "s", values)
    affine = np.array([[-0.75, 0, 0, -10], [0, -0.5, 0, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]])
    write_nifti(tmp_path / "m.nii.gz", drawn.transpose(2, 1, 0), affine)
    for number, mask in enumerate(drawn):
        write_picture(tmp_path / "m" / f"im{(number * 7) % 10:02d}.png", mask * 255)
    first, second = (read(tmp_path, image="s", mask=mask) for mask in ("m.nii.gz", "m"))
    assert np.array_equal(first.mask, (first.pixels[0] > 1500 - 1024).astype(np.uint8))
    assert np.array_equal(first.mask, second.mask)
    (tmp_path / "m" / "im07.png").rename(tmp_path / "m" / "im99.png")
    with pytest.raises(RequestError, match="Received none of im07, and im99 beyond"):
        read(tmp_path, image="s", mask="m")


@pytest.mark.parametrize(
    "image", ["../a.png", "/etc/passwd", "link.png", "linked/a.png", "..", "none.png", "list.csv", "\0"]
)
def test_what_lies_outside_or_is_no_image_is_refused(folder, image):
    inside = folder / "inside"
    inside.mkdir()
    (inside / "link.png").symlink_to(folder / "a.png")
    (inside / "linked").symlink_to(folder)
    (inside / "list.csv").write_text("a,b\n1,2\n")
    for row in ({"image": image}, {"image": "own.png", "mask": image}):
        (inside / "own.png").write_bytes((folder / "a.png").read_bytes())
        with pytest.raises(RequestError):
            read(inside, **row)


def test_slices_that_are_links_to_outside_are_refused(write_series, tmp_path):
    outside = write_series(tmp_path / "outside", np.zeros((2, 4, 4), np.uint16))
    (tmp_path / "in" / "s").mkdir(parents=True)
    for file in outside.iterdir():
        (tmp_path / "in" / "s" / file.name).symlink_to(file)
    with pytest.raises(RequestError, match="leads outside"):
        read(tmp_path / "in", image="s")


def test_image_and_mask_of_different_geometry_are_refused(folder, write_picture, write_nifti):
    write_picture(folder / "t.png", MASK.T.copy())
    with pytest.raises(RequestError, match=r"Expected a mask of 6 x 9, as its image\. Received 9 x 6"):
        read(folder, image="a.png", mask="t.png")
    moved = np.diag([1.0, 2.0, 3.0, 1.0])
    moved[0, 3] = 4.0
    write_nifti(folder / "moved.nii.gz", (VOLUME > 0).astype(np.uint8), moved)
    with pytest.raises(RequestError, match="on the voxels of its image"):
        read(folder, image="v.nii.gz", mask="moved.nii.gz")
    with pytest.raises(RequestError, match="a volume as mask"):
        read(folder, image="v.nii.gz", mask="m.png")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"spacing_row_mm": 0.2}, "all of spacing_row_mm, spacing_column_mm or none"),
        (
            {"image": "v.nii.gz", "spacing_slice_mm": 2.0},
            "spacing_slice_mm 2, as the manifest says. Received 3",
        ),
    ],
    ids=["half", "contradiction"],
)
def test_spacing_that_is_half_given_or_contradicts_the_file_is_refused(folder, row, message):
    with pytest.raises(RequestError, match=message):
        read(folder, **{"image": "a.png"} | row)


def test_a_promise_about_the_mask_is_kept(folder, write_picture):
    write_picture(folder / "e.png", MASK * 0)
    assert read(folder, image="a.png", mask="m.png", shows_structure=True).mask.any()
    for mask, promised in (("e.png", True), ("m.png", False)):
        with pytest.raises(RequestError, match="shows_structure"):
            read(folder, image="a.png", mask=mask, shows_structure=promised)


def test_values_that_are_not_finite_are_refused_with_their_number(folder, write_nifti):
    holed = VOLUME.copy()
    holed[0, 0, :2] = (np.nan, np.inf)
    write_nifti(folder / "h.nii", holed)
    with pytest.raises(RequestError, match="Received 2 that are missing or infinite"):
        read(folder, image="h.nii")


def test_a_modality_that_the_file_contradicts_is_refused(write_series, tmp_path):
    write_series(tmp_path / "s", np.zeros((2, 4, 4), np.uint16))
    with pytest.raises(RequestError, match=r"Expected MR, as the manifest says\. Received CT"):
        read(tmp_path, image="s", modality="MR")
