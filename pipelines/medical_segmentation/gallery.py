"""Test cases that are shown in the report, as small pictures with masks and evidence that fit into one table.

Pictures have the resolution of the network's grid: what it saw. Volumes are cut through the middle of the structure
in three planes, turned as radiologists see them: head or front up, the patient's right on the left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.evaluate import worst_first
from pipelines.medical_segmentation.geometry import Frame

WORST, TYPICAL, BEST, REFERRED, ABSENT = "worst", "typical", "best", "referred", "absent"
RIGHT = "right"
NUM_WORST, NUM_OTHERS = 10, 4
MOST_PIXELS = 400
PICTURE = "picture"
_PLANES = ("axial", "coronal", "sagittal")
_ARRAYS = {"pixels": np.uint8, "drawn": np.uint8, "found": np.uint8, "evidence": np.float32}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One plane of a case. pixels: uint8 (rows, columns, 1 or 3). drawn, found: uint8 (rows, columns), numbers of
    structures; None where nobody drew, or looked for, any. evidence: float32 (rows, columns), None where it was not
    asked for. step: height and width of a pixel in `unit`, mm, or px of the file where the spacing is unknown."""

    case: str
    plane: str
    pixels: np.ndarray
    drawn: np.ndarray | None
    found: np.ndarray | None
    evidence: np.ndarray | None
    step: tuple[float, float]
    unit: str

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width in `unit`."""
        return self.pixels.shape[0] * self.step[0], self.pixels.shape[1] * self.step[1]

    def to_row(self) -> dict[str, Any]:
        """Plain values and bytes."""
        arrays = {
            name: None if (array := getattr(self, name)) is None else array.astype(kind).tobytes()
            for name, kind in _ARRAYS.items()
        }
        shape = dict(zip(("rows", "columns", "channels"), self.pixels.shape, strict=True))
        about = {"case": self.case, "plane": self.plane, "unit": self.unit}
        return about | shape | {"row_step": self.step[0], "column_step": self.step[1]} | arrays

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """What `to_row` gave."""
        plane = (row["rows"], row["columns"])
        arrays = {
            name: None if row[name] is None else np.frombuffer(row[name], kind)
            for name, kind in _ARRAYS.items()
        }
        pixels = arrays.pop("pixels")
        assert pixels is not None, "every picture has pixels"
        return cls(
            row["case"],
            row["plane"],
            pixels.reshape(*plane, row["channels"]),
            **{name: None if array is None else array.reshape(plane) for name, array in arrays.items()},
            step=(row["row_step"], row["column_step"]),
            unit=row["unit"],
        )


def stored(pictures: Sequence[Picture]) -> pl.DataFrame:
    """Pictures as a table, one row each."""
    texts = dict.fromkeys(("case", "plane", "unit"), pl.String())
    whole = dict.fromkeys(("rows", "columns", "channels"), pl.Int64())
    steps = dict.fromkeys(("row_step", "column_step"), pl.Float64())
    schema: dict[str, Any] = {**texts, **whole, **steps, **dict.fromkeys(_ARRAYS, pl.Binary())}
    return pl.DataFrame([picture.to_row() for picture in pictures], schema=schema)


def pictures_of(table: pl.DataFrame, cases: Sequence[str]) -> list[list[Picture]]:
    """The stored pictures of some cases, in the order asked for; of each its planes."""
    by_case: dict[str, list[Picture]] = {}
    for row in table.iter_rows(named=True):
        by_case.setdefault(row["case"], []).append(Picture.of_row(row))
    return [by_case[case] for case in cases if case in by_case]


def per_case(table: pl.DataFrame) -> pl.DataFrame:
    """One row a test case that shows a structure, in the order of `worst_first`: fold, case, patient, dice (mean over
    the structures that it shows), size_truth (sum), confidence (lowest), referred. table: see
    `predictions.predict_fold`."""
    cases = table.filter(pl.col("dice").is_not_nan()).group_by("case", maintain_order=True)
    return worst_first(
        cases.agg(
            pl.col("fold", "patient", "referred").first(),
            pl.col("dice").mean(),
            pl.col("size_truth").sum(),
            pl.col("confidence").min(),
        )
    )


def segmentation_galleries(table: pl.DataFrame) -> dict[str, list[str]]:
    """Names of the cases to show: the worst ten, the worst of which is first; about the median, and the best; referred
    ones, least sure first; and those in which most was found of what nobody drew."""
    ranked = per_case(table)
    names = ranked["case"].to_list()
    middle = max(0, len(names) // 2 - NUM_OTHERS // 2)
    absent = (
        table.filter(pl.col("dice").is_nan(), pl.col("size_found") > 0)
        .sort("size_found", descending=True, maintain_order=True)["case"]
        .unique(maintain_order=True)
    )
    referred = ranked.filter("referred").sort("confidence", maintain_order=True)["case"].to_list()
    return {
        WORST: names[:NUM_WORST],
        TYPICAL: names[middle : middle + NUM_OTHERS],
        BEST: names[::-1][:NUM_OTHERS],
        REFERRED: [name for name in referred if name not in names[:NUM_WORST]][:NUM_OTHERS],
        ABSENT: absent.head(NUM_OTHERS).to_list(),
    }


def grading_galleries(table: pl.DataFrame) -> dict[str, list[str]]:
    """Names of the cases to show: graded furthest from the truth, and of each grade the one graded most clearly."""
    off = (pl.col("mean_grade") - pl.col("grade")).abs()
    wrong = table.filter(pl.col("predicted") != pl.col("grade")).sort(
        off, descending=True, maintain_order=True
    )
    right = (
        table.filter(pl.col("predicted") == pl.col("grade"))
        .sort(off, maintain_order=True)
        .group_by("grade", maintain_order=True)
        .first()
        .sort("grade")
    )
    return {WORST: wrong["case"].head(NUM_WORST).to_list(), RIGHT: right["case"].to_list()}


def planes_of(
    cases: Cases,
    case: int,
    transfer: np.ndarray,
    found: np.ndarray | None = None,
    evidence: np.ndarray | None = None,
) -> list[Picture]:
    """The pictures of one case. transfer: see `Intensity.transfer`. found: uint8 of the file's shape. evidence: float32
    of the grid's shape."""
    frame = cases.frames[case]
    inside = frame_window(frame)
    on_grid = None if found is None else frame.mask_on_grid(torch.from_numpy(found)).numpy()
    layers: dict[str, np.ndarray | None] = {
        "pixels": levels(cases.image(case), transfer)[(slice(None), *inside)],
        "drawn": cases.mask(case)[inside][None] if cases.has_mask[case] else None,
        "found": None if on_grid is None else on_grid[inside][None],
        "evidence": None if evidence is None else evidence[inside][None],
    }
    spacing = cases.spacing_mm[case]
    unit = "px" if np.isnan(spacing).any() else "mm"
    own = np.ones(len(spacing)) if unit == "px" else spacing
    step = own * np.array(frame.own) / np.array(frame.inner)
    if cases.dimensions == 2:
        small = {name: _at_most(layer, MOST_PIXELS) for name, layer in layers.items()}
        assert small["pixels"] is not None
        step = step * frame.inner / small["pixels"].shape[1:]
        return [_picture(cases.names[case], PICTURE, small, (float(step[0]), float(step[1])), unit)]
    middle = _middle(layers["drawn"], layers["found"], frame.inner)
    pictures = []
    for axis, plane in enumerate(_PLANES):
        cut = {
            name: None if layer is None else np.flip(layer.take(middle[axis], axis=axis + 1), (1, 2))
            for name, layer in layers.items()
        }
        rows, columns = np.delete(step, axis)
        pictures.append(_picture(cases.names[case], plane, cut, (float(rows), float(columns)), unit))
    return pictures


def frame_window(frame: Frame) -> tuple[slice, ...]:
    """Where on the grid the image is; around it is a margin."""
    return tuple(slice(first, first + n) for first, n in zip(frame.start, frame.inner, strict=True))


def _picture(
    case: str, plane: str, layers: Mapping[str, np.ndarray | None], step: tuple[float, float], unit: str
) -> Picture:
    pixels = layers["pixels"]
    assert pixels is not None
    others = {
        name: layer if layer is None else layer[0] for name, layer in layers.items() if name != "pixels"
    }
    return Picture(case, plane, np.moveaxis(pixels, 0, -1), **others, step=step, unit=unit)


def _at_most(layer: np.ndarray | None, most: int) -> np.ndarray | None:
    """(channels, rows, columns) with at most so many pixels a side; single pixels are taken, so that masks stay so."""
    if layer is None or max(layer.shape[1:]) <= most:
        return layer
    places = [
        ((np.arange(num) + 0.5) * size / num).astype(int)
        for size, num in (
            (size, max(1, round(size * most / max(layer.shape[1:])))) for size in layer.shape[1:]
        )
    ]
    taken: np.ndarray = layer[:, places[0]][:, :, places[1]]
    return taken


def levels(image: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Colours as they are; all else from the lowest to the highest value that the network tells apart, in 8 bits.

    image: (channels, ...). transfer: see `Intensity.transfer`.
    """
    if image.dtype == np.uint8:
        return image
    low, high = (row.reshape(-1, *[1] * (image.ndim - 1)) for row in transfer[:2])
    share = (np.clip(image, low, high) - low) / np.maximum(high - low, 1e-6)
    return np.round(255 * share).astype(np.uint8)


def _middle(drawn: np.ndarray | None, found: np.ndarray | None, shape: tuple[int, ...]) -> list[int]:
    """The voxel in the middle of what was drawn, else of what was found, else of the volume."""
    for mask in (drawn, found):
        if mask is not None and mask.any():
            return [int(place) for place in np.argwhere(mask[0] > 0).mean(0).round()]
    return [length // 2 for length in shape]
