"""Other views of the training images, made for a whole batch at once on its device.

One map moves image and mask alike: flips, turns, scale, shift and a smooth deformation in a single resampling, so that
an image is interpolated once. Brightness, contrast, colour, gamma and noise change images alone. All random numbers
come from torch's generator, which training seeds and restores.

Shapes: B cases, C channels, 2 or 3 spatial axes last.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.medical_segmentation.config import AugmentConfig

# Knots of the smooth deformation along each axis.
_KNOTS = 5


@dataclass(frozen=True, slots=True)
class Augment:
    """config: how far images are changed. flips: axes along which anatomy may be mirrored, all of them if True."""

    config: AugmentConfig

    def __call__(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled images, float (B, C, ...), and masks, uint8 (B, ...) -> the same, changed alike."""
        grid = self._grid(images)
        moved = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        drawn = functional.grid_sample(
            masks[:, None].to(images.dtype), grid, mode="nearest", padding_mode="zeros", align_corners=False
        )
        return self._appearance(moved), drawn[:, 0].to(masks.dtype)

    def _grid(self, images: Tensor) -> Tensor:
        """Where each output pixel is taken from, (B, ..., axes), from -1 to 1."""
        size, num_axes = len(images), images.ndim - 2
        grid = functional.affine_grid(self._affine(images), list(images.shape), align_corners=False)
        if self.config.elastic > 0:
            knots = self.config.elastic * torch.randn(
                (size, num_axes, *[_KNOTS] * num_axes), device=images.device, dtype=images.dtype
            )
            mode = "bicubic" if num_axes == 2 else "trilinear"
            bent = functional.interpolate(knots, size=images.shape[2:], mode=mode, align_corners=True)
            grid = grid + bent.movedim(1, -1)
        return grid

    def _affine(self, images: Tensor) -> Tensor:
        """(B, axes, axes + 1), in normalised coordinates, x first."""
        config, num_axes = self.config, images.ndim - 2
        draw = _Draw(images)
        scale = torch.exp(math.log(config.scale) * draw.symmetric(1))
        flips = torch.where(draw.uniform(num_axes) < 0.5 * config.flip, -1.0, 1.0)
        matrix = torch.diag_embed((scale * flips).expand(-1, num_axes))
        angle = config.rotation_degrees * math.pi / 180 * draw.symmetric(1)[:, 0]
        # volumes are turned in one plane, drawn anew each time: (x, y), (x, z) or (y, z)
        planes = [(0, 1)] if num_axes == 2 else [(0, 1), (0, 2), (1, 2)]
        first, second = planes[int(torch.randint(len(planes), ()))]
        turn = torch.eye(num_axes, device=images.device, dtype=images.dtype).repeat(len(images), 1, 1)
        aspect = images.shape[-1 - first] / images.shape[-1 - second]
        turn[:, first, first] = turn[:, second, second] = angle.cos()
        turn[:, first, second], turn[:, second, first] = -angle.sin() / aspect, angle.sin() * aspect
        shift = config.shift * draw.symmetric(num_axes)
        return torch.cat([turn @ matrix, shift[:, :, None]], dim=2)

    def _appearance(self, images: Tensor) -> Tensor:
        config, draw = self.config, _Draw(images)
        axes = [1] * (images.ndim - 2)
        contrast = torch.exp(config.contrast * draw.symmetric(1)).view(-1, 1, *axes)
        brightness = (config.brightness * draw.symmetric(1)).view(-1, 1, *axes)
        colour = (config.colour * draw.symmetric(images.shape[1])).view(-1, images.shape[1], *axes)
        changed = images * contrast + brightness + colour
        noise = config.noise * draw.uniform(1).view(-1, 1, *axes)
        return changed + noise * torch.randn_like(images)


@dataclass(frozen=True, slots=True)
class _Draw:
    """Random numbers for each case of a batch."""

    like: Tensor

    def uniform(self, num: int) -> Tensor:
        """(B, num), from 0 to 1."""
        return torch.rand((len(self.like), num), device=self.like.device, dtype=self.like.dtype)

    def symmetric(self, num: int) -> Tensor:
        """(B, num), from -1 to 1."""
        return 2 * self.uniform(num) - 1
