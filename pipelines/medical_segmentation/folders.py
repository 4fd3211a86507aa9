"""A folder of images as rows of a manifest: pairs of image and mask by name, images alone, or DICOM series.

Pairs lie in two folders (images and masks, images and labels, imagesTr and labelsTr); an image is a picture, a NIfTI
volume or a folder of DICOM slices, its mask a file of the same name or, for a series, a folder of pictures.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.medical_segmentation.files import kind_of, slices_in, stem_of, visible
from shared.errors import RequestError

_PAIRS = (("images", ("masks", "labels")), ("imagesTr", ("labelsTr",)))
# nnU-Net numbers the channels of an image, and not of its labels.
_FIRST_CHANNEL = re.compile(r"_0000$")
# A repeated group that repeats inside can take hours to fail on one short name.
_EXPLOSIVE = re.compile(r"[+*}]\)[+*{]")
_NUM_NAMED = 5
Row = dict[str, Any]


def folder_rows(folder: Path) -> list[Row]:
    """case, image and mask (None where there is none) of all images in a folder, by name; paths relative to it.

    Raises RequestError for images without mask and masks without image, and for a folder without images.
    """
    for images, masks in _PAIRS:
        if (folder / images).is_dir():
            drawn = next((folder / name for name in masks if (folder / name).is_dir()), None)
            return pair_rows(folder / images, drawn, folder)
    if slices_in(folder):
        return [image_row(folder, folder)]
    return pair_rows(folder, None, folder)


def pair_rows(images: Path, masks: Path | None, root: Path, prefix: str = "") -> list[Row]:
    """As `folder_rows`, of two folders below root. prefix: of the names of cases."""
    found = _by_stem(path for path in visible(images) if kind_of(path) and not _is_plain_folder(path))
    if not found:
        raise RequestError(
            f"Expected images in {images}: pictures, NIfTI volumes, folders of DICOM slices, or pairs in images/ and "
            "masks/. Received none: name a manifest of your files."
        )
    drawn = _by_stem(visible(masks)) if masks is not None else {}
    if masks is not None and not set(found) & set(drawn):
        found = {_FIRST_CHANNEL.sub("", stem): path for stem, path in found.items()}
    if masks is not None:
        _require_partners(found, drawn, images, masks)
    return [
        image_row(path, root, f"{prefix}{stem}") | {"mask": _relative(drawn[stem], root) if drawn else None}
        for stem, path in found.items()
    ]


def image_row(path: Path, root: Path, case: str | None = None) -> Row:
    """The row of one image without a mask."""
    return {"case": case or stem_of(path), "image": _relative(path, root), "mask": None}


def patients_of(images: Sequence[str], pattern: str) -> list[str]:
    """The patient in each path, by `data.patient_pattern`. Raises RequestError for a bad pattern or no match."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise RequestError(
            f"data.patient_pattern: Expected a regular expression. Received {pattern!r}: {error}."
        ) from error
    if expression.groups != 1 or _EXPLOSIVE.search(pattern):
        raise RequestError(
            "data.patient_pattern: Expected one group, which is the patient, and nothing repeated within a repetition. "
            f"Received {pattern!r}. For example '^images/(p[0-9]+)_'."
        )
    found = [expression.search(image) for image in images]
    missing = [image for image, match in zip(images, found, strict=True) if match is None or not match[1]]
    if missing:
        raise RequestError(
            f"Expected {pattern!r} to find a patient in every path. Received {len(missing):,} without one: "
            f"{', '.join(missing[:_NUM_NAMED])}."
        )
    return [match[1] for match in found if match is not None]


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in found:
            raise RequestError(
                f"Expected one file called {stem} in {path.parent}. Received {found[stem].name} and {path.name}."
            )
        found[stem] = path
    return found


def _require_partners(found: dict[str, Path], drawn: dict[str, Path], images: Path, masks: Path) -> None:
    alone, extra = sorted(set(found) - set(drawn)), sorted(set(drawn) - set(found))
    if alone or extra:
        wrong = [
            f"{len(names):,} in {place.name} without partner ({', '.join(names[:_NUM_NAMED])})"
            for names, place in ((alone, images), (extra, masks))
            if names
        ]
        raise RequestError(
            f"Expected a mask for each image by the same name in {images.parent}. Received {' and '.join(wrong)}."
        )


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not slices_in(path)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
