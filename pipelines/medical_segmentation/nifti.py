"""NIfTI volumes (NIfTI-1 and -2, one file, also gzipped) read to the length that their header promises, never further.

nibabel interprets the header; the voxels are read here, because a header that lies, or a small file that unpacks to
terabytes, must cost nothing.
"""

import gzip
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipelines.medical_segmentation.files import readable
from pipelines.medical_segmentation.volumes import Grid
from shared.contracts.files import check_file
from shared.data.files import atomic_write
from shared.errors import RequestError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

_File = gzip.GzipFile | BufferedReader
_GZIP = b"\x1f\x8b"
_HEADER_BYTES: dict[int, bytes] = {348: b"n+1\0", 540: b"n+2\0"}
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_MAX_OFFSET = 1 << 20
_MAX_ITEM_BYTES = 8
# Millimetres a unit, by the code of the header; 0 is not stated, and means millimetres everywhere.
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_CHUNK_BYTES = 1 << 24
_SAME_SPACING = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """values: (slices, rows, columns) in canonical order, see `volumes`, in the type of the file."""

    values: np.ndarray
    grid: Grid


def read_nifti(path: Path, root: Path, max_voxels: int) -> Volume:
    """One volume. Raises RequestError for another format, several frames, and a file that is cut off or lies."""
    checked = check_file(path, root=root)
    with readable(path, "NIfTI volume"), _opened(checked) as file:
        header, grid = _header(file, path, max_voxels)
        raw = _voxels(file, header, grid, path)
        slope, intercept = header.get_slope_inter()
    values = grid.to_canonical(raw)
    if slope is not None and (slope, intercept) != (1.0, 0.0):
        values = values.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0.0)
    return Volume(values, grid)


def read_nifti_grid(path: Path, root: Path, max_voxels: int) -> Grid:
    """How the voxels lie, without reading them. Raises RequestError as `read_nifti` does for the header."""
    checked = check_file(path, root=root)
    with readable(path, "NIfTI volume"), _opened(checked) as file:
        return _header(file, path, max_voxels)[1]


def write_nifti(path: Path, volume: np.ndarray, grid: Grid) -> None:
    """A canonical volume in the order and at the place that a grid states; gzipped where the name says so."""
    import nibabel as nib

    image = nib.Nifti1Image(np.asfortranarray(grid.from_canonical(volume)), grid.affine)
    image.set_sform(grid.affine, code=grid.code)
    image.set_qform(grid.affine, code=grid.code, strip_shears=True)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    # Without a time stamp the same mask is the same file.
    atomic_write(path, gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)


def _opened(path: Path) -> _File:
    """By content: compressed files are found under names of plain ones, and the other way round."""
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
    return gzip.open(path, "rb") if is_packed else path.open("rb")


def _header(file: _File, path: Path, max_voxels: int) -> "tuple[Nifti1Header, Grid]":
    import nibabel as nib

    start = file.read(max(_HEADER_BYTES))
    forms = ((size, order) for size in _HEADER_BYTES for order in _ORDERS)
    size, order = next((form for form in forms if int.from_bytes(start[:4], form[1]) == form[0]), (0, ""))
    mark = start[344:348] if size == 348 else start[4:8]
    if not size or len(start) < size or mark != _HEADER_BYTES[size]:
        raise RequestError(
            f"Expected a NIfTI volume of one file (.nii or .nii.gz). Received {path.name}, which is none."
        )
    kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
    header = kind(start[:size], endianness="<" if order == "little" else ">", check=False)
    shape = tuple(int(length) for length in header.get_data_shape())
    if not 2 <= int(header["dim"][0]) <= 7 or min(shape) < 1 or any(length != 1 for length in shape[3:]):
        raise RequestError(
            f"Expected one volume in {path.name}. Received the shape {shape}: write each frame to a file."
        )
    spatial = (*shape[:3], 1)[:3] if len(shape) == 2 else shape[:3]
    if int(np.prod(spatial, dtype=object)) > max_voxels:
        raise RequestError(
            f"Expected at most {max_voxels:,} voxels in {path.name}. Received {' x '.join(map(str, spatial))}: cut it, "
            "or raise data.max_voxels."
        )
    grid = _grid(header, spatial)
    grid.require(path.name)
    _require_one_size(header, path)
    return header, grid


def _grid(header: "Nifti1Header", shape: tuple[int, ...]) -> Grid:
    """The sform where there is one, else the qform, as nibabel and most programs choose."""
    affine = np.array(header.get_best_affine(), dtype=np.float64)
    unit_mm = _UNIT_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    affine[:3] *= unit_mm
    code = int(header["sform_code"]) or int(header["qform_code"])
    return Grid((shape[0], shape[1], shape[2]), affine, code)


def _require_one_size(header: "Nifti1Header", path: Path) -> None:
    """Two forms may place a volume in two rooms (scanner and atlas), but voxels of two sizes have no area."""
    affine, coded = header.get_best_affine(), int(header["sform_code"])
    steps, stated = np.linalg.norm(affine[:3, :3], axis=0), np.abs(header["pixdim"][1:4].astype(np.float64))
    if coded and int(header["qform_code"]) and not np.allclose(steps, stated, rtol=_SAME_SPACING):
        raise RequestError(
            f"Expected one spacing in {path.name}. Received {np.round(steps, 3).tolist()} from its sform and "
            f"{np.round(stated, 3).tolist()} from its qform: correct the header."
        )


def _voxels(file: _File, header: "Nifti1Header", grid: Grid, path: Path) -> np.ndarray:
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > _MAX_ITEM_BYTES:
        raise RequestError(f"Expected whole or real numbers in {path.name}. Received {dtype}.")
    offset = int(header["vox_offset"])
    if not 0 <= offset <= _MAX_OFFSET:
        raise RequestError(
            f"Expected voxels near the start of {path.name}. Received an offset of {offset:,} bytes."
        )
    file.seek(offset)
    promised = int(np.prod(grid.shape, dtype=np.int64)) * dtype.itemsize
    held = bytearray()
    # Memory grows with what the file has, not with what it promises.
    while len(held) < promised and (chunk := file.read(min(_CHUNK_BYTES, promised - len(held)))):
        held += chunk
    if len(held) < promised:
        raise RequestError(
            f"Expected {promised:,} bytes of voxels in {path.name}, as its header says. Received {len(held):,}: the "
            "file is cut off. Copy it again."
        )
    stored = np.frombuffer(held, dtype=dtype).reshape(grid.shape, order="F")
    return stored.astype(dtype.newbyteorder("="), copy=False)
