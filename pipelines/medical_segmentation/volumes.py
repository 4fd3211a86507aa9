"""Where the voxels of a volume lie in the patient, and the way from a file's order to one order for all and back.

Files store axes in any order and direction, and say by an affine where voxels lie (in mm; first axis to the right,
second to the front, third to the head: RAS). Computing happens in one order: slices to the head, rows to the front,
columns to the right. Axes are exchanged and reversed, never resampled: the way back is exact.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from shared.errors import RequestError

_MAX_OFF_VOXELS = 0.1
_SMALLEST_MM, _LARGEST_MM = 1e-4, 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels of a file. shape: as stored; affine: float64 of shape (4, 4), index -> mm (RAS).

    code: what the axes refer to, as NIfTI counts (1 scanner, 2 aligned, 3 and 4 atlases, 0 not stated).
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    code: int = 1

    @property
    def canonical_affine(self) -> np.ndarray:
        """Index in the order (column, row, slice) of the canonical volume -> mm."""
        from nibabel.orientations import inv_ornt_aff

        placed: np.ndarray = self.affine @ inv_ornt_aff(self._orientation(), self.shape)
        return placed

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices, rows and columns of the canonical volume; between slices along their normal.

        So the product is the size of a voxel also where a tilted gantry sheared the slices against each other.
        """
        column, row, _ = np.linalg.norm(self.canonical_affine[:3, :3], axis=0).tolist()
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / (row * column), row, column

    def to_canonical(self, stored: np.ndarray) -> np.ndarray:
        """Stored voxels of shape `shape` as (slices, rows, columns)."""
        from nibabel.orientations import apply_orientation

        ordered: np.ndarray = apply_orientation(stored, self._orientation())
        return np.ascontiguousarray(ordered.transpose(2, 1, 0))

    def from_canonical(self, volume: np.ndarray) -> np.ndarray:
        """The inverse of `to_canonical`."""
        from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

        back = ornt_transform(axcodes2ornt("RAS"), self._orientation())
        stored: np.ndarray = apply_orientation(volume.transpose(2, 1, 0), back)
        assert stored.shape == self.shape, f"{stored.shape} is not the grid's {self.shape}"
        return stored

    def require(self, name: str) -> None:
        """Raises RequestError for an affine that places voxels nowhere, or all in one plane."""
        is_finite = bool(np.isfinite(self.affine).all())
        steps = np.linalg.norm(self.affine[:3, :3], axis=0) if is_finite else np.zeros(3)
        if steps.min() < _SMALLEST_MM or steps.max() > _LARGEST_MM or _flatness(self.affine, steps) < 1e-3:
            raise RequestError(
                f"Expected voxels of {_SMALLEST_MM:g} to {_LARGEST_MM:g} mm with three different axes in {name}. "
                f"Received the affine {np.round(self.affine[:3], 3).tolist()}: its header is damaged."
            )

    def _orientation(self) -> np.ndarray:
        from nibabel.orientations import io_orientation

        orientation: np.ndarray = io_orientation(self.affine)
        return orientation


def same_place(first: Grid, second: Grid) -> bool:
    """Whether two volumes have the same voxels at the same places, whatever the order in which each is stored."""
    shapes = [np.array(grid.shape)[_order(grid)] for grid in (first, second)]
    if not np.array_equal(*shapes):
        return False
    corners = np.array([[*corner, 1] for corner in product(*[(0, size - 1) for size in shapes[0]])])
    away = corners @ (first.canonical_affine - second.canonical_affine).T
    return float(np.abs(away).max()) < _MAX_OFF_VOXELS * min(first.spacing_mm)


def _order(grid: Grid) -> np.ndarray:
    """For each canonical axis (column, row, slice) the stored one."""
    order: np.ndarray = np.argsort(grid._orientation()[:, 0])
    return order


def _flatness(affine: np.ndarray, steps: np.ndarray) -> float:
    """Volume of a voxel against that of a box with the same edges: 1 for right angles, 0 for a plane."""
    return float(abs(np.linalg.det(affine[:3, :3])) / np.prod(steps))
