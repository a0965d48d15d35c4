import io
import logging
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from lic.data import Pixels, read_image, to_batch, to_float, to_image, to_uint8, write_png
from lic.data.images import resized, to_pixels, with_channels
from lic.errors import UserError


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture(params=[1, 3])
def either(request: pytest.FixtureRequest, pixels: Pixels) -> Pixels:
    """A gray image and one in colour."""
    return pixels[..., : request.param]


def test_png_round_trip(tmp_path: Path, either: Pixels) -> None:
    write_png(tmp_path / "new" / "a.png", either)
    assert np.array_equal(read_image(tmp_path / "new" / "a.png"), either)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.mode == ("L" if either.shape[2] == 1 else "RGB")


def test_gray_and_palette_lose_nothing(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    gray = pixels[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    assert np.array_equal(read_image(tmp_path / "gray.png"), gray[..., None])
    palette = Image.fromarray(gray % 4, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7])
    palette.save(tmp_path / "palette.png")
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 8, 7]])
    assert (read_image(tmp_path / "palette.png") == colours[gray % 4]).all()
    bits = Image.fromarray(gray).convert("1")
    bits.save(tmp_path / "bits.png")
    assert np.array_equal(read_image(tmp_path / "bits.png"), 255 * np.asarray(bits)[..., None])
    assert not caplog.records


def test_transparent_palettes(recwarn: pytest.WarningsRecorder) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(buffer := io.BytesIO(), "PNG", transparency=bytes([0, 128, 255]))
    assert read_image(buffer).tolist() == [[[255] * 3, [255, 127, 127], [0, 255, 0]]]
    assert not recwarn, "Pillow has nothing to add"


def test_transparency_is_composited_on_white(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").tolist() == [[[10, 20, 30], [255] * 3, [127] * 3]]
    assert "white" in caplog.text
    Image.fromarray(rgba[..., :3]).save(tmp_path / "key.png", transparency=(0, 0, 0))
    assert read_image(tmp_path / "key.png")[0, 2].tolist() == [255] * 3
    Image.fromarray(rgba[..., 2:]).save(tmp_path / "gray.png")
    assert read_image(tmp_path / "gray.png").tolist() == [[[30], [255], [127]]]


def test_cmyk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "ink.tif")
    assert read_image(tmp_path / "ink.tif")[0, 0].tolist() == [255, 0, 0]
    assert "CMYK" in caplog.text


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


def test_images_in_memory(pixels: Pixels) -> None:
    chw = torch.tensor(pixels).permute(2, 0, 1)
    image: Any
    for image in (Image.fromarray(pixels), pixels, chw, chw[None], chw / 255, chw[None].double() / 255):
        assert (to_pixels(image) == pixels).all(), type(image)
    strange = (pixels[::-1, ::2], np.asfortranarray(pixels), chw.to(torch.float16).requires_grad_() / 255)
    for image, expected in zip(strange, (pixels[::-1, ::2], pixels, pixels), strict=True):
        assert (to_pixels(image) == expected).all()
    gray = pixels[..., :1]
    for image in (
        Image.fromarray(pixels[..., 0]), gray, pixels[..., 0], chw[:1], chw[None, :1], chw[:1] / 255,
    ):  # fmt: skip
        assert np.array_equal(to_pixels(image), gray), type(image)


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


@pytest.mark.parametrize(
    "image",
    [
        None,
        b"bytes",
        "photo.png",
        [[0]],
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        torch.zeros(4, 4, 3),
        torch.zeros(2, 3, 4, 4),
        torch.zeros(3, 4, 0),
        torch.zeros(2, 4, 4),
        torch.zeros(4, 4),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
        torch.zeros(3, 4, 4, dtype=torch.int64),
        torch.full((3, 4, 4), 255.0),
        torch.full((3, 4, 4), torch.nan),
        torch.full((3, 4, 4), -0.01),
        torch.zeros(3, 4, 4).to_sparse(),
        torch.zeros(3, 4, 4, device="meta"),
        Image.new("RGB", (0, 4)),
    ],
)
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(UserError, match=r"lic cannot code this .*uint8 array \[H, W, 3\]") as caught:
        to_pixels(image)
    assert "\n" not in str(caught.value)


_PEAK = """
import sys
from lic.data import read_image
def kilobytes(what):
    return int(next(line for line in open("/proc/self/status") if line.startswith(what)).split()[1])
before = kilobytes("VmRSS")
pixels = read_image(sys.argv[1], managed=True)
print((kilobytes("VmHWM") - before) * 1024 / pixels[..., 0].size)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("mode", "name", "most"), [("RGB", "a.png", 8), ("RGBA", "b.png", 8), ("RGB", "c.jpg", 9)]
)
def test_memory(run_python: Any, tmp_path: Path, mode: str, name: str, most: float) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if name == "c.jpg" else 1
    Image.new(mode, (6000, 3000), "teal").save(tmp_path / name, exif=exif)
    done = run_python("-c", _PEAK, name, GLIBC_TUNABLES="")  # large pages would be counted whole
    assert float(done.stdout) < most, f"Pillow's image, 4 bytes a pixel, and the array, 3: {done.stdout}"


def test_large_images_are_read_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=display_p3())
    whole = read_image(tmp_path / "a.png", managed=True)
    monkeypatch.setattr("lic.data.images._STRIP", 7 * 70 + 5)
    assert (read_image(tmp_path / "a.png", managed=True) == whole).all()


def test_exif_orientation_stands_upright(tmp_path: Path, pixels: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned; viewers rotate by 90° clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert (read_image(tmp_path / "turned.png") == np.rot90(pixels, -1)).all()


def test_first_frame_of_an_animation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "moving.png")[0, 0].tolist() == [255, 0, 0]
    assert "first of 2 frames" in caplog.text


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_truncated_files_are_named(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "cut.img"
    path.write_bytes(buffer.getvalue()[: buffer.tell() // 2])
    with pytest.raises(UserError, match=r"cut\.img"):
        read_image(path)


def test_unusable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png is not an image"):
        read_image(tmp_path / "text.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"folder\.png"):
        read_image(tmp_path / "folder.png")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match=r"float\.tif has floating-point"):
        read_image(tmp_path / "float.tif")
    for peak in (255, 40_000, 70_000):
        Image.fromarray(np.full((2, 2), peak, np.int32)).save(tmp_path / "int.tif")
        with pytest.raises(UserError, match=r"int\.tif has 32-bit .* convert it to 8 or 16 bits"):
            read_image(tmp_path / "int.tif")
    Image.new("RGB", (20, 20)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_every_byte_survives_the_way_to_float_and_back() -> None:
    x = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    assert to_float(x).dtype == torch.float32
    assert to_float(x).equal(x.float() / 255)
    assert to_uint8(to_float(x)).equal(x)
    assert to_float(x.to(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


def test_to_uint8_clamps_and_rounds() -> None:
    x = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.5], requires_grad=True)
    assert to_uint8(x).tolist() == [0, 0, 1, 255, 255]
    assert to_uint8(torch.tensor([0.5], dtype=torch.bfloat16)).tolist() == [128]


def test_batch_and_image_are_inverse(either: Pixels) -> None:
    batch, channels = to_batch(either), either.shape[2]
    assert batch.shape == (1, channels, 5, 7) and batch.dtype == torch.uint8
    assert batch[0, -1, 3, 4] == either[3, 4, -1]
    for image in (
        either,
        either[::-1],
        either[:, ::-1],
        either[..., ::-1],
    ):  # torch takes no negative strides
        assert np.array_equal(to_image(to_float(to_batch(image))), image)


def test_gray_is_repeated_and_colour_becomes_luma(pixels: Pixels) -> None:
    gray = with_channels(pixels, 1)
    assert gray.shape == (5, 7, 1)
    assert np.abs(gray[..., 0] - pixels @ np.array([0.299, 0.587, 0.114])).max() < 0.51  # ITU-R BT.601
    assert np.array_equal(with_channels(gray, 3), np.dstack(3 * [gray]))
    assert np.array_equal(with_channels(with_channels(gray, 3), 1), gray)
    assert with_channels(pixels, 3) is pixels and with_channels(gray, 1) is gray


def test_resizing(either: Pixels) -> None:
    assert resized(either, (14, 3)).shape == (3, 14, either.shape[2])
    assert np.array_equal(resized(either, (7, 5)), either)
    wave = np.cos(2 * np.pi * np.arange(0.5, 64) / 64)
    small = resized((128 + 100 * wave).round().astype(np.uint8)[None, :, None].repeat(8, 0), (16, 8))
    expected = 128 + 100 * np.cos(2 * np.pi * np.arange(0.5, 16) / 16)
    assert np.abs(small[4, 1:-1, 0] - expected[1:-1]).max() < 3, "what is slow stays"
    fine = resized(np.tile(np.array([0, 255], np.uint8), (8, 32))[..., None], (16, 8))
    assert np.abs(fine[:, 2:-2].astype(int) - 127).max() <= 2, "what is too fine does not alias"


def test_nothing_is_logged_about_plain_images(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    write_png(tmp_path / "a.png", pixels)
    with caplog.at_level(logging.INFO):
        read_image(tmp_path / "a.png")
    assert not caplog.records
