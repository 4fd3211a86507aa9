"""Which cases are shown, and that their pictures keep proportions, places and values."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.medical_segmentation.config import ImageConfig
from pipelines.medical_segmentation.gallery import (
    ABSENT,
    BEST,
    MOST_PIXELS,
    REFERRED,
    RIGHT,
    TYPICAL,
    WORST,
    Picture,
    grading_galleries,
    per_case,
    pictures_of,
    planes_of,
    segmentation_galleries,
    stored,
)
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study

NAN = float("nan")


def results(*rows: tuple[str, str, float, float, bool, float]) -> pl.DataFrame:
    names = ("case", "structure", "dice", "confidence", "referred", "size_found")
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(
        fold=pl.lit(0), patient=pl.col("case"), size_truth=pl.lit(1.0), unit=pl.lit("mm2")
    )


def only(study: Study, size: int = 64):
    cases = gather_cases([study], study.labels, ImageConfig(size=size), 1)
    transfer = np.array([[0.0], [1.0], [0.5], [0.2]], dtype=np.float32)
    if cases.num_channels == 3:
        transfer = np.repeat(transfer, 3, axis=1)
    return cases, transfer


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    has=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@settings(max_examples=40, deadline=None)
def test_pictures_come_back_from_their_table(rows, columns, channels, has):
    random = np.random.default_rng(rows * 10 + columns)
    layers = [random.integers(0, 3, (rows, columns)).astype(np.uint8) if one else None for one in has[:2]]
    evidence = random.random((rows, columns), dtype=np.float32) if has[2] else None
    pixels = random.integers(0, 256, (rows, columns, channels)).astype(np.uint8)
    first = Picture("a", "axial", pixels, *layers, evidence, (0.5, 2.0), "mm")
    second = Picture("b", "picture", pixels, None, None, None, (1.0, 1.0), "px")
    [[own], [back]] = pictures_of(stored([first, second]), ["b", "a", "unknown"])
    assert own.case == "b"
    assert (back.case, back.plane, back.step, back.unit) == ("a", "axial", (0.5, 2.0), "mm")
    for name in ("pixels", "drawn", "found", "evidence"):
        mine, theirs = getattr(first, name), getattr(back, name)
        assert (mine is None) == (theirs is None)
        assert mine is None or np.array_equal(mine, theirs)


def test_a_case_counts_with_the_mean_over_the_structures_that_it_shows():
    table = results(
        ("a", "x", 0.5, 0.9, False, 1.0),
        ("a", "y", 0.7, 0.4, False, 1.0),
        ("b", "x", 0.1, 0.8, True, 1.0),
        ("b", "y", NAN, 0.2, True, 5.0),
        ("c", "x", NAN, 0.2, True, 5.0),
    )
    found = per_case(table)
    assert found["case"].to_list() == ["b", "a"]
    assert found["dice"].to_list() == pytest.approx([0.1, 0.6])
    assert found["confidence"].to_list() == [0.8, 0.4]


def test_galleries_are_what_they_are_called():
    rows = [(f"case-{n:02d}", "x", n / 40, 1 - n / 80, n % 5 == 0, 1.0) for n in range(40)]
    empty = [(f"empty-{n}", "x", NAN, 0.5, False, float(n)) for n in range(6)]
    found = segmentation_galleries(results(*rows, *empty))
    assert found[WORST] == [f"case-{n:02d}" for n in range(10)]
    assert found[BEST] == ["case-39", "case-38", "case-37", "case-36"]
    assert found[TYPICAL] == ["case-18", "case-19", "case-20", "case-21"]
    assert found[REFERRED] == ["case-35", "case-30", "case-25", "case-20"]
    assert found[ABSENT] == ["empty-5", "empty-4", "empty-3", "empty-2"]


def test_galleries_of_few_cases_are_short():
    assert segmentation_galleries(results(("a", "x", NAN, 0.5, False, 0.0)))[WORST] == []
    found = segmentation_galleries(results(("a", "x", 0.5, 0.5, True, 1.0)))
    assert found[WORST] == found[TYPICAL] == found[BEST] == ["a"]
    assert found[REFERRED] == found[ABSENT] == []


def test_grading_shows_the_furthest_from_the_truth_and_the_clearest_of_each_grade():
    table = pl.DataFrame(
        {
            "case": ["a", "b", "c", "d", "e"],
            "grade": [0, 2, 1, 1, 3],
            "predicted": [2, 2, 1, 1, 2],
            "mean_grade": [2.2, 2.1, 1.3, 1.1, 1.6],
        }
    )
    found = grading_galleries(table)
    assert found[WORST] == ["a", "e"]
    assert found[RIGHT] == ["d", "b"]


def test_a_picture_keeps_its_proportions_and_its_size_in_millimetres():
    pixels = np.zeros((3, 50, 100), dtype=np.uint8)
    study = Study(
        "a", "a", pixels, np.ones((50, 100), np.uint8), Labels.binary(), "RGB", spacing_mm=(2.0, 0.5)
    )
    cases, transfer = only(study)
    [picture] = planes_of(cases, 0, transfer)
    assert picture.pixels.shape == (32, 64, 3)
    assert picture.extent == pytest.approx((100.0, 50.0))
    assert picture.unit == "mm"
    assert picture.drawn is not None
    assert picture.drawn.all()


def test_without_a_spacing_lengths_are_pixels_of_the_file():
    study = Study("a", "a", np.zeros((3, 352, 200), np.uint8), None, Labels.binary(), "RGB")
    [picture] = planes_of(*only(study)[:1], 0, only(study)[1])
    assert picture.unit == "px"
    assert picture.extent == pytest.approx((352.0, 200.0))
    assert picture.drawn is None


def test_large_pictures_are_made_small_and_their_masks_keep_their_numbers():
    mask = np.zeros((900, 1200), dtype=np.uint8)
    mask[:, 600:] = 2
    labels = Labels.of({"one": 1, "two": 2})
    study = Study("a", "a", np.zeros((3, 900, 1200), np.uint8), mask, labels, "RGB")
    cases = gather_cases([study], labels, ImageConfig(size=64, scale="own"), 1)
    [picture] = planes_of(cases, 0, only(study)[1], found=mask)
    assert picture.pixels.shape == (300, MOST_PIXELS, 3)
    assert picture.extent == pytest.approx((900.0, 1200.0))
    for layer in (picture.drawn, picture.found):
        assert (layer[:, :200] == 0).all()
        assert (layer[:, 200:] == 2).all()


def test_volumes_are_cut_through_the_structure_and_turned_as_radiologists_see_them():
    pixels = np.zeros((1, 6, 8, 10), dtype=np.float32)
    pixels[0, 5] = 1.0  # the head
    mask = np.zeros((6, 8, 10), dtype=np.uint8)
    mask[1:3, 5:7, 8:10] = 1  # low, in front, on the patient's right
    study = Study("a", "a", pixels, mask, Labels.binary(), "MR", spacing_mm=(2.0, 1.0, 0.5))
    cases = gather_cases([study], study.labels, ImageConfig(), 1)
    axial, coronal, sagittal = planes_of(cases, 0, only(study)[1], found=mask)
    assert [one.plane for one in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    assert coronal.pixels[0].min() == 255
    assert coronal.pixels[1:].max() == 0
    assert axial.extent == pytest.approx((8.0, 5.0))
    assert coronal.extent == pytest.approx((12.0, 5.0))
    assert sagittal.extent == pytest.approx((12.0, 8.0))
    for picture in (axial, coronal, sagittal):
        assert np.array_equal(picture.drawn, picture.found)
    rows, columns = np.nonzero(axial.drawn)
    assert rows.max() < 4
    assert columns.max() < 5
