"""Pictures with outlines: pixels stay in the drawing, lengths are round, and what is not there has no legend."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.medical_segmentation.gallery import Picture
from pipelines.medical_segmentation.overlays import (
    DRAWN_COLOUR,
    DRAWN_LABEL,
    FOUND_COLOUR,
    FOUND_LABEL,
    evidence_figure,
    overlay_figure,
    scale_bar_length,
)


@pytest.fixture
def picture() -> Picture:
    random = np.random.default_rng(0)
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:30, 20:40] = 1
    pixels = random.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    evidence = mask.astype(np.float32) * 0.25
    return Picture("case-1", "picture", pixels, mask, np.roll(mask, 3, axis=1), evidence, (0.2, 0.2), "mm")


@given(st.floats(1e-3, 1e6))
def test_scale_bar_is_round_and_fits(width):
    length = scale_bar_length(width)
    assert 0.1 * width <= length <= 0.35 * width * (1 + 1e-9)
    assert float(f"{length:.6e}"[:8]) in (1.0, 2.0, 5.0)


def test_both_outlines_and_a_scale_in_millimetres_are_drawn(picture):
    svg = overlay_figure([[picture]], ["Dice 0.85\ndrawn 16, found 16 mm²"])
    for expected in (DRAWN_COLOUR, FOUND_COLOUR, DRAWN_LABEL, FOUND_LABEL, "2 mm", "case-1", "Dice 0.85"):
        assert expected in svg
    assert len(re.findall("data:image/jpeg;base64,", svg)) == 1
    assert "image/png" not in svg


def test_what_nobody_looked_for_has_no_legend(picture):
    svg = overlay_figure([[replace(picture, found=None)]], ["grade 2"])
    assert DRAWN_LABEL in svg
    assert FOUND_LABEL not in svg
    assert DRAWN_LABEL not in overlay_figure([[replace(picture, drawn=None, found=None)]], ["grade 2"])


def test_empty_masks_are_drawn_without_an_outline(picture):
    nothing = np.zeros_like(picture.drawn)
    svg = overlay_figure([[replace(picture, drawn=nothing, found=nothing, unit="px")]], ["nothing drawn"])
    assert "2 px" in svg


def test_masks_that_fill_the_picture_and_grey_pictures_of_one_pixel_are_drawn(picture):
    whole = np.ones_like(picture.drawn)
    assert DRAWN_COLOUR in overlay_figure([[replace(picture, drawn=whole)]], ["Dice 1"])
    dot = Picture("dot", "picture", np.zeros((1, 1, 1), np.uint8), None, None, None, (1.0, 1.0), "px")
    assert "dot" in overlay_figure([[dot]], ["grade 0"])


def test_the_same_pictures_give_the_same_drawing(picture):
    assert overlay_figure([[picture]], ["Dice"]) == overlay_figure([[picture]], ["Dice"])


def test_a_name_from_outside_is_text(picture):
    svg = overlay_figure([[replace(picture, case="<b>$x^2$</b>")]], ["Dice"])
    assert "<b>" not in svg
    assert "$x^2$" in svg


def test_evidence_has_one_raw_scale_for_all_pictures(picture):
    stronger = replace(picture, case="case-2", evidence=4 * picture.evidence)
    svg = evidence_figure([[picture], [stronger]], ["weak", "strong"], "log-odds")
    assert "gradient x activation, log-odds" in svg
    assert len(re.findall("data:image/jpeg", svg)) == 2
    assert "1.0" in svg
    assert evidence_figure([[picture]], ["weak"], "log-odds") != evidence_figure(
        [[stronger]], ["weak"], "log-odds"
    )


@pytest.mark.parametrize("scale", [None, 0.0], ids=["not asked", "nothing found"])
def test_without_evidence_the_figure_says_so(picture, scale):
    evidence = None if scale is None else scale * picture.evidence
    assert "Not drawn" in evidence_figure([[replace(picture, evidence=evidence)]], ["x"], "log-odds")


def test_without_cases_the_figure_says_so():
    assert "Not drawn" in overlay_figure([], [])
