"""How structures, sizes, grades and shares are written where people read them."""

import math
from collections.abc import Mapping
from typing import Any

from shared.publishing.blocks import estimate, interval, show

READERS = (
    "For radiology and endoscopy research groups that measure structures in images: which measurements can be used, "
    "and which cases somebody must look at first."
)
NOT_A_MEDICAL_DEVICE = (
    "Not a medical device. It was not approved for diagnosis, screening or planning of treatment; people who can read "
    "such images decide."
)
UNITS = {"mm2": "mm²", "mL": "mL", "pixels": "pixels", "voxels": "voxels"}


def share(value: float | None, digits: int = 1) -> str:
    """A share as `1.2 %`; an en dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float) -> str:
    """Three digits that count, as `115` or `0.865`."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return show(round(float(value), digits))


def found_words(row: Mapping[str, Any]) -> str:
    """What was found of a structure, as `lesion 115 mm²`; row: of `segmentation_results`, not of a grade."""
    sizes = {"mm2": row["area_mm2"], "mL": row["volume_ml"], "pixels": row["num_pixels"]}
    size, unit = next((size, UNITS[unit]) for unit, size in sizes.items() if size is not None)
    return f"{row['structure']} {number(size)} {unit}"


def cell(metric: Mapping[str, Any]) -> str | None:
    """A metric with its interval below, for a table; None where it is not defined."""
    if metric["value"] is None:
        return None
    between = interval(metric)
    return estimate(metric) + (f"\n{between}" if between else "")
