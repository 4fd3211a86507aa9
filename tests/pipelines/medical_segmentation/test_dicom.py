"""DICOM series become volumes in HU at their place, whatever the files are called; half a series never does."""

import numpy as np
import pydicom
import pytest

from pipelines.medical_segmentation.dicom import read_series, series_spacing
from shared.errors import RequestError

LIMIT = 1_000_000
VALUES = np.random.default_rng(0).integers(0, 3000, (4, 5, 6)).astype(np.uint16)


def test_slices_are_ordered_by_place_and_rescaled(write_series, tmp_path):
    series = read_series(write_series(tmp_path / "s", VALUES), tmp_path, LIMIT)
    # DICOM runs to the left and the back; canonical volumes to the right and the front.
    assert np.array_equal(series.values, VALUES[:, ::-1, ::-1] - 1024.0)
    assert series.modality == "CT"
    assert series.spacing_mm == pytest.approx((2.5, 0.5, 0.75))
    assert series_spacing(tmp_path / "s", tmp_path) == pytest.approx(series.spacing_mm)
    assert np.allclose(series.grid.affine @ [0, 0, 1, 1], [-10, -20, 2.5, 1])
    assert series.stems == ("im00", "im07", "im04", "im01")


def test_slices_to_the_feet_are_turned_to_the_head(write_series, tmp_path):
    down = write_series(tmp_path / "s", VALUES, ImagePositionPatient=lambda number: [0.0, 0.0, -2.5 * number])
    assert np.array_equal(read_series(down, tmp_path, LIMIT).values, VALUES[::-1, ::-1, ::-1] - 1024.0)


def test_sagittal_slices_are_brought_to_the_common_order(write_series, tmp_path):
    folder = write_series(
        tmp_path / "s",
        VALUES,
        ImageOrientationPatient=[0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        ImagePositionPatient=lambda number: [2.5 * number, 0.0, 0.0],
    )
    series = read_series(folder, tmp_path, LIMIT)
    assert series.values.shape == (5, 6, 4)
    assert series.spacing_mm == pytest.approx((0.5, 0.75, 2.5))
    # Along the normal of this plane, which points to the right, the last slice comes first.
    assert np.array_equal(series.grid.from_canonical(series.values), VALUES[::-1].transpose(2, 1, 0) - 1024.0)


def test_a_tilted_gantry_keeps_the_size_of_voxels_and_is_noted(write_series, tmp_path):
    tilted = write_series(
        tmp_path / "s", VALUES, ImagePositionPatient=lambda number: [0.0, 0.9 * number, 2.5 * number]
    )
    series = read_series(tilted, tmp_path, LIMIT)
    assert np.prod(series.spacing_mm) == pytest.approx(0.5 * 0.75 * 2.5)
    assert any("tilted gantry" in note for note in series.notes)


def test_one_file_is_a_picture_with_the_spacing_of_its_plane(write_series, tmp_path):
    folder = write_series(tmp_path / "s", VALUES[:1], PhotometricInterpretation="MONOCHROME1", Modality="DX")
    series = read_series(folder / "im00.dcm", tmp_path, LIMIT)
    assert series.grid is None
    assert series.modality == "XR"
    assert series.spacing_mm == (0.5, 0.75)
    assert np.array_equal(series.values, 65_535.0 - VALUES[0] - 1024.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"SeriesInstanceUID": lambda number: f"1.2.{number // 2 + 1}"},
            "2 different values of SeriesInstanceUID",
        ),
        ({"PixelSpacing": lambda number: [0.5, 0.75 + number]}, "PixelSpacing"),
        ({"ImagePositionPatient": lambda number: [0, 0, number**2]}, "evenly spaced"),
        ({"ImagePositionPatient": [0, 0, 0]}, "evenly spaced"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "several frames or colours"),
        ({"Rows": 60_000, "Columns": 60_000}, r"data\.max_voxels"),
        ({"Rows": 50}, "readable DICOM"),
    ],
    ids=["two series", "spacing", "gap", "same place", "no place", "frames", "colours", "huge", "too short"],
)
def test_what_is_not_one_plain_series_is_refused(write_series, tmp_path, changes, message):
    folder = write_series(tmp_path / "s", VALUES, **changes)
    with pytest.raises(RequestError, match=message):
        read_series(folder, tmp_path, LIMIT)


def test_a_missing_slice_is_refused(write_series, tmp_path):
    folder = write_series(tmp_path / "s", VALUES)
    (folder / "im07.dcm").unlink()
    with pytest.raises(RequestError, match=r"gaps of 2\.50 to 5\.00 mm"):
        read_series(folder, tmp_path, LIMIT)


def test_deflated_files_are_not_unpacked(write_series, tmp_path):
    folder = write_series(tmp_path / "s", VALUES[:1])
    one = pydicom.dcmread(folder / "im00.dcm")
    one.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    one.save_as(folder / "im00.dcm", enforce_file_format=True)
    with pytest.raises(RequestError, match="not deflated"):
        read_series(folder, tmp_path, LIMIT)


@pytest.mark.parametrize("size", [100, 140, 400, 700])
def test_cut_off_files_are_refused(write_series, tmp_path, size):
    folder = write_series(tmp_path / "s", VALUES[:1])
    (folder / "im00.dcm").write_bytes((folder / "im00.dcm").read_bytes()[:size])
    with pytest.raises(RequestError):
        read_series(folder, tmp_path, LIMIT)


def test_elements_that_cannot_be_interpreted_are_refused(write_series, tmp_path):
    """pydicom reads values when they are asked for, so they fail late."""
    file = write_series(tmp_path / "s", VALUES[:1]) / "im00.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"0.5\\0.75", b"0.X\\0.75"))
    assert file.read_bytes() != whole
    for read in (lambda: read_series(file, tmp_path, LIMIT), lambda: series_spacing(file, tmp_path)):
        with pytest.raises(RequestError, match="readable DICOM series"):
            read()
