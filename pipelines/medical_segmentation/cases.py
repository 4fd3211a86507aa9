"""Cases in memory as training reads them: on the grid of the network, with what leads back to the files.

10,000 colour pictures of any size take 2.6 GB at 256 pixels, 0.66 GB at 128. Values stay those of the file (colours in
8 bits, all else as float32); `intensity` scales them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.medical_segmentation.config import ImageConfig
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.intensity import Fingerprint, Intensity
from pipelines.medical_segmentation.labels import Labels
from shared.contracts.refused import Refused
from shared.errors import RequestError

NO_GRADE = -1
THUMBNAIL = 24
_NUM_REASONS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Cases that can be used, one entry each in every field, in the order of reading.

    images: uint8 (colours) or float32, in the unit of the files, and masks: uint8, numbers of `labels`; both flat, one
    case after another (see `image`, `mask`, `pictures`). offsets: int64 of shape (cases + 1,), first pixel of each in
    `masks`, and the end. frames: how files lie on the grid. spacing_mm: float64 of shape (cases, axes), of the files,
    NaN where unknown. has_mask: bool. num_pixels: int64 of shape (cases, structures), at the size of the files. grades:
    int64, -1 where unknown. parts: train, test or None. thumbnails: uint8 of shape (cases, 24, 24). notes: in words,
    what a reader of results should know. refused: what could not be used.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    modalities: tuple[str, ...]
    parts: tuple[str | None, ...]
    labels: Labels
    num_channels: int
    images: np.ndarray
    masks: np.ndarray
    offsets: np.ndarray
    frames: tuple[Frame, ...]
    spacing_mm: np.ndarray
    has_mask: np.ndarray
    num_pixels: np.ndarray
    grades: np.ndarray
    fingerprints: tuple[Fingerprint, ...]
    thumbnails: np.ndarray
    notes: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()

    def require(self) -> Self:
        """These cases. Raises RequestError with the first reasons where none can be used."""
        if not self.names:
            reasons = map(str, self.refused[:_NUM_REASONS])
            raise RequestError("\n".join(["Expected images that can be used. Received none.", *reasons]))
        return self

    @property
    def num_cases(self) -> int:
        return len(self.names)

    @property
    def dimensions(self) -> int:
        """2 for pictures, 3 for volumes."""
        return len(self.frames[0].grid)

    @property
    def patient_of_case(self) -> np.ndarray:
        """Number of the patient of each case, int64 of shape (cases,), in the order of their names."""
        return np.unique(np.array(self.patients), return_inverse=True)[1].astype(np.int64)

    @property
    def pictures(self) -> np.ndarray:
        """All pictures, (cases, channels, size, size); a view. For volumes see `image`."""
        assert len({frame.grid for frame in self.frames}) == 1, "cases differ in shape"
        return self.images.reshape(self.num_cases, self.num_channels, *self.frames[0].grid)

    @property
    def picture_masks(self) -> np.ndarray:
        """Masks of all pictures, uint8 of shape (cases, size, size); a view."""
        assert len({frame.grid for frame in self.frames}) == 1, "cases differ in shape"
        return self.masks.reshape(self.num_cases, *self.frames[0].grid)

    def image(self, case: int) -> np.ndarray:
        """One case on its grid, (channels, *grid); a view."""
        start, end = self.offsets[case : case + 2] * self.num_channels
        return self.images[start:end].reshape(self.num_channels, *self.frames[case].grid)

    def mask(self, case: int) -> np.ndarray:
        """Its mask, uint8 of shape grid; a view. Zeros where nobody drew one."""
        start, end = self.offsets[case : case + 2]
        return self.masks[start:end].reshape(self.frames[case].grid)

    def fit_intensity(self, cases: np.ndarray, config: ImageConfig) -> Intensity:
        """The scale of values that some cases, those of training, give."""
        return Intensity.fit(
            [self.fingerprints[n] for n in cases], [self.modalities[n] for n in cases], config
        )

    def transfers(self, intensity: Intensity) -> np.ndarray:
        """Clip and scale of every case, see `Intensity.transfer`: float32 of shape (cases, 4, channels)."""
        pairs = zip(self.fingerprints, self.modalities, strict=True)
        return np.stack([intensity.transfer(fingerprint, modality) for fingerprint, modality in pairs])
