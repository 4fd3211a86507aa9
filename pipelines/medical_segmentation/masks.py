"""Masks from files to numbers of structures, and from numbers back to a file that fits the image."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.medical_segmentation.dicom import Series
from pipelines.medical_segmentation.files import VOLUME_SUFFIXES, kind_of, stem_of, visible
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.nifti import read_nifti, write_nifti
from pipelines.medical_segmentation.pictures import Picture, read_label_picture
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.volumes import Grid, same_place
from shared.data.files import atomic_write
from shared.errors import RequestError

THRESHOLD = 127
THRESHOLD_NOTE = f"masks stored as JPEG were cut at {THRESHOLD}"
# Compression blurs borders; between the ends lies little of a mask, and much of a picture.
_MIDDLE = (64, 192)
_MAX_MIDDLE_SHARE = 0.02


def picture_mask(
    path: Path, root: Path, labels: Labels, max_pixels: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of structures, uint8 of shape (rows, columns), and what was read otherwise than stored.

    Raises RequestError for a lossy mask that is no clean drawing in two values, and as `Labels.encode` does.
    """
    picture = read_label_picture(path, root, max_pixels)
    if not picture.is_lossy:
        return labels.encode(picture.pixels[0]), {}
    _require_two_ends(picture, labels, path)
    is_structure = picture.pixels[0] > THRESHOLD
    num_changed = int(np.count_nonzero(picture.pixels[0] != np.where(is_structure, 255, 0)))
    return is_structure.astype(np.uint8), {THRESHOLD_NOTE: num_changed} if num_changed else {}


def volume_mask(path: Path, root: Path, grid: Grid, labels: Labels, max_voxels: int) -> np.ndarray:
    """Numbers of structures in canonical order, uint8. grid: of the image. Raises RequestError for another place."""
    volume = read_nifti(path, root, max_voxels)
    if not same_place(grid, volume.grid):
        raise RequestError(
            f"Expected the mask {path.name} on the voxels of its image ({_described(grid)}). Received "
            f"{_described(volume.grid)}: resample it onto the image."
        )
    return labels.encode(volume.values)


def series_mask(path: Path, root: Path, series: Series, labels: Labels, max_pixels: int) -> np.ndarray:
    """From one picture a slice, called as the slice's file; uint8 in canonical order.

    Raises RequestError for slices without a picture and pictures without a slice.
    """
    pictures = {stem_of(file): file for file in visible(path) if kind_of(file) == "picture"}
    if set(pictures) != set(series.stems):
        missing, extra = sorted(set(series.stems) - set(pictures)), sorted(set(pictures) - set(series.stems))
        raise RequestError(
            f"Expected one mask a slice in {path.name}, called as the slice. Received none of {_listed(missing)}, and "
            f"{_listed(extra)} beyond."
        )
    assert series.grid is not None, "a single image has a single mask"
    columns, rows, _ = series.grid.shape
    drawn = [picture_mask(pictures[stem], root, labels, max_pixels)[0] for stem in series.stems]
    wrong = next((mask.shape for mask in drawn if mask.shape != (rows, columns)), None)
    if wrong is not None:
        raise RequestError(f"Expected masks of {rows} x {columns} pixels in {path.name}. Received {wrong}.")
    return series.grid.to_canonical(np.stack(drawn).transpose(2, 1, 0))


def write_mask(path: Path, mask: np.ndarray, study: Study) -> None:
    """A mask as the file that belongs to the study's image: PNG for pictures, NIfTI at the same place for volumes.

    mask: uint8 numbers of structures, of the study's shape. Raises RequestError for another format or shape.
    """
    suffixes = (".png",) if study.grid is None else VOLUME_SUFFIXES
    if mask.shape != study.shape or not path.name.lower().endswith(suffixes):
        raise RequestError(
            f"Expected a mask of shape {study.shape} in a file *{' or *'.join(suffixes)}. Received {mask.shape} for "
            f"{path.name}."
        )
    values = study.labels.decode(mask, brightest=study.grid is None)
    if study.grid is not None:
        write_nifti(path, values, study.grid)
        return
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(values).save(encoded, format="PNG", compress_level=6)
    atomic_write(path, encoded.getvalue())


def _require_two_ends(picture: Picture, labels: Labels, path: Path) -> None:
    low, high = _MIDDLE
    values = picture.pixels[0]
    share = float(((values >= low) & (values < high)).mean())
    if len(labels) > 1 or share > _MAX_MIDDLE_SHARE or (values.any() and values.max() < high):
        raise RequestError(
            f"Expected a mask without loss. Received {path.name}, a JPEG in which {share:.1%} of the pixels are "
            f"neither black nor white, for {len(labels)} structures: save it as PNG."
        )


def _described(grid: Grid) -> str:
    spacing = " x ".join(f"{step:.3g}" for step in grid.spacing_mm)
    corner = ", ".join(f"{place:.1f}" for place in grid.canonical_affine[:3, 3])
    return f"{' x '.join(map(str, grid.shape))}, {spacing} mm, from {corner}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"
