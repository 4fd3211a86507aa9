"""What training makes small: overlap and cross-entropy, or overlap with more weight on what is missed.

Dice + cross-entropy is the default of nnU-Net (Isensee et al. 2021); the focal Tversky loss (Abraham and Khan 2019)
weighs missed pixels more than false ones, for small structures.

Shapes: B cases, K structures and the background, spatial axes last.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["dice_ce", "focal_tversky"]
# Share of missed and of false pixels in the Tversky index, and the power; the paper's values.
_MISSED, _FALSE, _POWER = 0.7, 0.3, 0.75
_SMOOTH = 1.0


def segmentation_loss(name: LossName) -> Callable[[list[Tensor], Tensor], Tensor]:
    """Loss of logits at several resolutions, finest first, against masks of the finest: each half of the one before."""
    one = {"dice_ce": dice_cross_entropy, "focal_tversky": focal_tversky}[name]

    def loss(levels: list[Tensor], masks: Tensor) -> Tensor:
        weights = [0.5**level for level in range(len(levels))]
        parts = [
            weight * one(logits.float(), _at(masks, logits))
            for weight, logits in zip(weights, levels, strict=True)
        ]
        return torch.stack(parts).sum() / sum(weights)

    return loss


def dice_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """(B, K, ...) and numbers of structures (B, ...) -> mean cross-entropy plus 1 - Dice, a scalar."""
    return functional.cross_entropy(logits, masks) + (1 - _overlap(logits, masks, 0.5, 0.5)).mean()


def focal_tversky(logits: Tensor, masks: Tensor) -> Tensor:
    """(B, K, ...) and numbers of structures (B, ...) -> (1 - Tversky index) to the power 3/4, mean over structures."""
    return (1 - _overlap(logits, masks, _MISSED, _FALSE)).clamp(min=1e-6).pow(_POWER).mean()


def _overlap(logits: Tensor, masks: Tensor, missed: float, false: float) -> Tensor:
    """Tversky index of each structure over the whole batch, (K - 1,); with halves it is Dice.

    Over the batch, because in a single picture a structure may be absent.
    """
    probability = logits.softmax(1)[:, 1:].flatten(2)
    truth = functional.one_hot(masks, logits.shape[1]).movedim(-1, 1)[:, 1:].flatten(2).to(probability.dtype)
    both = (probability * truth).sum((0, 2))
    only_truth, only_found = truth.sum((0, 2)) - both, probability.sum((0, 2)) - both
    return (both + _SMOOTH) / (both + missed * only_truth + false * only_found + _SMOOTH)


def ordinal_loss(log_odds: Tensor, grades: Tensor) -> Tensor:
    """(B, grades - 1) and grades (B,) -> mean binary cross-entropy of exceeding each grade."""
    steps = torch.arange(log_odds.shape[1], device=grades.device)
    return functional.binary_cross_entropy_with_logits(log_odds, (grades[:, None] > steps).to(log_odds.dtype))


def _at(masks: Tensor, logits: Tensor) -> Tensor:
    """Masks at the resolution of logits, int64 of shape (B, ...)."""
    if masks.shape[1:] == logits.shape[2:]:
        return masks
    return functional.interpolate(masks[:, None].float(), size=logits.shape[2:], mode="nearest-exact")[
        :, 0
    ].long()
