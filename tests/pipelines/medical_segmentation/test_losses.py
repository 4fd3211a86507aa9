"""Losses reward overlap, and focal Tversky minds missed pixels more than false ones."""

import pytest
import torch
from torch import Tensor

from pipelines.medical_segmentation.losses import (
    dice_cross_entropy,
    focal_tversky,
    ordinal_loss,
    segmentation_loss,
)

MASK = torch.zeros(2, 8, 8, dtype=torch.int64)
MASK[:, 2:6, 2:6] = 1


def logits_of(mask: Tensor, strength: float = 8.0) -> Tensor:
    """Logits that are sure of a mask."""
    is_there = (mask == 1).float()
    return strength * torch.stack([1 - is_there, is_there], 1)


@pytest.mark.parametrize("loss", [dice_cross_entropy, focal_tversky])
def test_the_right_mask_costs_least(loss):
    wrong = MASK.clone()
    wrong[:, 3:5] = 0
    assert loss(logits_of(MASK), MASK) < loss(logits_of(wrong), MASK) < loss(logits_of(1 - MASK), MASK)


def test_focal_tversky_minds_missed_pixels_more_than_false_ones_and_dice_does_not():
    missed, false = MASK.clone(), MASK.clone()
    missed[:, 2, 2:6], false[:, 1, 2:6] = 0, 1
    assert focal_tversky(logits_of(missed), MASK) > 1.5 * focal_tversky(logits_of(false), MASK)
    assert dice_cross_entropy(logits_of(missed), MASK) < 1.3 * dice_cross_entropy(logits_of(false), MASK)


def test_coarser_levels_count_half_of_the_level_before():
    loss, fine = segmentation_loss("dice_ce"), logits_of(MASK)
    coarse = logits_of(1 - MASK[:, ::2, ::2])
    separate = dice_cross_entropy(fine, MASK), dice_cross_entropy(coarse, MASK[:, ::2, ::2])
    both = loss([fine, coarse], MASK)
    torch.testing.assert_close(both, (separate[0] + 0.5 * separate[1]) / 1.5)


def test_ordinal_loss_costs_more_the_further_the_grade_is_off():
    sure_of_two = torch.tensor([[6.0, 6.0, -6.0]])
    costs = [float(ordinal_loss(sure_of_two, torch.tensor([grade]))) for grade in (2, 1, 0)]
    assert costs == sorted(costs)
    assert costs[2] > 1.8 * costs[1]
