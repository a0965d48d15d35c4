"""Colour profiles: what people see is sRGB."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lic.data import Pixels, read_image, write_png
from lic.data.images import to_pixels

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PRIMARIES = {  # of Display P3, adapted to D50, as its profile prints them
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}


def display_p3() -> bytes:
    """Little CMS's sRGB profile with the primaries of Display P3."""
    profile = bytearray(SRGB)
    for tag, xyz in PRIMARIES.items():
        place = int.from_bytes(profile[(at := profile.index(tag) + 4) : at + 4])
        profile[place + 8 : place + 20] = struct.pack(">3i", *(round(v * 65536) for v in xyz))
    return bytes(profile)


def ink_profile() -> bytes:
    """A CMYK profile: L* = 100 is bare paper, 0 is what has black, 50 what has other inks."""
    table = b"".join(bytes([0 if i % 2 else 128 if i else 255, 128, 128]) for i in range(16))
    lut = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, *(65536 * i for i in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut += 4 * bytes(range(256)) + table + 3 * bytes(range(256))
    white = struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    name = struct.pack(">4s4xI12s67x", b"desc", 9, b"test ink").ljust(92, b"\0")
    tags, places, body = {b"A2B0": lut, b"wtpt": white, b"desc": name}, b"", b""
    for tag, data in tags.items():
        places += struct.pack(">4s2I", tag, 128 + 4 + 36 + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + places + body
    size, version = 128 + len(rest), 0x02400000
    head = struct.pack(">I4xI4s4s4s12x4s28x", size, version, b"prtr", b"CMYK", b"Lab ", b"acsp")
    return head + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249))) + bytes(48) + rest


def from_p3(pixels: Pixels) -> Pixels:
    """Display P3 to sRGB by the formulas of IEC 61966-2-1."""
    encoded = pixels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = (linear @ np.array(list(PRIMARIES.values())) @ np.linalg.inv(srgb).T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * encoded).round().astype(np.uint8)


def test_people_see_srgb(tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(pixels).save(tmp_path / "wide.png", icc_profile=display_p3())
    assert (read_image(tmp_path / "wide.png") == pixels).all(), "benchmarks take the numbers as they are"
    assert not caplog.records
    found, expected = read_image(tmp_path / "wide.png", managed=True), from_p3(pixels)
    assert np.abs(found.astype(int) - expected).max() <= 2 < np.abs(found.astype(int) - pixels).max()
    assert "wide.png: colours are converted to sRGB from the profile" in caplog.text
    data = io.BytesIO((tmp_path / "wide.png").read_bytes())
    assert (read_image(data, managed=True) == found).all()


def test_srgb_by_any_name_changes_nothing(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    for name, profile in {"srgb": SRGB, "other": SRGB.replace("sRGB".encode("utf-16-be"), b"")}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", icc_profile=profile)
        assert (read_image(tmp_path / f"{name}.png", managed=name == "srgb") == pixels).all()
    assert not caplog.records


def gray_profile(gamma: float) -> bytes:
    """A profile of gray, black to D50 white by a power."""
    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 * gamma))
    white = struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    name = struct.pack(">4s4xI10s67x", b"desc", 7, b"a gray").ljust(92, b"\0")
    tags, places, body = {b"kTRC": curve, b"wtpt": white, b"desc": name}, b"", b""
    for tag, data in tags.items():
        places += struct.pack(">4s2I", tag, 128 + 4 + 36 + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + places + body
    head = struct.pack(">I4xI4s4s4s12x4s28x", 128 + len(rest), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    return head + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249))) + bytes(48) + rest


def test_gray_stays_gray_through_its_profile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(gray).save(tmp_path / "old.png", icc_profile=gray_profile(1.8))
    linear = (gray / 255) ** 1.8
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = read_image(tmp_path / "old.png", managed=True)
    assert found.shape == (16, 16, 1) and np.abs(found[..., 0] - 255 * srgb).max() <= 2
    assert "profile 'a gray'" in caplog.text
    assert np.array_equal(read_image(tmp_path / "old.png"), gray[..., None])


def test_profiles_and_transparency(tmp_path: Path, pixels: Pixels) -> None:
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    rgba[0, 0, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "clear.png", icc_profile=display_p3())
    found = read_image(tmp_path / "clear.png", managed=True).astype(int)
    assert found[0, 0].tolist() == [255] * 3
    assert np.abs(found[1:] - from_p3(pixels)[1:]).max() <= 2


def test_ink_through_its_profile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ink = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0]]], np.uint8), "CMYK")
    ink.save(tmp_path / "ink.tif", icc_profile=ink_profile())
    found = read_image(tmp_path / "ink.tif", managed=True)[0].astype(int)
    expected = [[255] * 3, [119] * 3, [119] * 3]  # sRGB's gray of L* = 50
    assert np.abs(found - expected).max() <= 2
    assert "profile 'test ink'" in caplog.text and "CMYK is" not in caplog.text


@pytest.mark.parametrize("profile", [b"nonsense", SRGB[:200], ink_profile(), bytes(5000)])
def test_broken_profiles_are_ignored(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture, profile: bytes
) -> None:
    Image.fromarray(pixels).save(tmp_path / "odd.png", icc_profile=profile)
    assert (read_image(tmp_path / "odd.png", managed=True) == pixels).all()
    assert "odd.png: its colour profile is ignored" in caplog.text and caplog.text.count("\n") == 1


def test_files_are_tagged_as_srgb(tmp_path: Path, pixels: Pixels) -> None:
    buffer = io.BytesIO()
    write_png(buffer, pixels)
    write_png(tmp_path / "a.png", pixels)
    assert buffer.getvalue() == (tmp_path / "a.png").read_bytes()
    with Image.open(buffer) as image:
        assert image.info["srgb"] == 0


def test_pictures_in_memory_are_those_on_disk(tmp_path: Path, pixels: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "p3.png", icc_profile=display_p3(), exif=exif)
    with Image.open(tmp_path / "p3.png") as image:
        assert (to_pixels(image) == read_image(tmp_path / "p3.png", managed=True)).all()
        assert image.size == pixels.shape[1::-1] and (np.asarray(image) == pixels).all(), "it is only read"
    Image.fromarray(pixels).save(tmp_path / "key.png", transparency=tuple(pixels[0, 0].tolist()))
    with Image.open(tmp_path / "key.png") as image:
        assert (to_pixels(image) == read_image(tmp_path / "key.png")).all()
        assert image.mode == "RGB"


def test_large_images_are_read_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=display_p3())
    whole = read_image(tmp_path / "a.png", managed=True)
    monkeypatch.setattr("lic.data.images._STRIP", 7 * 70 + 5)
    assert (read_image(tmp_path / "a.png", managed=True) == whole).all()
