"""Image files in, image files out. The only place that scales pixels.

Everywhere else an image is either uint8 RGB (``[H, W, 3]`` arrays, ``[N, 3, H, W]`` tensors, 0…255) or
float32 RGB (tensors, 0…1); no other range or channel order exists.
"""

import io
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from lic.atomic import replacing
from lic.errors import UserError

Pixels = NDArray[np.uint8]
ImageFile = str | os.PathLike[str] | IO[bytes]
AnyImage = Image.Image | NDArray[Any] | Tensor

_log = logging.getLogger(__name__)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_UNNAMED = "The image"
_COLOURS = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 15)]), -1).reshape(18, -1, 3).astype(np.uint8)
_ROUNDING = 2  # levels by which two descriptions of sRGB may differ


def read_image(file: ImageFile, *, managed: bool = False) -> Pixels:
    """Read an image file, or one open for reading bytes, as uint8 RGB ``[H, W, 3]``.

    What is not 8-bit RGB is converted, and a warning says what that loses:

    - gray and palette images are repeated or looked up: nothing is lost;
    - the EXIF orientation is applied, so that pixels stand upright: nothing is lost;
    - 16-bit gray is divided by 257 and rounded, 16-bit colour keeps its high bytes (Pillow reads no more);
    - transparency is composited on white, the paper that browsers and printers show it on;
    - of an animation or a multi-page file, the first frame is read.

    Training and evaluation take the numbers in the file as they are, as the benchmarks of this field do.
    ``managed`` asks for the picture that people see: colours are converted to sRGB from the ICC profile
    that the file carries, if that is another. Without a profile, or unmanaged, CMYK goes through Pillow's
    plain formula.

    Raises:
        UserError: The file is missing, not an image, truncated, larger than Pillow's limit, or of a
            kind without a defined 8-bit range (floating point, more than 16 bits).
    """
    name = str(file) if isinstance(file, (str, os.PathLike)) else _UNNAMED
    with _reading(name), Image.open(file) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            _log.warning("%s: only the first of %d frames is read.", name, frames)
        return _pixels(image, name, managed)


def to_pixels(image: AnyImage) -> Pixels:
    """An image in memory as uint8 RGB ``[H, W, 3]``.

    A PIL image is taken as `read_image` with ``managed`` takes its file. An array is uint8, ``[H, W, 3]``
    or gray ``[H, W]``. A tensor is ``[3, H, W]`` or ``[1, 3, H, W]``, uint8 or floating point in 0…1.

    Raises:
        UserError: anything else, or an image without pixels.
    """
    if isinstance(image, Image.Image) and image.width and image.height:
        with _reading(_UNNAMED):
            return _pixels(image, _UNNAMED, managed=True)
    match image:
        case np.ndarray(dtype=np.uint8, ndim=2, size=size) if size:
            return np.repeat(image[..., None], 3, axis=2)
        case np.ndarray(dtype=np.uint8, shape=(_, _, 3), size=size) if size:
            return image
        case Tensor(shape=(3, _, _) | (1, 3, _, _)) if image.numel():
            image = image.detach().cpu()
            if image.is_floating_point() and image.min() >= 0 and image.max() <= 1:
                image = to_uint8(image)
            if image.dtype == torch.uint8:
                return image.reshape(image.shape[-3:]).permute(1, 2, 0).contiguous().numpy()
    raise UserError(
        f"lic cannot code this {_words(image)}: give a PIL image, a uint8 array [H, W, 3] or [H, W], or a "
        "tensor [3, H, W] or [1, 3, H, W] that is uint8 or floating point from 0 to 1."
    )


def _words(given: Any) -> str:
    shape = getattr(given, "shape", getattr(given, "size", None))
    of = f" of {getattr(given, 'dtype', 'size')} {list(shape)}" if isinstance(shape, tuple) else ""
    return type(given).__name__ + of


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What Pillow raises, as a sentence that names the file."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name} does not exist; check the path.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image that Pillow can read; give a PNG, JPEG or WebP.") from error
    except _BROKEN as error:
        raise UserError(f"{name} cannot be read as an image ({error}); replace or remove it.") from error


def _pixels(image: Image.Image, name: str, managed: bool) -> Pixels:
    image.load()
    profile = image.info.get("icc_profile") if managed else None
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = _to_8_bits(ImageOps.exif_transpose(image) if turned else image, name)
    gray = upright.mode in ("1", "L", "LA")
    colours = upright if upright.mode == "CMYK" else _in_mode("L" if gray else "RGB", upright)
    if profile:
        colours = _to_srgb(colours, profile, name)
    if colours.mode == "CMYK":
        _log.warning("%s: CMYK is converted to RGB without its colour profile.", name)
    colours = _in_mode("RGB", colours)
    if upright.has_transparency_data:
        _log.warning("%s: transparency is composited on white.", name)
        colours = colours.convert("RGBA")
        colours.putalpha(upright.convert("RGBA").getchannel("A"))
        colours = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return np.array(colours, np.uint8)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # which copies in any case


def _to_8_bits(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise UserError(
            f"{name} has floating-point pixels of unknown range; convert it to 8 or 16 bits first."
        )
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise UserError(f"{name} has more than 16 bits per pixel; convert it to 8 or 16 bits first.")
    _log.warning("%s: 16-bit gray is rounded to 8 bits.", name)
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """``image`` (L, RGB or CMYK) as sRGB, or as it is where the profile is sRGB's, or broken."""
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, image.mode, "RGB")
        known_as = ImageCms.getProfileDescription(source).strip()
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        _log.warning("%s: its colour profile is ignored because it cannot be used (%s).", name, error)
        return image
    sample = Image.fromarray(_COLOURS).convert(image.mode)
    before, after = (np.asarray(x, np.int16) for x in (sample.convert("RGB"), transform.apply(sample)))
    if np.abs(before - after).max() <= _ROUNDING:  # by what it does: too many profiles of sRGB exist
        return image
    _log.warning("%s: colours are converted to sRGB from the profile %r.", name, known_as)
    return transform.apply(image)


def write_png(file: ImageFile, image: Pixels) -> None:
    """Write uint8 RGB ``[H, W, 3]`` as a PNG file without loss: atomically to a path, or to an open file.

    It is tagged as sRGB (13 bytes): all images in lic are, or are taken to be, and viewers on wide-gamut
    screens are free to show untagged ones otherwise.
    """
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, (image.dtype, image.shape)
    if isinstance(file, (str, os.PathLike)):
        with replacing(file) as temporary, temporary.open("wb") as out:
            write_png(out, image)
    else:
        tags = PngImagePlugin.PngInfo()
        tags.add(b"sRGB", b"\0")  # perceptual
        Image.fromarray(image).save(file, format="PNG", pnginfo=tags)


def to_float(x: Tensor) -> Tensor:
    """Scale uint8 pixels 0…255 to float32 in 0…1, on the device and in the memory layout of ``x``."""
    assert x.dtype == torch.uint8, x.dtype
    return x / 255


def to_uint8(x: Tensor) -> Tensor:
    """Clamp to 0…1, scale to 0…255 and round half to even: float pixels to uint8."""
    return x.detach().float().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def to_batch(image: Pixels) -> Tensor:
    """A uint8 image ``[H, W, 3]`` as a uint8 batch of one, ``[1, 3, H, W]``."""
    return torch.tensor(image).permute(2, 0, 1).unsqueeze(0).contiguous()


def to_image(x: Tensor) -> Pixels:
    """A float batch of one, ``[1, 3, H, W]`` nominally in 0…1, as a uint8 image ``[H, W, 3]``."""
    assert x.ndim == 4 and x.shape[:2] == (1, 3), tuple(x.shape)
    return to_uint8(x[0]).permute(1, 2, 0).contiguous().cpu().numpy()
