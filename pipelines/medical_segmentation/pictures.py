"""Pictures (PNG, JPEG, TIFF, BMP) as they are stored: nothing is turned, scaled or converted silently.

A picture that its EXIF data turn is refused, with or without a mask: programs differ in whether they draw on the stored
or on the turned pixels, and a mask on the wrong ones looks plausible. Resolutions that pictures state (72 dpi) are
those of a printer, not of a body: spacing comes from the manifest.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.medical_segmentation.files import readable
from shared.contracts.files import check_file
from shared.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_GREY, _COLOUR, _SEEN_THROUGH = ("1", "L", "I;16", "I;16B", "I;16L", "I", "F"), ("RGB",), ("LA", "PA", "RGBA")
_EXIF_ORIENTATION = 0x0112
_OPAQUE = 255
_DEPTH_NOTE = "16-bit colours were read in 8 bits"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """pixels: (channels, rows, columns) with 1 or 3 channels, uint8, uint16, int32 or float32.

    is_lossy: stored as JPEG. notes: see `Study`.
    """

    pixels: np.ndarray
    is_lossy: bool
    notes: dict[str, int] = field(default_factory=dict)


def read_picture(path: Path, root: Path, max_pixels: int) -> Picture:
    """A grey or a colour image. Raises RequestError for other files, also for those that are larger than they look."""
    with _opened(path, root, max_pixels) as (image, notes):
        return Picture(_pixels(image, path, of_mask=False), image.format == "JPEG", notes)


def read_label_picture(path: Path, root: Path, max_pixels: int) -> Picture:
    """A mask: of one channel, and with the indices where it has a palette. Raises RequestError for other files."""
    with _opened(path, root, max_pixels) as (image, _):
        pixels = _pixels(image, path, of_mask=True)
        lossy = image.format == "JPEG"
    if len(pixels) > 1 and (pixels[1:] != pixels[0]).any():
        raise RequestError(
            f"Expected one value a pixel in the mask {path.name}. Received colours: write the number of the structure "
            "instead."
        )
    return Picture(pixels[:1], lossy)


@contextmanager
def _opened(path: Path, root: Path, max_pixels: int) -> "Iterator[tuple[Image, dict[str, int]]]":
    """The checked file, decoded, and what decoding lost. Its header is judged before its pixels are."""
    from PIL import Image

    checked = check_file(path, root=root)
    with readable(path, "picture"), warnings.catch_warnings():
        # Its own limit for warnings is below ours.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(checked, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise RequestError(
                    f"Expected at most {max_pixels:,} pixels in {path.name}. Received {image.width:,} x "
                    f"{image.height:,}: cut it, or raise data.max_pixels."
                )
            notes = {_DEPTH_NOTE: image.width * image.height} if _loses_depth(image) else {}
            _require_upright(image, path)
            _require_one_page(image, path)
            image.load()
            yield image, notes


def _require_upright(image: "Image", path: Path) -> None:
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    if orientation != 1:
        raise RequestError(
            f"Expected pixels stored upright in {path.name}. Received an EXIF orientation of {orientation}: turn the "
            "picture and remove the entry (magick mogrify -auto-orient), and check that its mask fits."
        )


def _require_one_page(image: "Image", path: Path) -> None:
    """Without counting them: files may claim millions."""
    try:
        image.seek(1)
    except EOFError:
        image.seek(0)
    else:
        raise RequestError(
            f"Expected one picture in {path.name}. Received several pages: write each to a file."
        )


def _pixels(image: "Image", path: Path, *, of_mask: bool) -> np.ndarray:
    if image.mode in _SEEN_THROUGH or "transparency" in image.info:
        image = _without_alpha(image, path, of_mask=of_mask)
    elif image.mode == "P" and not of_mask:
        image = image.convert("RGB")
    if image.mode not in (*_GREY, *_COLOUR) and not (of_mask and image.mode == "P"):
        raise RequestError(
            f"Expected a grey or an RGB picture. Received {path.name} in {image.mode}: convert it to RGB."
        )
    values = np.asarray(image)
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    # Big-endian TIFF files come in the order of their bytes.
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(values[None] if values.ndim == 2 else values.transpose(2, 0, 1))


def _without_alpha(image: "Image", path: Path, *, of_mask: bool) -> "Image":
    if image.mode == "P" and of_mask:
        return image
    full = image.convert("RGBA")
    if np.asarray(full.getchannel("A")).min() < _OPAQUE:
        raise RequestError(
            f"Expected opaque pixels in {path.name}. Received transparent ones: flatten the picture."
        )
    return full.convert("L" if image.mode == "LA" or image.mode == "L" else "RGB")


def _loses_depth(image: "Image") -> bool:
    """Pillow keeps the upper half of 16-bit colours; only its raw mode tells, and only before decoding."""
    return image.mode == "RGB" and any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
