"""Which format a file is of, by its name, and damaged files in one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from shared.errors import RequestError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
VOLUME_SUFFIXES = (".nii", ".nii.gz")
SLICE_SUFFIXES = (".dcm", ".dicom", ".ima")
Kind = Literal["picture", "volume", "series"]
_MAX_REASON = 200
_DICOM_MARK = (128, b"DICM")


def kind_of(path: Path) -> Kind | None:
    """What an image is by its name; a folder and a DICOM file, which may have any name, are a series."""
    name = path.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return "picture"
    if name.endswith(VOLUME_SUFFIXES):
        return "volume"
    return "series" if path.is_dir() or name.endswith(SLICE_SUFFIXES) or is_dicom(path) else None


def stem_of(path: Path) -> str:
    """The name without its format: case_07 of case_07.nii.gz. Folders keep their whole name."""
    name = path.name
    if path.is_dir():
        return name
    known = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES, *SLICE_SUFFIXES)
    suffix = max((suffix for suffix in known if name.lower().endswith(suffix)), key=len, default="")
    return name[: len(name) - len(suffix)] if suffix else name


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM after its preamble."""
    place, mark = _DICOM_MARK
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(place + len(mark))[place:] == mark


def slices_in(folder: Path) -> list[Path]:
    """The DICOM files of a folder by name, or the file itself."""
    return [each for each in visible(folder) if is_dicom(each)] if folder.is_dir() else [folder]


def visible(folder: Path) -> list[Path]:
    """Entries of a folder by name, without those that systems hide there (.DS_Store, ._image.png, Thumbs.db)."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() != "thumbs.db"
    )


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Whatever a decoder says of a damaged file, in one line that names it; decoders raise errors of every kind."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RequestError(
            f"Expected a readable {what}. Received {path.name}: {reason[0][:_MAX_REASON].rstrip('.')}."
        ) from error
