"""How well a mask agrees with the one that somebody drew, for one structure of one case at the size of its file.

Dice and IoU count pixels; the Hausdorff distance (95th percentile) and the normalised surface distance (Nikolov et al.
2021) measure the outline, as MONAI does. Where nobody drew the structure none of them is defined: whether it
was found all the same is counted apart. A structure that was missed wholly counts with the diagonal of the image.
"""

from dataclasses import asdict, dataclass

import numpy as np

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class CaseMetrics:
    """dice, iou, nsd: 0 to 1. hd95: mm, or pixels where the spacing is unknown. size_truth, size_found: mm2 or mL, or
    pixels. NaN but for the sizes where the structure is absent from the truth."""

    dice: float
    iou: float
    hd95: float
    nsd: float
    size_truth: float
    size_found: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def case_metrics(
    truth: np.ndarray, found: np.ndarray, spacing_mm: tuple[float, ...] | None, tolerance: float
) -> CaseMetrics:
    """truth, found: bool of one shape. tolerance: of the surface distance, in the unit of `hd95`."""
    unit = size_unit(spacing_mm)
    size_truth, size_found = float(truth.sum()) * unit, float(found.sum()) * unit
    if not truth.any():
        return CaseMetrics(NAN, NAN, NAN, NAN, size_truth, size_found)
    both = float((truth & found).sum())
    dice = 2 * both / float(truth.sum() + found.sum())
    iou = both / float((truth | found).sum())
    steps = spacing_mm or (1.0,) * truth.ndim
    if not found.any():
        diagonal = float(np.linalg.norm(np.array(truth.shape) * steps))
        return CaseMetrics(dice, iou, diagonal, 0.0, size_truth, size_found)
    hd95, nsd = _outline(truth, found, steps, tolerance)
    return CaseMetrics(dice, iou, hd95, nsd, size_truth, size_found)


def size_unit(spacing_mm: tuple[float, ...] | None) -> float:
    """Size of one pixel, mm2, or of one voxel, mL; 1 where the spacing is unknown."""
    if spacing_mm is None:
        return 1.0
    return float(np.prod(spacing_mm)) * (1e-3 if len(spacing_mm) == 3 else 1.0)


def _outline(
    truth: np.ndarray, found: np.ndarray, steps: tuple[float, ...], tolerance: float
) -> tuple[float, float]:
    """95th percentile of the distance of outlines, and the share of both within the tolerance."""
    from scipy.ndimage import binary_erosion, distance_transform_edt

    window = _around(truth | found)
    outlines = [mask[window] & ~binary_erosion(mask[window]) for mask in (truth, found)]
    # from each outline to the nearest pixel of the other one
    away = [
        distance_transform_edt(~other, sampling=steps)[own] for own, other in (outlines, reversed(outlines))
    ]
    hd95 = max(float(np.percentile(distances, 95)) for distances in away)
    return hd95, float((np.concatenate(away) <= tolerance).mean())


def _around(is_there: np.ndarray) -> tuple[slice, ...]:
    """The box that holds all, with a pixel around: outlines need no more of a large image."""
    window = []
    for axis in range(is_there.ndim):
        others = tuple(other for other in range(is_there.ndim) if other != axis)
        places = np.flatnonzero(is_there.any(axis=others))
        window.append(slice(max(0, places[0] - 1), places[-1] + 2))
    return tuple(window)
