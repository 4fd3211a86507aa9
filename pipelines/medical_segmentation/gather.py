"""Cases put on the grid of the network one by one, so that memory is that of the grids and not that of the files."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch.nn import functional

from pipelines.medical_segmentation.cases import NO_GRADE, THUMBNAIL, Cases
from pipelines.medical_segmentation.config import ImageConfig
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.intensity import Fingerprint
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study
from shared.contracts.refused import Refused

# As many values as a thumbnail of a picture has.
_VOLUME_THUMBNAIL = (8, 8, 9)


def gather_cases(
    studies: Iterable[Study | Refused],
    labels: Labels,
    config: ImageConfig,
    num_studies: int,
    spacing_mm: tuple[float, ...] | None = None,
) -> Cases:
    """Cases that can be used; the others are in `Cases.refused`.

    num_studies: how many there are at most. spacing_mm: of the grid of volumes, where the configuration names none
    (`data.median_spacing`). All images must be of the form of the first: pictures or volumes, colour or grey.
    """
    builder = _Builder(labels, config, num_studies, config.spacing_mm or spacing_mm)
    for study in studies:
        builder.add(study)
    return builder.cases()


def placed(
    study: Study, config: ImageConfig, spacing_mm: tuple[float, ...] | None
) -> tuple[Frame, torch.Tensor]:
    """How a study lies on the grid of networks, and its image there: for training and scoring alike.

    spacing_mm: of the grid of volumes. The image is (channels, *grid), uint8 or float32 in the unit of the file.
    """
    if len(study.shape) == 3:
        frame = Frame.spaced(study.shape, study.spacing_mm, spacing_mm)
    elif config.scale == "own":
        frame = Frame.spaced(study.shape, None, None)
    else:
        frame = Frame.square(study.shape, config.size)
    return frame, frame.image_on_grid(_tensor(study.pixels))


class _Flat:
    """Values one after another, in memory that is taken only as far as it is written."""

    def __init__(self, dtype: np.dtype, capacity: int) -> None:
        self._held, self._used = np.empty(capacity, dtype=dtype), 0

    def append(self, values: np.ndarray) -> None:
        end = self._used + values.size
        if end > len(self._held):
            grown = np.empty(2 * end, dtype=self._held.dtype)
            grown[: self._used] = self._held[: self._used]
            self._held = grown
        self._held[self._used : end] = values.reshape(-1)
        self._used = end

    def joined(self) -> np.ndarray:
        return self._held[: self._used]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """What is kept of a study beside its pixels."""

    study: Study
    frame: Frame
    num_pixels: np.ndarray
    fingerprint: Fingerprint
    thumbnail: np.ndarray

    @classmethod
    def of(cls, study: Study, drawn: np.ndarray, frame: Frame, image: torch.Tensor) -> Self:
        return cls(
            # Not a view of length 0: that would keep the whole image.
            study=replace(study, pixels=np.zeros(0), mask=None if study.mask is None else np.zeros(0)),
            frame=frame,
            num_pixels=np.bincount(drawn.reshape(-1), minlength=len(study.labels) + 1)[1:],
            fingerprint=Fingerprint.of(study),
            thumbnail=_thumbnail(image, frame),
        )


class _Builder:
    """Gathers what `Cases` is made of."""

    def __init__(
        self, labels: Labels, config: ImageConfig, num_studies: int, spacing_mm: tuple[float, ...] | None
    ) -> None:
        self._labels, self._config, self._num, self._spacing = labels, config, num_studies, spacing_mm
        self._images, self._masks = _Flat(np.dtype(np.uint8), 0), _Flat(np.dtype(np.uint8), 0)
        self._form: tuple[int, int] | None = None
        self._entries: list[_Entry] = []
        self._refused: list[Refused] = []

    def add(self, study: Study | Refused) -> None:
        if isinstance(study, Refused):
            self._refused.append(study)
            return
        form = (len(study.shape), len(study.pixels))
        if self._form is not None and self._form != form:
            reason = f"Expected {described(self._form)}, as the first case. Received {described(form)}: convert one."
            self._refused.append(Refused(study.case, reason))
            return
        frame, image = placed(study, self._config, self._spacing)
        if self._form is None:
            self._form = form
            self._images = _Flat(image.numpy().dtype, self._num * image.numel())
            self._masks = _Flat(np.dtype(np.uint8), self._num * image[0].numel())
        drawn = np.zeros(study.shape, dtype=np.uint8) if study.mask is None else study.mask
        self._images.append(image.numpy())
        self._masks.append(frame.mask_on_grid(torch.from_numpy(np.ascontiguousarray(drawn))).numpy())
        self._entries.append(_Entry.of(study, drawn, frame, image))

    def cases(self) -> Cases:
        entries = self._entries
        studies = [one.study for one in entries]
        num_axes, num_channels = self._form or (2, 1)
        spacing = [study.spacing_mm or (np.nan,) * num_axes for study in studies]
        return Cases(
            names=tuple(study.case for study in studies),
            patients=tuple(study.patient for study in studies),
            modalities=tuple(study.modality for study in studies),
            parts=tuple(study.part for study in studies),
            labels=self._labels,
            num_channels=num_channels,
            images=self._images.joined(),
            masks=self._masks.joined(),
            offsets=np.cumsum([0, *(math.prod(one.frame.grid) for one in entries)], dtype=np.int64),
            frames=tuple(one.frame for one in entries),
            spacing_mm=np.array(spacing, dtype=np.float64).reshape(-1, num_axes),
            has_mask=np.array([study.mask is not None for study in studies], dtype=bool),
            num_pixels=np.array([one.num_pixels for one in entries], dtype=np.int64).reshape(
                -1, len(self._labels)
            ),
            grades=np.array(
                [NO_GRADE if study.grade is None else study.grade for study in studies], dtype=np.int64
            ),
            fingerprints=tuple(one.fingerprint for one in entries),
            thumbnails=np.array([one.thumbnail for one in entries], np.uint8).reshape(
                -1, THUMBNAIL, THUMBNAIL
            ),
            notes=_summed([study.notes for study in studies]),
            refused=tuple(self._refused),
        )


def _summed(notes: list[Mapping[str, int]]) -> tuple[str, ...]:
    """One sentence a kind of note, with all cases and pixels."""
    num_cases = Counter(note for each in notes for note in each)
    num_pixels = {note: sum(each.get(note, 0) for each in notes) for note in num_cases}
    return tuple(
        f"{note[0].upper()}{note[1:]}: {num:,} cases, {num_pixels[note]:,} pixels."
        for note, num in num_cases.items()
    )


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    """Colours as they are, in 8 bits; all else as float32, as one set may mix 8 and 16 bits."""
    return torch.from_numpy(np.ascontiguousarray(pixels if len(pixels) > 1 else pixels.astype(np.float32)))


def _thumbnail(image: torch.Tensor, frame: Frame) -> np.ndarray:
    """Grey and small, from the darkest to the brightest value: uint8 of shape (24, 24)."""
    shape = (THUMBNAIL, THUMBNAIL) if len(frame.grid) == 2 else _VOLUME_THUMBNAIL
    window = tuple(
        slice(first, first + length) for first, length in zip(frame.start, frame.inner, strict=True)
    )
    grey = image[(slice(None), *window)].float().mean(dim=0)
    if len(shape) == 2:
        small = functional.interpolate(grey[None, None], size=shape, mode="bilinear", antialias=True)[0, 0]
    else:
        small = functional.adaptive_avg_pool3d(grey[None, None], shape)[0, 0]
    low, high = small.min(), small.max()
    level = (small - low) / (high - low).clamp(min=1e-6) * 255
    return level.round().to(torch.uint8).reshape(THUMBNAIL, THUMBNAIL).numpy()


def described(form: tuple[int, int]) -> str:
    """In words, of axes and channels: pictures of 3 channels."""
    dimensions, channels = form
    return f"{'pictures' if dimensions == 2 else 'volumes'} of {channels} {'channel' if channels == 1 else 'channels'}"
