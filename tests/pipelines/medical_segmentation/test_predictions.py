"""Results of test cases at the size of the files: every case once, all structures, as the masks say."""

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.baselines import TITLES
from pipelines.medical_segmentation.metrics import case_metrics
from pipelines.medical_segmentation.predictions import as_own, dice_of, size_name


def test_every_test_case_has_a_row_for_each_structure(judged):
    results = judged.tables["results"]
    names = {judged.cases.names[case] for case in judged.fold.test}
    assert set(results["case"]) == names
    assert results.height == len(names) * 2
    assert results.select("case", "structure").is_duplicated().sum() == 0
    assert set(TITLES) <= set(results.columns)
    assert results["unit"].unique().to_list() == ["mm2"]


def test_numbers_are_those_of_the_masks_at_full_size(judged):
    scorer, study = judged.fitted.scorer, judged.tested[1]
    found = scorer.find(study).mask
    rows = judged.tables["results"].filter(case=study.case)
    for number, name in enumerate(study.labels.names, start=1):
        [row] = rows.filter(structure=name).to_dicts()
        measured = case_metrics(study.mask == number, found == number, study.spacing_mm, 2.0).to_json()
        for key, value in measured.items():
            assert row[key] == pytest.approx(value, nan_ok=True), (name, key)


def test_a_case_is_referred_as_a_whole(judged):
    limit = judged.fitted.scorer.calibrated.refer_below
    by_case = (
        judged.tables["results"]
        .group_by("case")
        .agg(
            pl.col("referred").n_unique().alias("kinds"),
            pl.col("referred").first(),
            pl.col("confidence").min(),
        )
    )
    assert by_case["kinds"].to_list() == [1] * by_case.height
    assert by_case["referred"].equals(
        by_case.select(pl.col("confidence") < limit)["confidence"], check_names=False
    )


def test_pixels_for_calibration_come_from_every_test_case(judged):
    pixels = judged.tables["pixels"]
    assert pixels["case"].n_unique() == len(judged.fold.test)
    assert pixels["probability"].is_between(0, 1).all()
    assert set(pixels["is_structure"]) == {0, 1}
    again = pixels.group_by("case").len()["len"]
    assert again.n_unique() == 1


def test_units_say_whether_the_spacing_is_known():
    assert [size_name(spacing, axes) for spacing in ((1.0,), None) for axes in (2, 3)] == [
        "mm2", "mL", "pixels", "voxels",
    ]  # fmt: skip


def test_a_mask_on_the_grid_at_its_own_size_is_the_mask(cases):
    assert np.array_equal(as_own(cases.mask(3), 2, cases.frames[3]), cases.mask(3))


def test_dice_is_not_defined_where_nothing_was_drawn():
    empty, full = np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=bool)
    assert np.isnan(dice_of(empty, full))
    assert dice_of(full, empty) == 0
    assert dice_of(full, full) == 1
