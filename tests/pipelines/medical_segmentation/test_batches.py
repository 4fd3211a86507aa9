"""Batches are the cases as networks see them; patches stay inside and are drawn around structures as often as asked."""

import numpy as np
import pytest
import torch

from pipelines.medical_segmentation.batches import PatchBatches, PictureBatches, patch_of, scaled
from pipelines.medical_segmentation.config import ImageConfig
from pipelines.medical_segmentation.intensity import apply


def test_a_gathered_picture_is_the_scaled_one_with_its_mask(cases):
    intensity = cases.fit_intensity(np.arange(20), ImageConfig())
    images, masks = PictureBatches.of(cases, intensity, None).gather(torch.tensor([5, 2]))
    transfers = cases.transfers(intensity)
    for place, case in enumerate((5, 2)):
        np.testing.assert_allclose(
            images[place].numpy(), apply(cases.image(case), transfers[case]), atol=1e-5
        )
        assert np.array_equal(masks[place].numpy(), cases.mask(case))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert masks.dtype == torch.int64


def test_scaling_clips_to_the_range_of_each_case_and_channel():
    images = torch.tensor([[[[0.0, 5.0, 20.0]]]])
    transfers = torch.tensor([[[1.0], [10.0], [4.0], [2.0]]])
    assert scaled(images, transfers).tolist() == [[[[-1.5, 0.5, 3.0]]]]


def patches(volumes, share: float, patch=(8, 16, 16)) -> PatchBatches:
    intensity = volumes.fit_intensity(np.arange(volumes.num_cases), ImageConfig())
    return PatchBatches.of(volumes, intensity, None, patch, share)


def test_patches_show_a_structure_as_often_as_asked(volumes):
    case = int(np.argmin(np.where(volumes.num_pixels[:, 0] > 0, volumes.num_pixels[:, 0], 1 << 30)))
    chosen = torch.full((40,), case)
    torch.manual_seed(0)
    always = patches(volumes, 1.0).gather(chosen)[1].flatten(1).any(1)
    never = patches(volumes, 0.0).gather(chosen)[1].flatten(1).any(1)
    assert always.all()
    assert never.float().mean() < 0.9


def test_volumes_smaller_than_the_patch_are_whole_with_their_darkest_value_around(volumes):
    grid = volumes.frames[0].grid
    patch = tuple(edge + 8 for edge in grid)
    images, masks = patches(volumes, 0.3, patch).gather(torch.tensor([0]))
    inside = tuple(slice(0, edge) for edge in grid)
    assert np.array_equal(masks[0][inside].numpy(), volumes.mask(0))
    assert int(masks.sum()) == int(volumes.mask(0).sum())
    assert float(images[0, 0, -1, -1, -1]) == pytest.approx(float(images[0, 0][inside].min()))


def test_patches_are_as_large_as_the_median_case_in_steps_of_eight(volumes):
    everything = np.arange(volumes.num_cases)
    patch = patch_of(volumes, everything, largest=16)
    assert all(edge % 8 == 0 and edge <= 16 for edge in patch)
    median = np.median([frame.grid for frame in volumes.frames], axis=0)
    assert all(edge >= min(size, 16) for edge, size in zip(patch, median, strict=True))
