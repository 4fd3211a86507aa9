"""A DICOM series as one volume, or a single DICOM image as a picture.

Slices are ordered by where they lie along the normal of their plane, not by name or number. A volume with slices
missing, of two series, or of several frames a file is refused: its size in mL would be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.medical_segmentation.files import readable, slices_in, stem_of
from pipelines.medical_segmentation.volumes import Grid
from shared.contracts.files import check_file
from shared.errors import RequestError

if TYPE_CHECKING:
    from pydicom import Dataset

_MAX_FILE_BYTES = 2 << 30
_MAX_SLICES = 10_000
# Deflated files unpack as a whole, whatever their size.
_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")
_MODALITIES = {"CT": "CT", "MR": "MR", "US": "US", "IVUS": "US"} | dict.fromkeys(
    ("CR", "DX", "DR", "RF", "MG", "XA"), "XR"
)
_SAME_IN_A_SERIES = (
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "Modality",
)
_MAX_GAP_DEVIATION = 0.05
_TILT_NOTE = "slices do not lie straight above each other (tilted gantry)"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """values: (rows, columns) of a single image, else (slices, rows, columns) in canonical order, in the file's unit
    (CT: HU). spacing_mm: see `Study`. grid: None for a single image. stems: names of the slices in the order in
    which the grid counts them.
    """

    values: np.ndarray
    grid: Grid | None
    spacing_mm: tuple[float, ...] | None
    modality: str
    stems: tuple[str, ...]
    notes: dict[str, int]


def read_series(path: Path, root: Path, max_voxels: int) -> Series:
    """All DICOM files of a folder, or one file. Raises RequestError for what is not one series of plain slices."""
    with readable(path, "DICOM series"):
        return _series(path, root, max_voxels)


def series_spacing(path: Path, root: Path) -> tuple[float, ...] | None:
    """Spacing of a series from its headers alone, see `Series`. Raises RequestError as `read_series` does."""
    with readable(path, "DICOM series"):
        _, headers = _headers(path, root)
        if len(headers) == 1:
            return _plane_spacing(headers[0])
        order = np.argsort(_places(headers, path))
        return _grid([headers[at] for at in order]).spacing_mm


def _series(path: Path, root: Path, max_voxels: int) -> Series:
    files, headers = _headers(path, root)
    first = headers[0]
    num_voxels = len(files) * int(first.Rows) * int(first.Columns)
    if num_voxels > max_voxels:
        raise RequestError(
            f"Expected at most {max_voxels:,} voxels in {path.name}. Received {num_voxels:,}: raise data.max_voxels."
        )
    modality = _MODALITIES.get(str(first.Modality), "OTHER")
    if len(files) == 1:
        return Series(_values(files), None, _plane_spacing(first), modality, (stem_of(files[0]),), {})
    places = _places(headers, path)
    order = np.argsort(places)
    files, headers = [files[at] for at in order], [headers[at] for at in order]
    _require_even(places[order], path)
    grid = _grid(headers)
    grid.require(path.name)
    step = grid.affine[:3, 2]
    is_tilted = abs(np.dot(step, _normal(headers[0]) * (-1, -1, 1))) < 0.999 * np.linalg.norm(step)
    values = grid.to_canonical(_values(files).transpose(2, 1, 0))
    notes = {_TILT_NOTE: values.size} if is_tilted else {}
    return Series(values, grid, grid.spacing_mm, modality, tuple(stem_of(file) for file in files), notes)


def _headers(path: Path, root: Path) -> "tuple[list[Path], list[Dataset]]":
    import pydicom
    from pydicom.filereader import read_file_meta_info

    named = slices_in(path)
    if not 1 <= len(named) <= _MAX_SLICES:
        raise RequestError(f"Expected 1 to {_MAX_SLICES:,} DICOM files in {path}. Received {len(named):,}.")
    files = [check_file(file, root=root, max_bytes=_MAX_FILE_BYTES) for file in named]
    headers: list[Dataset] = []
    for file in files:
        with readable(file, "DICOM file"):
            if str(read_file_meta_info(file).TransferSyntaxUID) in _DEFLATED:
                raise RequestError(
                    f"Expected DICOM that is not deflated. Received {file.name}: export it plainly."
                )
            headers.append(pydicom.dcmread(file, stop_before_pixels=True))
            _require_plain(headers[-1], file)
    for tag in _SAME_IN_A_SERIES:
        found = {str(header.get(tag)) for header in headers}
        if len(found) > 1:
            raise RequestError(
                f"Expected one series in {path.name}. Received {len(found)} different values of {tag}: "
                "put each series into a folder of its own."
            )
    return files, headers


def _require_plain(header: "Dataset", file: Path) -> None:
    missing = [tag for tag in ("Rows", "Columns", "Modality", "BitsStored") if tag not in header]
    if missing:
        raise RequestError(f"Expected a DICOM image. Received {file.name} without {', '.join(missing)}.")
    grey = str(header.get("PhotometricInterpretation")) in ("MONOCHROME1", "MONOCHROME2")
    if int(header.get("NumberOfFrames") or 1) > 1 or int(header.get("SamplesPerPixel", 1)) != 1 or not grey:
        raise RequestError(
            f"Expected one grey image a DICOM file. Received several frames or colours in {file.name}: export single "
            "frames (enhanced formats), or pictures (colour)."
        )


def _values(files: Sequence[Path]) -> np.ndarray:
    """Rescaled values of shape (slices, rows, columns), without the first axis for one file."""
    import pydicom

    slices = []
    for file in files:
        with readable(file, "DICOM file"):
            header = pydicom.dcmread(file)
            slices.append(_rescaled(header, header.pixel_array))
    return slices[0] if len(files) == 1 else np.stack(slices)


def _rescaled(header: "Dataset", stored: np.ndarray) -> np.ndarray:
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        # Low values are white: turned over, as every viewer does.
        is_signed = bool(header.PixelRepresentation)
        stored = (
            np.asarray(-1 if is_signed else (1 << int(header.BitsStored)) - 1, dtype=stored.dtype) - stored
        )
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    if (slope, intercept) == (1.0, 0.0):
        return stored
    rescaled: np.ndarray = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return rescaled


def _vectors(header: "Dataset", tag: str, length: int) -> np.ndarray:
    value: Any = header.get(tag)
    numbers = np.array([float(each) for each in value] if value is not None else [])
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise RequestError(f"Expected {tag} in every slice. Received slices without it: where do they lie?")
    return numbers


def _normal(header: "Dataset") -> np.ndarray:
    along = _vectors(header, "ImageOrientationPatient", 6)
    normal: np.ndarray = np.cross(along[:3], along[3:])
    return normal


def _places(headers: "Sequence[Dataset]", path: Path) -> np.ndarray:
    """Where each slice lies along the normal of the first one, mm."""
    normal = _normal(headers[0])
    return np.array([_vectors(header, "ImagePositionPatient", 3) @ normal for header in headers])


def _require_even(places: np.ndarray, path: Path) -> None:
    gaps = np.diff(places)
    if gaps.min() <= 0 or gaps.max() - gaps.min() > _MAX_GAP_DEVIATION * np.median(gaps):
        raise RequestError(
            f"Expected evenly spaced slices in {path.name}. Received gaps of {gaps.min():.2f} to {gaps.max():.2f} mm: "
            "slices are missing or there twice."
        )


def _plane_spacing(header: "Dataset") -> tuple[float, float] | None:
    """Between rows and columns. A projection states the spacing at the detector (ImagerPixelSpacing): not used."""
    if header.get("PixelSpacing") is None:
        return None
    row, column = _vectors(header, "PixelSpacing", 2).tolist()
    return row, column


def _grid(headers: "Sequence[Dataset]") -> Grid:
    """Indices (column, row, slice) -> mm. DICOM counts to the left and to the back, NIfTI to the right and front."""
    first, last = headers[0], headers[-1]
    along = _vectors(first, "ImageOrientationPatient", 6)
    row_mm, column_mm = _vectors(first, "PixelSpacing", 2)
    start = _vectors(first, "ImagePositionPatient", 3)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along[:3] * column_mm, along[3:] * row_mm
    affine[:3, 2] = (_vectors(last, "ImagePositionPatient", 3) - start) / (len(headers) - 1)
    affine[:3, 3] = start
    affine[:2] *= -1
    return Grid((int(first.Columns), int(first.Rows), len(headers)), affine)
