"""The two contracts take what they should and refuse what would mislead."""

from datetime import UTC, datetime

import polars as pl
import pytest

from shared.contracts.contract import load
from shared.contracts.table import check_table


def result(**columns: object) -> pl.DataFrame:
    row = {
        "case": "a", "structure": "polyp", "patient": "p", "mask_file": "masks/a.png", "num_pixels": 400,
        "area_mm2": 16.0, "volume_ml": None, "num_components": 1, "confidence": 0.93, "refer": False,
        "refer_reason": None, "model_version": "medical_segmentation@1", "contract": "image_studies@1.0.0",
        "scored_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pl.DataFrame([row | columns])


def test_a_result_keeps_its_contract_with_and_without_what_may_be_unknown():
    contract = load("segmentation_results")
    check_table(result(), contract).require()
    check_table(
        result(area_mm2=None, num_pixels=0, refer=True, refer_reason="Views disagree."), contract
    ).require()


def test_a_graded_image_has_a_grade_instead_of_a_mask():
    nothing = dict.fromkeys(("mask_file", "num_pixels", "area_mm2", "num_components"))
    grade = {"structure": "image", "grade": 2, "referable_probability": 0.81}
    check_table(result(**nothing, **grade), load("segmentation_results")).require()
    assert not check_table(result(**nothing, **grade | {"grade": -1}), load("segmentation_results")).passed


@pytest.mark.parametrize(
    "columns",
    [{"confidence": 1.2}, {"area_mm2": -1.0}, {"num_components": -1}, {"mask_file": " "}, {"refer": None}],
    ids=["confidence", "area", "components", "file", "refer"],
)
def test_a_result_that_cannot_be_is_refused(columns):
    assert not check_table(result(**columns), load("segmentation_results")).passed


@pytest.mark.parametrize(
    "columns",
    [
        {"spacing_row_mm": 0.0},
        {"spacing_slice_mm": 500.0},
        {"modality": "PET"},
        {"part": "validation"},
        {"grade": -1},
        {"image": " "},
        {"case": None},
    ],
    ids=["spacing 0", "spacing", "modality", "part", "grade", "image", "case"],
)
def test_a_manifest_row_that_cannot_be_used_goes_to_quarantine(columns):
    row = {
        "case": "a", "patient": "p", "image": "a.png", "mask": None, "spacing_row_mm": 0.2, "spacing_slice_mm": None,
        "modality": "RGB", "part": "train", "grade": 2, "shows_structure": True,
    }  # fmt: skip
    checked = check_table(pl.DataFrame([row, row | {"case": "b"} | columns]), load("image_studies"))
    assert checked.quarantined["row_number"].to_list() == [2]


def test_a_case_named_twice_goes_to_quarantine():
    frame = pl.DataFrame({"case": ["a", "a", "b"], "patient": ["p"] * 3, "image": ["x", "y", "z"]})
    assert check_table(frame, load("image_studies")).quarantined.height == 2
