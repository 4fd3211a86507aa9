"""Agreement of masks against what can be counted by hand, against MONAI, and the policy for what is absent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pipelines.medical_segmentation.metrics import case_metrics, size_unit


def square(top: int, left: int, edge: int = 10) -> np.ndarray:
    mask = np.zeros((40, 40), dtype=bool)
    mask[top : top + edge, left : left + edge] = True
    return mask


def test_a_shifted_square_is_measured_as_by_hand():
    found = case_metrics(square(10, 10), square(10, 14), None, tolerance=1.0)
    assert found.dice == pytest.approx(2 * 60 / 200)
    assert found.iou == pytest.approx(60 / 140)
    assert found.hd95 == pytest.approx(4.0)
    assert (found.size_truth, found.size_found) == (100, 100)


def test_distances_follow_the_spacing_along_each_axis():
    beside = case_metrics(square(10, 10), square(10, 14), (1.0, 0.5), tolerance=2.0)
    below = case_metrics(square(10, 10), square(14, 10), (1.0, 0.5), tolerance=2.0)
    assert beside.hd95 == pytest.approx(2.0)
    assert below.hd95 == pytest.approx(4.0)
    assert beside.nsd == 1.0
    assert below.nsd < 0.8
    assert beside.size_truth == pytest.approx(50.0)


def test_the_same_mask_agrees_wholly():
    found = case_metrics(square(3, 3), square(3, 3), None, tolerance=1.0)
    assert (found.dice, found.iou, found.hd95, found.nsd) == (1, 1, 0, 1)


def test_nothing_is_said_of_a_structure_that_nobody_drew():
    empty = np.zeros((40, 40), dtype=bool)
    found = case_metrics(empty, square(0, 0), None, tolerance=1.0)
    assert all(np.isnan(value) for value in (found.dice, found.iou, found.hd95, found.nsd))
    assert (found.size_truth, found.size_found) == (0, 100)


def test_a_missed_structure_counts_with_the_diagonal():
    found = case_metrics(square(0, 0), np.zeros((40, 40), dtype=bool), (0.3, 0.4), tolerance=1.0)
    assert (found.dice, found.iou, found.nsd) == (0, 0, 0)
    assert found.hd95 == pytest.approx(40 * 0.5)


def test_sizes_are_pixels_areas_or_volumes():
    assert size_unit(None) == 1.0
    assert size_unit((0.5, 0.4)) == pytest.approx(0.2)
    assert size_unit((2.0, 0.5, 0.5)) == pytest.approx(0.0005)


# of an argument inside MONAI
@pytest.mark.filterwarnings("ignore::FutureWarning")
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), axes=st.integers(2, 3), tolerance=st.floats(0.3, 4.0))
def test_distances_are_those_of_monai(seed, axes, tolerance):
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice
    from torch import from_numpy

    rng = np.random.default_rng(seed)
    shape, steps = ((20, 24), (14, 12, 16))[axes - 2], tuple(rng.uniform(0.5, 2, axes).tolist())
    truth, found = (gaussian_filter(rng.normal(size=shape), 2) > 0.02 for _ in range(2))
    if not truth.any() or not found.any():
        return
    mine = case_metrics(truth, found, steps, tolerance)
    pair = [from_numpy(mask)[None, None] for mask in (found, truth)]
    theirs = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(steps))
    assert mine.hd95 == pytest.approx(float(theirs), abs=1e-4)
    near = compute_surface_dice(*pair, [tolerance], include_background=True, spacing=list(steps))
    assert mine.nsd == pytest.approx(float(near), abs=1e-4)
