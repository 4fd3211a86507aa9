"""Figures of numbers: they are drawn from what is there, and say so where nothing is."""

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.figures import (
    confusion,
    dice_by_case,
    limits_of_agreement,
    recall_by_grade,
    referral_curve,
    size_agreement,
)


def per_case(dice: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"dice": dice, "referred": [value < 0.5 for value in dice]}, schema_overrides={"dice": pl.Float64}
    )


def sizes(truth: list[float], found: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "structure": ["lesion"] * len(truth),
            "unit": ["mL"] * len(truth),
            "dice": [0.5] * len(truth),
            "size_truth": truth,
            "size_found": found,
        },
        schema_overrides=dict.fromkeys(("dice", "size_truth", "size_found"), pl.Float64),
    )


def test_kept_and_referred_cases_are_counted_apart():
    svg = dice_by_case(per_case([0.1, 0.2, 0.8, 0.9, 0.95]))
    assert "kept (3)" in svg
    assert "referred to a human (2)" in svg
    assert "median 0.80" in svg


@pytest.mark.parametrize("dice", [[0.4], [1.0], [0.7] * 2000], ids=["one", "perfect", "many"])
def test_any_number_of_cases_is_drawn(dice):
    assert "Cases from the worst to the best" in dice_by_case(per_case(dice))


def test_limits_of_agreement_are_those_of_bland_and_altman():
    truth, found = [1.0, 2.0, 3.0, 4.0], [1.5, 2.0, 4.0, 4.5]
    difference = np.array([0.5, 0.0, 1.0, 0.5])
    spread = 1.96 * difference.std(ddof=1)
    assert limits_of_agreement(sizes(truth, found)) == pytest.approx((0.5, 0.5 - spread, 0.5 + spread))
    assert limits_of_agreement(sizes([1.0], [2.0])) is None


def test_sizes_are_drawn_in_their_unit_and_absent_structures_left_out():
    table = sizes([1.0, 2.0], [1.5, 0.0])
    absent = sizes([0.0], [900.0]).with_columns(dice=pl.lit(float("nan")))
    svg = size_agreement(pl.concat([table, absent]))
    assert "Found, mL" in svg
    assert svg == size_agreement(table)


def test_the_threshold_is_marked_on_the_referral_curve():
    curve = [
        {"share": share, "dice": 0.5 + share, "random": 0.5, "best": 0.6 + share} for share in (0.0, 0.1, 0.2)
    ]
    assert "threshold fixed before the test" in referral_curve(curve, (0.08, 0.57))
    assert "threshold fixed before the test" not in referral_curve(curve, None)


def test_confusion_shows_every_count():
    svg = confusion([[1234, 5], [0, 77]])
    assert all(text in svg for text in ("1,234", ">5<", ">77<"))


def test_grades_without_a_case_have_no_recall():
    metrics = {
        "test/recall_grade_0": {"value": 0.5, "low": 0.2, "high": 0.8, "n": 12},
        "test/recall_grade_1": {"value": None, "low": None, "high": None, "n": 0},
        "test/recall_grade_2": {"value": 1.0, "low": None, "high": None, "n": 1},
    }
    svg = recall_by_grade(metrics)
    assert "12 patients" in svg
    assert "0 patients" not in svg


@pytest.mark.parametrize(
    "drawn",
    [dice_by_case(per_case([])), size_agreement(sizes([], [])), recall_by_grade({})],
    ids=["dice", "sizes", "recall"],
)
def test_without_cases_a_figure_says_so(drawn):
    assert "Not drawn" in drawn
