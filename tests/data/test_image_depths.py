"""Image files of other depths than 8 bits, made byte by byte because Pillow writes few of them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lic.data import read_image
from lic.data.images import to_pixels
from lic.errors import UserError

GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6  # colour types of PNG


def png(pixels: list[list[int]], colour: int, bits: int, key: tuple[int, ...] = ()) -> bytes:
    """A PNG file, one pixel wide, with a transparent ``key``, after its specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + np.array(pixel, ">u2" if bits == 16 else "u1").tobytes() for pixel in pixels)
    head = chunk(b"IHDR", struct.pack(">2I5B", 1, len(pixels), bits, colour, 0, 0, 0))
    head += chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(data: bytes, bits: int, width: int, samples: int = 1, **tags: int) -> bytes:
    """A little-endian TIFF file of one row; further tags as ``t262=0``."""
    kind = 2 if samples == 3 else 1  # RGB, or gray with black as 0
    shorts = {256: width, 257: 1, 259: 1, 262: kind, 273: 8, 277: samples, 278: 1, 279: len(data)}
    shorts |= {int(tag[1:]): value for tag, value in tags.items()}
    entries = {tag: struct.pack("<2HIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    depth = struct.pack(f"<{samples}H", *samples * [bits])
    place = struct.pack("<H2x", bits) if samples == 1 else struct.pack("<I", 8 + len(data))
    entries[258] = struct.pack("<2HI", 258, 3, samples) + place
    rest = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(depth)) + data + depth + rest


@pytest.mark.parametrize(
    ("data", "expected", "words"),
    [
        (png([[0x1234, 0xFFFF, 0x00FF]], RGB, 16), [[0x12, 0xFF, 0]], ["of 16-bit colour"]),
        (png([[0x1234] * 3 + [0xFFFF]], RGBA, 16), [[0x12] * 3], ["of 16-bit colour", "transparency"]),
        (png([[0x1234, 0]], GRAY_ALPHA, 16), [[255]], ["of 16-bit gray", "transparency"]),
        (png([[0x1234, 0xFFFF]], GRAY_ALPHA, 16), [[0x12]], ["of 16-bit gray", "transparency"]),
        (png([[7, 8, 9], [7, 8, 0]], RGB, 8, (7, 8, 9)), [[255] * 3, [7, 8, 0]], ["transparency"]),
        (
            png([[0x700, 0x800, 0x901], [0x700, 0x800, 0]], RGB, 16, (0x700, 0x800, 0x901)),
            [[255] * 3, [7, 8, 0]],
            ["of 16-bit colour", "transparency"],
        ),
        (
            png([[257], [258], [0]], GRAY, 16, (258,)),
            [[1], [255], [0]],
            ["16-bit gray", "transp"],
        ),
        (png([[0x30], [0x70]], GRAY, 4, (3,)), [[255], [119]], ["transparency"]),
        (png([[0x40], [0x80]], GRAY, 2, (1,)), [[255], [170]], ["transparency"]),
        (tiff(struct.pack("<3H", 0x1234, 0xFFFF, 0xFF), 16, 1, 3), [[0x12, 0xFF, 0]], ["of 16-bit colour"]),
        (b"P6 1 1 65535\n\x12\x34\xff\xff\0\0", [[0x12, 0xFF, 0]], ["of 16-bit colour"]),
        (b"P5 1 1 65535\n\x80\x80", [[128]], ["16-bit gray"]),
        (b"P5 1 1 4095\n\x0f\xff", [[255]], ["12-bit gray"]),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_what_is_lost_is_said_once(
    data: bytes, expected: Any, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_image(io.BytesIO(data)).reshape(len(expected), -1).tolist() == expected
    records = [record.getMessage() for record in caplog.records]
    assert len(records) == len(words) and all(map(str.__contains__, records, words)), records
    with Image.open(io.BytesIO(data)) as image:
        assert to_pixels(image).reshape(len(expected), -1).tolist() == expected
    assert [record.getMessage() for record in caplog.records] == 2 * records


def test_16_bit_gray_is_rounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert read_image(tmp_path / name)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert "16-bit" in caplog.text and "deep.png" in caplog.text
    (tmp_path / "12.tif").write_bytes(tiff(bytes([0x00, 0x08, 0x08, 0xFF, 0xFF, 0x00]), 12, 3))
    assert read_image(tmp_path / "12.tif")[0, :, 0].tolist() == [0, round(0x808 / 4095 * 255), 255]


def test_numbers_that_pillow_would_misread_are_refused() -> None:
    gray = struct.pack("<3H", 0, 1000, 65535)
    read_image(io.BytesIO(tiff(gray, 16, 3)))
    read_image(io.BytesIO(tiff(bytes([0, 9, 255]), 8, 3, t262=0)))  # of 8 bits it makes the picture meant
    for data in (tiff(gray, 16, 3, t262=0), tiff(bytes([0, 9, 255]), 8, 3, t339=2)):
        with pytest.raises(UserError, match="signed numbers, or more than 8 bits where 0 is white"):
            read_image(io.BytesIO(data))
