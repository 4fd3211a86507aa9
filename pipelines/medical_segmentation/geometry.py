"""From an image of any size to the grid that networks see, and back.

Pictures are scaled until they fit a square, and centred in it: stretching them to the square would change the shape of
what is looked for, and by another amount for each camera. Volumes are scaled to one spacing and keep their own sizes.
Images are averaged over what a pixel of the grid covers (anti-aliasing), so that thin structures do not vanish from
them; masks take the nearest value.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an image of `own` shape lies in a grid: scaled to `inner`, from `start` on; (rows, columns), or with
    slices before.
    """

    own: tuple[int, ...]
    inner: tuple[int, ...]
    start: tuple[int, ...]
    grid: tuple[int, ...]

    @classmethod
    def square(cls, own: tuple[int, ...], size: int) -> Self:
        """A picture as large as fits into a square, in its middle."""
        scale = size / max(own)
        inner = tuple(min(size, max(1, round(length * scale))) for length in own)
        return cls(own, inner, tuple((size - length) // 2 for length in inner), (size, size))

    @classmethod
    def spaced(
        cls, own: tuple[int, ...], spacing_mm: tuple[float, ...] | None, wanted_mm: tuple[float, ...] | None
    ) -> Self:
        """A volume at another spacing; as it is where one of the two is unknown."""
        inner = own
        if spacing_mm is not None and wanted_mm is not None:
            steps = zip(own, spacing_mm, wanted_mm, strict=True)
            inner = tuple(max(1, round(length * step / wanted)) for length, step, wanted in steps)
        return cls(own, inner, (0,) * len(own), inner)

    def image_on_grid(self, pixels: Tensor) -> Tensor:
        """(channels, *own) of uint8 or float32 -> (channels, *grid) of the same type.

        The margin has the smallest value of each channel, or 0 where values are uint8.
        """
        scaled = _scaled(pixels, self.inner)
        if self.inner == self.grid:
            return scaled
        channels = scaled.flatten(1)
        fill = torch.zeros_like(channels[:, 0]) if scaled.dtype == torch.uint8 else channels.amin(dim=1)
        placed = fill.view(-1, *[1] * len(self.grid)).repeat(1, *self.grid)
        placed[(slice(None), *self._window())] = scaled
        return placed

    def mask_on_grid(self, mask: Tensor) -> Tensor:
        """uint8 of shape own -> grid; 0 in the margin."""
        placed = torch.zeros(self.grid, dtype=mask.dtype)
        placed[self._window()] = functional.interpolate(
            mask[None, None], size=self.inner, mode="nearest-exact"
        )[0, 0]
        return placed

    def to_own(self, maps: Tensor) -> Tensor:
        """Smooth maps of shape (maps, *grid) at the image's own size: float32 of shape (maps, *own)."""
        return _scaled(maps[(slice(None), *self._window())].float(), self.own)

    def _window(self) -> tuple[slice, ...]:
        return tuple(
            slice(first, first + length) for first, length in zip(self.start, self.inner, strict=True)
        )


def _scaled(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(channels, ...) at another shape, linearly with anti-aliasing, in its own type."""
    if tuple(values.shape[1:]) == shape:
        return values
    if len(shape) == 2:
        return _scaled_2d(values[None], shape)[0]
    # torch anti-aliases in two dimensions: rows and columns first, then slices.
    planes = _scaled_2d(values, shape[1:])
    return _scaled_2d(planes.transpose(1, 2), (shape[0], shape[2])).transpose(1, 2).contiguous()


def _scaled_2d(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    return functional.interpolate(values, size=shape, mode="bilinear", antialias=True)
