"""One case from the files that its row of the manifest names, whatever their format, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.dicom import read_series, series_spacing
from pipelines.medical_segmentation.files import Kind, kind_of
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.masks import picture_mask, series_mask, volume_mask
from pipelines.medical_segmentation.nifti import read_nifti, read_nifti_grid
from pipelines.medical_segmentation.pictures import read_picture
from pipelines.medical_segmentation.studies import SPACING_COLUMNS, Study
from pipelines.medical_segmentation.volumes import Grid
from shared.contracts.files import check_file
from shared.errors import RequestError

_SAME_SPACING = 0.01
Row = Mapping[str, Any]


def read_study(row: Row, root: Path, labels: Labels, config: DataConfig) -> Study:
    """The case of one valid row. root: the folder of the manifest, which holds all files.

    Raises RequestError, which says what is wrong, for files that are missing, outside, damaged, larger than allowed or
    of another form, and where image, mask and row contradict each other.
    """
    path = root / row["image"]
    read = {"picture": _picture, "volume": _volume, "series": _series}[_kind(path, root)]
    study = read(row, path, root, labels, config)
    if study.pixels.dtype.kind == "f" and not np.isfinite(study.pixels).all():
        num_bad = int((~np.isfinite(study.pixels)).sum())
        raise RequestError(
            f"Expected finite values in {path.name}. Received {num_bad:,} that are missing or infinite: replace them."
        )
    _require_mask(study, row)
    return study


def read_spacing(row: Row, root: Path, config: DataConfig) -> tuple[float, ...] | None:
    """Spacing of one row's image in mm, see `Study`, from headers alone. Raises RequestError."""
    path = root / row["image"]
    kind = _kind(path, root)
    if kind == "volume":
        return _agreed(row, read_nifti_grid(path, root, config.max_voxels).spacing_mm)
    if kind == "series":
        own = series_spacing(path, root)
        return _agreed(row, own, 3 if own is not None and len(own) == 3 else 2)
    return _agreed(row, None, 2)


def _picture(row: Row, path: Path, root: Path, labels: Labels, config: DataConfig) -> Study:
    picture = read_picture(path, root, config.max_pixels)
    modality = row.get("modality") or ("RGB" if len(picture.pixels) == 3 else "OTHER")
    mask, notes = _picture_mask(row, root, labels, config)
    return _study(
        row, picture.pixels, mask, labels, modality, _agreed(row, None, 2), None, picture.notes | notes
    )


def _volume(row: Row, path: Path, root: Path, labels: Labels, config: DataConfig) -> Study:
    volume = read_nifti(path, root, config.max_voxels)
    mask = None
    if row.get("mask"):
        mask = volume_mask(
            _of_kind(root / row["mask"], "volume", root), root, volume.grid, labels, config.max_voxels
        )
    spacing, modality = _agreed(row, volume.grid.spacing_mm), row.get("modality") or "OTHER"
    return _study(row, volume.values[None], mask, labels, modality, spacing, volume.grid, {})


def _series(row: Row, path: Path, root: Path, labels: Labels, config: DataConfig) -> Study:
    series = read_series(path, root, config.max_voxels)
    if row.get("modality") not in (None, series.modality):
        raise RequestError(
            f"Expected {row['modality']}, as the manifest says. Received {series.modality} from {path.name}."
        )
    mask: np.ndarray | None = None
    notes: dict[str, int] = {}
    if row.get("mask") and series.grid is None:
        mask, notes = _picture_mask(row, root, labels, config)
    elif row.get("mask") and series.grid is not None:
        drawn = root / row["mask"]
        if drawn.is_dir():
            mask = series_mask(drawn, root, series, labels, config.max_pixels)
        else:
            mask = volume_mask(_of_kind(drawn, "volume", root), root, series.grid, labels, config.max_voxels)
    spacing = _agreed(row, series.spacing_mm, series.values.ndim)
    return _study(
        row, series.values[None], mask, labels, series.modality, spacing, series.grid, series.notes | notes
    )


def _picture_mask(
    row: Row, root: Path, labels: Labels, config: DataConfig
) -> tuple[np.ndarray | None, dict[str, int]]:
    if not row.get("mask"):
        return None, {}
    return picture_mask(_of_kind(root / row["mask"], "picture", root), root, labels, config.max_pixels)


def _study(
    row: Row,
    pixels: np.ndarray,
    mask: np.ndarray | None,
    labels: Labels,
    modality: str,
    spacing_mm: tuple[float, ...] | None,
    grid: Grid | None,
    notes: Mapping[str, int],
) -> Study:
    return Study(
        case=row["case"],
        patient=row.get("patient") or row["case"],
        pixels=pixels,
        mask=mask,
        labels=labels,
        modality=modality,
        spacing_mm=spacing_mm,
        grid=grid,
        part=row.get("part"),
        grade=row.get("grade"),
        notes=notes,
    )


def _agreed(row: Row, own: tuple[float, ...] | None, num_axes: int = 3) -> tuple[float, ...] | None:
    """The spacing of the file, else that of the manifest. Raises RequestError where they differ."""
    names = SPACING_COLUMNS[-num_axes:]
    stated = [row.get(name) for name in names]
    given = {name: value for name, value in zip(names, stated, strict=True) if value is not None}
    if own is None:
        if given and len(given) < num_axes:
            raise RequestError(
                f"Expected all of {', '.join(names)} or none. Received only {', '.join(given)}."
            )
        return tuple(map(float, given.values())) if given else None
    for name, value, found in zip(names, stated, own, strict=True):
        if value is not None and not np.isclose(value, found, rtol=_SAME_SPACING):
            raise RequestError(
                f"Expected {name} {value:g}, as the manifest says. Received {found:g} from the file: correct the one "
                "that is wrong."
            )
    return own


def _require_mask(study: Study, row: Row) -> None:
    if study.mask is None:
        return
    if study.mask.shape != study.shape:
        raise RequestError(
            f"Expected a mask of {' x '.join(map(str, study.shape))}, as its image. Received "
            f"{' x '.join(map(str, study.mask.shape))}."
        )
    promised = row.get("shows_structure")
    if promised is not None and promised != bool(study.mask.any()):
        found = "one that shows something" if study.mask.any() else "an empty one"
        raise RequestError(f"Expected a mask with shows_structure {str(promised).lower()}. Received {found}.")


def _kind(path: Path, root: Path) -> Kind:
    kind = _kind_inside(path, root)
    if kind is None:
        raise RequestError(
            f"Expected a picture (PNG, JPEG, TIFF, BMP), a NIfTI volume or DICOM. Received {path.name}."
        )
    return kind


def _of_kind(path: Path, wanted: str, root: Path) -> Path:
    if _kind_inside(path, root) != wanted:
        raise RequestError(f"Expected a {wanted} as mask, like its image. Received {path.name}.")
    return path


def _kind_inside(path: Path, root: Path) -> Kind | None:
    """Judged before anything outside the root is even looked at."""
    if path.is_dir() and path.resolve().is_relative_to(root.resolve()):
        return "series"
    return kind_of(check_file(path, root=root))
