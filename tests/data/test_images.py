import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lic.data import Pixels, read_image, to_batch, to_float, to_image, to_uint8, write_png
from lic.errors import UserError


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_png_round_trip(tmp_path: Path, pixels: Pixels) -> None:
    write_png(tmp_path / "new" / "a.png", pixels)
    assert (read_image(tmp_path / "new" / "a.png") == pixels).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_gray_and_palette_lose_nothing(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    gray = pixels[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    assert (read_image(tmp_path / "gray.png") == gray[..., None]).all()
    palette = Image.fromarray(gray % 4, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7])
    palette.save(tmp_path / "palette.png")
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 8, 7]])
    assert (read_image(tmp_path / "palette.png") == colours[gray % 4]).all()
    bits = Image.fromarray(gray).convert("1")
    bits.save(tmp_path / "bits.png")
    assert (read_image(tmp_path / "bits.png") == 255 * np.asarray(bits)[..., None]).all()
    assert not caplog.records


def test_16_bit_gray_is_rounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert read_image(tmp_path / name)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert "16-bit" in caplog.text and "deep.png" in caplog.text


def test_transparency_is_composited_on_white(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").tolist() == [[[10, 20, 30], [255] * 3, [127] * 3]]
    assert "white" in caplog.text
    Image.fromarray(rgba[..., :3]).save(tmp_path / "key.png", transparency=(0, 0, 0))
    assert read_image(tmp_path / "key.png")[0, 2].tolist() == [255] * 3


def test_cmyk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "ink.tif")
    assert read_image(tmp_path / "ink.tif")[0, 0].tolist() == [255, 0, 0]
    assert "CMYK" in caplog.text


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
    Image.fromarray(np.full((2, 2), 70_000, np.int32)).save(tmp_path / "int.tif")
    with pytest.raises(UserError, match=r"int\.tif has more than 16 bits"):
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


def test_batch_and_image_are_inverse(pixels: Pixels) -> None:
    batch = to_batch(pixels)
    assert batch.shape == (1, 3, 5, 7) and batch.dtype == torch.uint8
    assert batch[0, 2, 3, 4] == pixels[3, 4, 2]
    assert (to_image(to_float(batch)) == pixels).all()


def test_nothing_is_logged_about_plain_images(
    tmp_path: Path, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    write_png(tmp_path / "a.png", pixels)
    with caplog.at_level(logging.INFO):
        read_image(tmp_path / "a.png")
    assert not caplog.records
