"""Pictures of every form: read as stored, or refused in one clear message before they cost anything."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.medical_segmentation.pictures import read_label_picture, read_picture
from shared.errors import RequestError

LIMIT = 1_000_000
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]


def png_header(columns: int, rows: int) -> bytes:
    """A PNG that promises a size and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 100) + b"IDAT" + b"\0" * 20


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, mode="P")
    image.putpalette([channel for level in range(256) for channel in (level, 255 - level, 0)])
    return image


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_colours_and_greys_are_read_as_stored(write_picture, tmp_path, name):
    write_picture(tmp_path / name, COLOURS)
    assert np.array_equal(read_picture(tmp_path / name, tmp_path, LIMIT).pixels, COLOURS.transpose(2, 0, 1))
    write_picture(tmp_path / name, GREY)
    assert np.array_equal(read_picture(tmp_path / name, tmp_path, LIMIT).pixels, GREY[None])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_stay_16_bits(write_picture, tmp_path, name):
    values = (GREY.astype(np.uint16) << 8) + 7
    write_picture(tmp_path / name, values)
    pixels = read_picture(tmp_path / name, tmp_path, LIMIT).pixels
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels[0], values)


def test_big_endian_tiff_is_read_in_native_order(tmp_path):
    values = ((GREY.astype(np.uint16) << 8) + 7).astype(">u2")
    Image.frombytes("I;16B", (9, 6), values.tobytes()).save(tmp_path / "a.tif")
    pixels = read_picture(tmp_path / "a.tif", tmp_path, LIMIT).pixels
    assert pixels.dtype.isnative
    assert np.array_equal(pixels[0], values)


def test_a_float_tiff_and_a_1_bit_png_are_read(write_picture, tmp_path):
    write_picture(tmp_path / "a.tif", GREY.astype(np.float32) / 7)
    assert read_picture(tmp_path / "a.tif", tmp_path, LIMIT).pixels.dtype == np.float32
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    assert np.array_equal(
        read_label_picture(tmp_path / "a.png", tmp_path, LIMIT).pixels[0], (GREY > 127) * 255
    )


def test_a_palette_is_colour_in_an_image_and_numbers_in_a_mask(tmp_path):
    numbers = np.array([[0, 1, 2]], dtype=np.uint8)
    palette(numbers).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", tmp_path, LIMIT).pixels[:, 0, 2].tolist() == [2, 253, 0]
    assert np.array_equal(read_label_picture(tmp_path / "a.png", tmp_path, LIMIT).pixels[0], numbers)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path):
    alpha = np.full((6, 9, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([COLOURS, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(
        read_picture(tmp_path / "a.png", tmp_path, LIMIT).pixels, COLOURS.transpose(2, 0, 1)
    )
    alpha[0, 0] = 10
    Image.fromarray(np.concatenate([COLOURS, alpha], axis=2)).save(tmp_path / "a.png")
    with pytest.raises(RequestError, match="transparent"):
        read_picture(tmp_path / "a.png", tmp_path, LIMIT)


def test_a_mask_drawn_in_grey_colours_is_read_and_one_in_colours_refused(write_picture, tmp_path):
    write_picture(tmp_path / "a.png", np.repeat(GREY[..., None], 3, axis=2))
    assert np.array_equal(read_label_picture(tmp_path / "a.png", tmp_path, LIMIT).pixels, GREY[None])
    write_picture(tmp_path / "a.png", COLOURS)
    with pytest.raises(RequestError, match="Received colours"):
        read_label_picture(tmp_path / "a.png", tmp_path, LIMIT)


def test_what_loses_information_silently_elsewhere_is_noted(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">6H", *[300 * n for n in range(6)]) for _ in range(2))
    header = b"IHDR" + struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(rows), b"IEND"]
    data = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert read_picture(tmp_path / "a.png", tmp_path, LIMIT).notes == {
        "16-bit colours were read in 8 bits": 4
    }


def test_a_picture_that_exif_turns_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(RequestError, match="EXIF orientation of 6"):
        read_picture(tmp_path / "a.jpg", tmp_path, LIMIT)


def test_a_bomb_is_refused_by_its_header(tmp_path):
    for columns, rows in ((60_000, 60_000), (12_000, 12_000), (2_000_000_000, 1)):
        (tmp_path / "a.png").write_bytes(png_header(columns, rows))
        with pytest.raises(RequestError):
            read_picture(tmp_path / "a.png", tmp_path, LIMIT)
    (tmp_path / "a.png").write_bytes(png_header(1001, 1000))
    with pytest.raises(RequestError, match=r"at most 1,000,000 pixels.*1,001 x 1,000.*data\.max_pixels"):
        read_picture(tmp_path / "a.png", tmp_path, LIMIT)


def test_several_pages_are_refused(tmp_path):
    pages = [Image.fromarray(GREY)] * 3
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(RequestError, match="several pages"):
        read_picture(tmp_path / "a.tif", tmp_path, LIMIT)


def test_cmyk_is_refused_with_the_way_out(tmp_path):
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(RequestError, match="CMYK: convert it to RGB"):
        read_picture(tmp_path / "a.jpg", tmp_path, LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_cut_off_files_are_refused(tmp_path, kind, share):
    encoded = io.BytesIO()
    Image.fromarray(np.repeat(np.repeat(COLOURS, 20, axis=0), 20, axis=1)).save(encoded, format=kind)
    (tmp_path / "a.png").write_bytes(encoded.getvalue()[: int(len(encoded.getvalue()) * share)])
    with pytest.raises(RequestError):
        read_picture(tmp_path / "a.png", tmp_path, LIMIT)


@pytest.mark.parametrize(
    "data", [b"GIF89a" + b"\0" * 50, b"nonsense", b"%!PS-Adobe-3.0 EPSF-3.0\n"], ids=["gif", "text", "eps"]
)
def test_other_formats_are_not_tried(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(RequestError, match="readable picture"):
        read_picture(tmp_path / "a.png", tmp_path, LIMIT)
