"""Augmentation moves image and mask alike, keeps the values of masks, and is decided by the seed."""

import pytest
import torch
from torch import Tensor

from pipelines.medical_segmentation.augment import Augment
from pipelines.medical_segmentation.config import AugmentConfig

SHAPES = {"pictures": (6, 1, 48, 64), "volumes": (3, 1, 24, 32, 40)}
# Only what moves: the image of a mask stays the image of that mask.
MOVES = AugmentConfig(brightness=0, contrast=0, colour=0, noise=0)
STILL = AugmentConfig(
    flip=0, rotation_degrees=0, scale=1, shift=0, elastic=0, brightness=0, contrast=0, colour=0, noise=0
)


def blocks(shape: tuple[int, ...]) -> Tensor:
    """Masks of two structures around the middle, uint8 of shape (B, ...)."""
    masks = torch.zeros(shape[0], *shape[2:], dtype=torch.uint8)
    middle = tuple(slice(size // 3, 2 * size // 3) for size in shape[2:])
    masks[(slice(None), *middle)] = 1
    masks[(slice(None), *middle[:-1], slice(shape[-1] // 2, 2 * shape[-1] // 3))] = 2
    return masks


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_drawn_stays_under_its_mask(shape):
    masks = blocks(shape)
    torch.manual_seed(1)
    images, moved = Augment(MOVES)(masks[:, None].float(), masks)
    assert not torch.equal(moved, masks)
    # Away from borders, where interpolation mixes values, an image of the mask equals the mask.
    is_inner = images.frac() == 0
    agree = (images[:, 0] == moved.float()) | ~is_inner[:, 0]
    assert agree.float().mean() > 0.99
    for structure in (1, 2):
        shown = (images[:, 0] - structure).abs() < 0.25
        overlap = 2 * (shown & (moved == structure)).sum() / (shown.sum() + (moved == structure).sum())
        assert overlap > 0.85


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_masks_keep_their_values_and_types(shape):
    torch.manual_seed(2)
    images, moved = Augment(AugmentConfig())(torch.randn(shape), blocks(shape))
    assert set(moved.unique().tolist()) <= {0, 1, 2}
    assert moved.dtype == torch.uint8
    assert images.shape == shape
    assert images.isfinite().all()


def test_the_seed_decides_and_cases_differ():
    images = torch.randn(SHAPES["pictures"])
    images[1:] = images[0]
    masks = blocks(SHAPES["pictures"])
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(Augment(AugmentConfig())(images, masks))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[2][0])
    assert not torch.equal(found[0][0][0], found[0][0][1])


def test_with_everything_off_nothing_changes():
    images, masks = torch.randn(SHAPES["pictures"]), blocks(SHAPES["pictures"])
    same, drawn = Augment(STILL)(images, masks)
    torch.testing.assert_close(same, images, atol=1e-4, rtol=0)
    assert torch.equal(drawn, masks)


def test_a_turn_keeps_the_shape_of_things_in_pictures_that_are_not_square():
    masks = torch.zeros(8, 64, 128, dtype=torch.uint8)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(128), indexing="ij")
    masks[:, ((rows - 32) ** 2 + (columns - 64) ** 2) < 18**2] = 1
    torch.manual_seed(5)
    turned = Augment(STILL.model_copy(update={"rotation_degrees": 90.0}))(masks[:, None].float(), masks)[1]
    agree = (
        2
        * ((turned == 1) & (masks == 1)).sum((1, 2))
        / ((turned == 1).sum((1, 2)) + (masks == 1).sum((1, 2)))
    )
    assert agree.min() > 0.93, "a disc in the middle is the same after any turn"
