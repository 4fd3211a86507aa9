"""What the network has to beat is fitted to the training cases alone, and does what its name says."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.medical_segmentation.baselines import MEAN_MASK, NEAREST, THRESHOLD, TITLES, fit_baselines
from pipelines.medical_segmentation.config import ImageConfig

TRAIN = np.arange(24)


def fitted(cases):
    return fit_baselines(cases, TRAIN, cases.transfers(cases.fit_intensity(TRAIN, ImageConfig())))


@pytest.mark.parametrize("name", ["cases", "volumes"])
def test_every_baseline_gives_a_mask_on_the_grid_of_the_case(name, request):
    cases = request.getfixturevalue(name)
    train = np.arange(cases.num_cases - 2)
    rivals = fit_baselines(cases, train, cases.transfers(cases.fit_intensity(train, ImageConfig())))
    assert set(rivals) == set(TITLES)
    for mask_of in rivals.values():
        mask = mask_of(cases.num_cases - 1)
        assert mask.shape == cases.frames[-1].grid
        assert mask.dtype == np.uint8
        assert mask.max() <= len(cases.labels)


def test_test_masks_change_no_baseline(cases):
    masks = cases.picture_masks.copy()
    masks[24:] = 1
    other = replace(cases, masks=masks.reshape(-1))
    for name, mask_of in fitted(cases).items():
        assert np.array_equal(mask_of(30), fitted(other)[name](30))


def test_a_threshold_finds_what_is_bright(cases):
    images, masks = np.full_like(cases.pictures, 40), np.zeros_like(cases.picture_masks)
    images[:, :, 10:20, 10:20], masks[:, 10:20, 10:20] = 220, 1
    flat = replace(cases, images=images.reshape(-1), masks=masks.reshape(-1))
    assert np.array_equal(fitted(flat)[THRESHOLD](30), masks[30])
    dark = replace(flat, images=(255 - images).reshape(-1))
    assert np.array_equal(fitted(dark)[THRESHOLD](30), masks[30])


def test_the_mean_mask_is_where_the_structure_usually_lies(cases):
    masks = np.zeros_like(cases.picture_masks)
    masks[:, 30:40, 30:40] = 1
    masks[0, 5:10, 5:10] = 1
    usual = fitted(replace(cases, masks=masks.reshape(-1)))[MEAN_MASK](30)
    assert np.array_equal(usual, masks[30])


def test_the_nearest_case_lends_its_mask(cases):
    thumbnails = cases.thumbnails.copy()
    thumbnails[30] = thumbnails[7]
    assert np.array_equal(fitted(replace(cases, thumbnails=thumbnails))[NEAREST](30), cases.mask(7))


def test_no_training_case_lends_its_mask_to_itself(cases):
    assert not np.array_equal(fitted(cases)[NEAREST](7), cases.mask(7))
