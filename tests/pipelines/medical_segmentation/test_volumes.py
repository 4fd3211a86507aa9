"""Volumes in any order of axes: one order for computing, and exactly the file's own on the way back."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.medical_segmentation.nifti import read_nifti, read_nifti_grid, write_nifti
from pipelines.medical_segmentation.volumes import Grid, same_place
from shared.errors import RequestError

LIMIT = 1_000_000
SHAPE = (3, 4, 5)
VALUES = np.random.default_rng(0).integers(-500, 500, SHAPE).astype(np.int16)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((-1, 1), repeat=3)))


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], steps: tuple[float, ...]) -> np.ndarray:
    """Stored axis n runs along patient axis order[n], in a direction and with a step of its own."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (along, sign, step) in enumerate(zip(order, signs, steps, strict=True)):
        affine[along, stored] = sign * step
    affine[:3, 3] = (-7.0, 30.0, 4.0)
    return affine


@settings(deadline=None)
@given(st.sampled_from(ORDERS), st.tuples(*[st.floats(0.2, 5)] * 3))
def test_every_order_of_axes_comes_back_and_places_voxels_where_they_were(order, steps):
    grid = Grid(SHAPE, affine_of(*order, steps))
    volume = grid.to_canonical(VALUES)
    assert np.array_equal(grid.from_canonical(volume), VALUES)
    stored = np.argwhere(VALUES.max() == VALUES)[0]
    column, row, between = np.argwhere(volume.transpose(2, 1, 0) == VALUES.max())[0]
    assert np.allclose(grid.affine @ [*stored, 1], grid.canonical_affine @ [column, row, between, 1])
    assert (np.diag(grid.canonical_affine)[:3] > 0).all()
    expected = np.array(steps)[np.argsort(order[0])][::-1]
    assert grid.spacing_mm == pytest.approx(tuple(expected))


def test_the_same_voxels_in_another_order_are_at_the_same_place():
    first = Grid(SHAPE, affine_of((0, 1, 2), (1, 1, 1), (1.0, 1.0, 2.0)))
    turned = nib.orientations.axcodes2ornt("PSL")
    affine = first.affine @ nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), turned), SHAPE
    )
    assert same_place(first, Grid((4, 5, 3), affine))
    shifted = affine.copy()
    shifted[0, 3] += 0.5
    assert not same_place(first, Grid((4, 5, 3), shifted))
    assert not same_place(first, Grid((5, 4, 3), affine))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "<i2", ">i2", ">f4", "<f8"])
def test_volumes_are_read_as_nibabel_reads_them(tmp_path, name, dtype):
    endian = ">" if dtype.startswith(">") else "<"
    header = nib.Nifti1Header(endianness=endian)
    image = nib.Nifti1Image(
        np.abs(VALUES % 200).astype(dtype), affine_of((1, 0, 2), (-1, 1, 1), (1, 2, 3)), header
    )
    image.set_data_dtype(np.dtype(dtype))
    nib.save(image, tmp_path / name)
    volume = read_nifti(tmp_path / name, tmp_path, LIMIT)
    oracle = nib.as_closest_canonical(nib.load(tmp_path / name))
    assert np.array_equal(volume.values, np.asanyarray(oracle.dataobj).transpose(2, 1, 0))
    assert np.allclose(volume.grid.canonical_affine, oracle.affine)
    assert volume.values.dtype.isnative


def test_slope_and_intercept_of_the_file_are_used(tmp_path):
    image = nib.Nifti1Image(VALUES, np.eye(4))
    image.header.set_slope_inter(2.0, -10.0)
    nib.save(image, tmp_path / "a.nii")
    values = read_nifti(tmp_path / "a.nii", tmp_path, LIMIT).values
    assert np.array_equal(values, np.asanyarray(nib.load(tmp_path / "a.nii").dataobj).transpose(2, 1, 0))
    assert values.max() == 2 * VALUES.max() - 10


def test_nifti_2_and_one_frame_of_four_dimensions_are_read(tmp_path):
    nib.save(nib.Nifti2Image(VALUES[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(
        read_nifti(tmp_path / "a.nii.gz", tmp_path, LIMIT).values, VALUES.transpose(2, 1, 0)
    )


def test_spacing_is_read_in_the_unit_of_the_file_without_its_voxels(write_nifti, tmp_path):
    image = nib.Nifti1Image(VALUES, np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    (tmp_path / "a.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:400])
    assert read_nifti_grid(tmp_path / "a.nii", tmp_path, LIMIT).spacing_mm == pytest.approx(
        (3, 2, 1), rel=1e-5
    )


def test_the_qform_counts_where_there_is_no_sform(tmp_path):
    affine = affine_of((1, 0, 2), (-1, 1, 1), (1.0, 2.0, 3.0))
    image = nib.Nifti1Image(VALUES, affine)
    image.set_sform(None, code=0)
    image.set_qform(affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    grid = read_nifti(tmp_path / "a.nii", tmp_path, LIMIT).grid
    assert np.allclose(grid.affine, affine, atol=1e-4)
    assert grid.code == 1


def test_forms_that_disagree_about_the_spacing_are_refused(tmp_path):
    image = nib.Nifti1Image(VALUES, np.eye(4))
    image.set_sform(np.diag([1, 1, 2, 1]), code=1)
    image.set_qform(np.eye(4), code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(RequestError, match="one spacing"):
        read_nifti(tmp_path / "a.nii", tmp_path, LIMIT)


@pytest.mark.parametrize(
    ("place", "data", "message"),
    [
        (40, np.array([3, 30_000, 30_000, 30_000], "<i2").tobytes(), r"30000 x 30000 x 30000.*data\.max_voxels"),
        (40, np.array([3, 50, 50, 50], "<i2").tobytes(), "cut off"),
        (40, np.array([4, 3, 4, 5, 2], "<i2").tobytes(), "one volume"),
        (40, np.array([3, 3, -4, 5], "<i2").tobytes(), "one volume"),
        (40, np.array([9, 3, 4, 5], "<i2").tobytes(), "one volume"),
        (70, np.array([1792], "<i2").tobytes(), "whole or real numbers"),
        (70, np.array([9999], "<i2").tobytes(), "readable NIfTI"),
        (108, np.array([1e12], "<f4").tobytes(), "offset"),
        (280, np.array([np.nan], "<f4").tobytes(), "header is damaged"),
        (280, np.zeros(4, "<f4").tobytes(), "header is damaged"),
        (344, b"ni1\0", "one file"),
        (0, b"\0\0\0\0", "one file"),
    ],
    ids=[
        "terabytes", "larger than it is", "frames", "negative", "nine axes", "complex", "unknown type", "offset",
        "affine nan", "affine flat", "two files", "no header",
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_header_that_lies_is_refused(write_nifti, tmp_path, place, data, message, packed):
    path = write_nifti(tmp_path / "a.nii", VALUES)
    whole = bytearray(path.read_bytes())
    whole[place : place + len(data)] = data
    path.write_bytes(gzip.compress(whole) if packed else whole)
    with pytest.raises(RequestError, match=message):
        read_nifti(path, tmp_path, LIMIT)


def test_a_gzip_bomb_is_read_no_further_than_its_header_promises(write_nifti, tmp_path):
    whole = write_nifti(tmp_path / "a.nii", VALUES).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole) + gzip.compress(bytes(1 << 28), compresslevel=1))
    assert read_nifti(tmp_path / "b.nii.gz", tmp_path, LIMIT).values.shape == (5, 4, 3)


@pytest.mark.parametrize("size", [0, 10, 300, 380])
def test_cut_off_volumes_are_refused(write_nifti, tmp_path, size):
    whole = write_nifti(tmp_path / "a.nii", VALUES).read_bytes()
    for data in (whole[:size], gzip.compress(whole)[: size // 4]):
        (tmp_path / "b.nii.gz").write_bytes(data)
        with pytest.raises(RequestError):
            read_nifti(tmp_path / "b.nii.gz", tmp_path, LIMIT)


def test_a_written_volume_is_the_same_file_each_time(tmp_path):
    grid = Grid(SHAPE, affine_of((1, 2, 0), (-1, 1, -1), (1.0, 2.0, 3.0)))
    volume = grid.to_canonical(VALUES)
    for name in ("a.nii.gz", "b.nii.gz", "c.nii"):
        write_nifti(tmp_path / name, volume, grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    found = nib.load(tmp_path / "c.nii")
    assert np.array_equal(np.asanyarray(found.dataobj), VALUES)
    assert np.allclose(found.affine, grid.affine)
