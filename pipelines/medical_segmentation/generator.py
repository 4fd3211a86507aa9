"""Made-up patients with images and the truth about them: where lesions lie, how large they are, how faint.

A patient has a tissue of its own colour, a spacing, and how much lesions differ from it; some patients have none.
Lesions are drawn from tiny ones to a third of the field. The grade of a case follows from the size of its lesions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.phantoms import Scene, colour_picture, grey_picture, lesion_depth
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.volumes import Grid

STRUCTURES = ("lesion", "core")
# Sizes from which on a case has the next grade: mm2 of images, mL of volumes; 0 is without a lesion.
GRADES_MM2, GRADES_ML = (20.0, 80.0), (0.5, 4.0)
_HEALTHY_PATIENTS, _CLEAN_IMAGES, _SECOND_LESION = 0.15, 0.1, 0.25
# Radius as a share of the field; volumes have fewer voxels a side, and a lesion needs some.
_SMALLEST, _LARGEST = {2: 0.035, 3: 0.1}, 0.3
_IRREGULARITY = 0.12
# Large lesions have a core, which is another structure.
_CORE_FROM, _CORE_DEPTH = 0.12, 0.5
_MIN_PIXELS = 6
_BASE_COLOUR = np.array([0.95, 0.55, 0.42])
_FIELD_MM = (20.0, 40.0)
_SLICE_STEP = 2.0
# Volumes have fewer voxels a side than images have pixels.
_VOLUME_SHARES = (4, 2, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """Cases, and what is true of them.

    truth: one row for each lesion of a case: case, patient, structure, centre (slice,) row and column in pixels,
    num_pixels, size (mm2, or mL of volumes), and contrast, as a share of the brightness around.
    """

    studies: tuple[Study, ...]
    labels: Labels
    truth: pl.DataFrame


def generate(config: DataConfig, seed: int) -> Generated:
    """All images of all patients; the same arguments, the same images. 200 images of 128 pixels take under a second."""
    labels = Labels.of({name: number + 1 for number, name in enumerate(STRUCTURES[: config.num_structures])})
    digits = max(2, len(str(config.num_patients)))
    studies: list[Study] = []
    lesions: list[dict[str, Any]] = []
    for number in range(config.num_patients):
        # A generator for each patient: more patients do not change the first ones.
        rng = np.random.default_rng([seed, number])
        patient = _Patient.of(f"patient-{number + 1:0{digits}d}", config, rng)
        for image in range(config.images_per_patient):
            study, found = patient.image(f"{patient.name}-{image + 1:02d}", labels, rng)
            studies.append(study)
            lesions += found
    axes = ("slice", "row", "column")[-config.dimensions :]
    floats = dict.fromkeys((*(f"centre_{axis}" for axis in axes), "size", "contrast"), pl.Float64())
    texts = dict.fromkeys(("case", "patient", "structure"), pl.String())
    truth = pl.DataFrame(lesions, schema={**texts, "num_pixels": pl.Int64(), **floats})
    return Generated(tuple(studies), labels, truth)


@dataclass(frozen=True, slots=True, eq=False)
class _Patient:
    name: str
    scene: Scene
    base_colour: np.ndarray
    contrast: float
    is_healthy: bool
    appearance: str

    @classmethod
    def of(cls, name: str, config: DataConfig, rng: np.random.Generator) -> "_Patient":
        # The field of view, not the pixel, has a size: an image of more pixels shows the same lesions.
        step = rng.uniform(*_FIELD_MM) / config.generated_size
        if config.dimensions == 2:
            scene = Scene((config.generated_size,) * 2, (step, step))
        else:
            shape = tuple(config.generated_size // share for share in _VOLUME_SHARES)
            scene = Scene(shape, (_SLICE_STEP * 4 * step, 4 * step, 4 * step))
        return cls(
            name=name,
            scene=scene,
            base_colour=_BASE_COLOUR * np.exp(rng.normal(0, 0.12, 3)),
            contrast=config.contrast * rng.uniform(0.6, 1.4),
            is_healthy=rng.random() < _HEALTHY_PATIENTS,
            appearance=config.appearance,
        )

    def image(
        self, case: str, labels: Labels, rng: np.random.Generator
    ) -> tuple[Study, list[dict[str, Any]]]:
        """One case and its lesions."""
        depths = [] if self.is_healthy or rng.random() < _CLEAN_IMAGES else self._lesions(rng)
        cores = [depth - _CORE_DEPTH for depth in depths if self._has_core(depth)] if len(labels) > 1 else []
        mask = np.zeros(self.scene.shape, dtype=np.uint8)
        for number, drawn in enumerate((depths, cores), start=1):
            for depth in drawn:
                mask[depth > 0] = number
        rows = [self._row(case, "lesion", depth) for depth in depths] + [
            self._row(case, "core", core) for core in cores
        ]
        size = sum(row["size"] for row in rows if row["structure"] == "lesion")
        study = Study(
            case=case,
            patient=self.name,
            pixels=self._pixels(depths, cores, rng),
            mask=mask,
            labels=labels,
            modality=self._modality,
            spacing_mm=self.scene.spacing_mm,
            grid=self._grid,
            grade=_grade(size, GRADES_MM2 if len(self.scene.shape) == 2 else GRADES_ML),
        )
        return study, rows

    def _lesions(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One lesion, or two that do not touch."""
        depths: list[np.ndarray] = []
        for _ in range(2 if rng.random() < _SECOND_LESION else 1):
            smallest = _SMALLEST[len(self.scene.shape)]
            share = float(np.exp(rng.uniform(np.log(smallest), np.log(_LARGEST))))
            radius = share * self.scene.extent_mm.min()
            room = np.minimum(radius, 0.35 * self.scene.extent_mm)
            depth = lesion_depth(
                self.scene, rng.uniform(room, self.scene.extent_mm - room), radius, _IRREGULARITY, rng
            )
            touches = any(((depth > -0.3) & (other > -0.3)).any() for other in depths)
            if np.count_nonzero(depth > 0) >= _MIN_PIXELS and not touches:
                depths.append(depth)
        return depths

    def _has_core(self, depth: np.ndarray) -> bool:
        is_large = bool((depth > 0).mean() > _CORE_FROM**2)
        return is_large and int((depth > _CORE_DEPTH).sum()) >= _MIN_PIXELS

    def _row(self, case: str, structure: str, depth: np.ndarray) -> dict[str, Any]:
        inside = np.nonzero(depth > 0)
        axes = ("slice", "row", "column")[-len(inside) :]
        unit = 1.0 if len(inside) == 2 else 1e-3
        return {
            "case": case,
            "patient": self.name,
            "structure": structure,
            "num_pixels": len(inside[0]),
            "size": len(inside[0]) * float(np.prod(self.scene.spacing_mm)) * unit,
            "contrast": self.contrast,
            **{f"centre_{axis}": float(places.mean()) for axis, places in zip(axes, inside, strict=True)},
        }

    def _pixels(
        self, depths: list[np.ndarray], cores: list[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        if self._modality == "RGB":
            return colour_picture(self.scene, depths, cores, self.contrast, self.base_colour, rng)
        picture = grey_picture(self.scene, depths, cores, self.contrast, rng)
        if self._modality == "US":
            return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        # The gain of a scanner means nothing, and differs from patient to patient.
        return np.round(picture * 600 * rng.uniform(0.7, 1.5)).astype(np.int16)

    @property
    def _modality(self) -> str:
        if len(self.scene.shape) == 3:
            return "MR"
        return "RGB" if self.appearance == "colour" else "US"

    @property
    def _grid(self) -> Grid | None:
        if len(self.scene.shape) == 2:
            return None
        slices, rows, columns = self.scene.shape
        return Grid((columns, rows, slices), np.diag([*reversed(self.scene.spacing_mm), 1.0]))


def _grade(size: float, bounds: tuple[float, ...]) -> int:
    return 0 if size == 0 else 1 + int(np.searchsorted(bounds, size))
