"""Training batches from cases in memory: gathered, scaled and augmented on the device, without a DataLoader."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipelines.medical_segmentation.augment import Augment
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.intensity import Intensity

# Axes are padded to a multiple of this, so that every level of a U-Net for volumes can be halved.
_PATCH_STEP = 8


@dataclass(frozen=True, slots=True, eq=False)
class PictureBatches:
    """Pictures on one grid. images: uint8 or float32 (cases, C, size, size). masks: uint8 (cases, size, size).

    transfers: float32 (cases, 4, C), see `Cases.transfers`. All on one device.
    """

    images: Tensor
    masks: Tensor
    transfers: Tensor
    augment: Augment | None

    @classmethod
    def of(cls, cases: Cases, intensity: Intensity, augment: Augment | None) -> Self:
        return cls(
            torch.from_numpy(cases.pictures),
            torch.from_numpy(cases.picture_masks),
            torch.from_numpy(cases.transfers(intensity)),
            augment,
        )

    def gather(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled images, float32 (chosen, C, size, size) in channels-last memory, and masks, int64."""
        images = scaled(self.images.index_select(0, chosen), self.transfers.index_select(0, chosen))
        masks = self.masks.index_select(0, chosen)
        if self.augment is not None:
            images, masks = self.augment(images, masks)
        return images.contiguous(memory_format=channels_last(2)), masks.long()

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(
            self,
            images=self.images.to(device),
            masks=self.masks.to(device),
            transfers=self.transfers.to(device),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatches:
    """Patches of volumes or pictures of any size, drawn anew. images: (C, *grid) of each case; masks: uint8 (*grid)."""

    images: list[Tensor]
    masks: list[Tensor]
    transfers: Tensor
    augment: Augment | None
    patch: tuple[int, ...]
    foreground_share: float

    @classmethod
    def of(
        cls,
        cases: Cases,
        intensity: Intensity,
        augment: Augment | None,
        patch: tuple[int, ...],
        foreground_share: float,
    ) -> Self:
        return cls(
            [torch.from_numpy(cases.image(case)) for case in range(cases.num_cases)],
            [torch.from_numpy(cases.mask(case)) for case in range(cases.num_cases)],
            torch.from_numpy(cases.transfers(intensity)),
            augment,
            patch,
            foreground_share,
        )

    def gather(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled patches, float32 (chosen, C, *patch) in channels-last memory, and their masks, int64."""
        cut = [self._patch(int(case)) for case in chosen]
        images, masks = torch.stack([image for image, _ in cut]), torch.stack([mask for _, mask in cut])
        if self.augment is not None:
            images, masks = self.augment(images, masks)
        return images.contiguous(memory_format=channels_last(len(self.patch))), masks.long()

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(
            self,
            images=[image.to(device) for image in self.images],
            masks=[mask.to(device) for mask in self.masks],
            transfers=self.transfers.to(device),
        )

    def _patch(self, case: int) -> tuple[Tensor, Tensor]:
        image, mask = self.images[case], self.masks[case]
        window = self._window(mask)
        values = scaled(image[(slice(None), *window)][None], self.transfers[case : case + 1])[0]
        padded, drawn = (
            values.new_full((len(values), *self.patch), float(values.min())),
            mask.new_zeros(self.patch),
        )
        inside = tuple(slice(0, one.stop - one.start) for one in window)
        padded[(slice(None), *inside)], drawn[inside] = values, mask[window]
        return padded, drawn

    def _window(self, mask: Tensor) -> tuple[slice, ...]:
        """Where a patch is cut; around a structure for a share of them. Volumes smaller than the patch are whole."""
        room = [max(0, size - edge) for size, edge in zip(mask.shape, self.patch, strict=True)]
        starts = [int(torch.randint(free + 1, ())) for free in room]
        if float(torch.rand(())) < self.foreground_share:
            drawn = mask.nonzero()
            if len(drawn):
                centre = drawn[int(torch.randint(len(drawn), ()))]
                starts = [
                    min(max(0, int(place) - edge // 2), free)
                    for place, edge, free in zip(centre, self.patch, room, strict=True)
                ]
        return tuple(
            slice(start, min(start + edge, size))
            for start, edge, size in zip(starts, self.patch, mask.shape, strict=True)
        )


def channels_last(dimensions: int) -> torch.memory_format:
    """The memory order in which convolutions over so many axes are fastest, most of all in bf16."""
    return torch.channels_last if dimensions == 2 else torch.channels_last_3d


def scaled(images: Tensor, transfers: Tensor) -> Tensor:
    """Values as networks see them, float32; images: (B, C, ...) as stored, transfers: (B, 4, C)."""
    low, high, mean, std = (part.view(*part.shape, *[1] * (images.ndim - 2)) for part in transfers.unbind(1))
    return (images.float().clamp(low, high) - mean) / std


def patch_of(cases: Cases, chosen: np.ndarray, largest: int = 64) -> tuple[int, ...]:
    """Edges of training patches: the median size of some volumes, at most `largest`, up to multiples of 8."""
    median = np.median([cases.frames[case].grid for case in chosen], axis=0)
    steps = np.ceil(np.minimum(median, largest) / _PATCH_STEP).astype(int)
    return tuple((steps * _PATCH_STEP).tolist())
