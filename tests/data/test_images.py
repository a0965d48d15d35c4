import io
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lic.data import Pixels, read_image, to_batch, to_float, to_image, to_uint8, write_png
from lic.data.images import resized, to_pixels, with_channels
from lic.errors import UserError


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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_truncated_files_are_named(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "cut.img"
    path.write_bytes(buffer.getvalue()[: buffer.tell() // 2])
    with pytest.raises(UserError, match=r"cut\.img"):
        read_image(path)


def test_a_damaged_avif_file_is_named(tmp_path: Path) -> None:
    """Pillow raises RuntimeError of these alone."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        buffer, "AVIF"
    )
    whole = buffer.getvalue()
    path = tmp_path / "damaged.avif"
    head = whole.find(b"mdat") + 4
    path.write_bytes(whole[:head] + b"\xff" * (len(whole) - head))
    with pytest.raises(UserError, match=r"damaged\.avif cannot be read as an image \(Failed to decode"):
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
