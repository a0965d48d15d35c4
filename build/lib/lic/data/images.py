"""Image files in, image files out. The only place that scales pixels.

Everywhere else an image is either uint8 RGB (``[H, W, 3]`` arrays, ``[N, 3, H, W]`` tensors, 0…255) or
float32 RGB (tensors, 0…1); no other range or channel order exists.
"""

import logging
import os
import struct

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lic.atomic import replacing
from lic.errors import UserError

Pixels = NDArray[np.uint8]

_log = logging.getLogger(__name__)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Read an image file as uint8 RGB ``[H, W, 3]``.

    What is not 8-bit RGB is converted, and a warning says what that loses:

    - gray and palette images are repeated or looked up: nothing is lost;
    - the EXIF orientation is applied, so that pixels stand upright: nothing is lost;
    - 16-bit gray is divided by 257 and rounded, 16-bit colour keeps its high bytes (Pillow reads no more);
    - transparency is composited on white, the paper that browsers and printers show it on;
    - CMYK goes through Pillow's plain formula, without colour profiles;
    - of an animation or a multi-page file, the first frame is read.

    Raises:
        UserError: The file is missing, not an image, truncated, larger than Pillow's limit, or of a
            kind without a defined 8-bit range (floating point, more than 16 bits).
    """
    try:
        with Image.open(path) as image:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                _log.warning("%s: only the first of %d frames is read.", path, frames)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return np.array(_to_rgb(upright, path), np.uint8)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the path.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that Pillow can read; give a PNG, JPEG or WebP.") from error
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace or remove it.") from error


def _to_rgb(image: Image.Image, path: str | os.PathLike[str]) -> Image.Image:
    if image.mode == "F":
        raise UserError(
            f"{path} has floating-point pixels of unknown range; convert it to 8 or 16 bits first."
        )
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UserError(f"{path} has more than 16 bits per pixel; convert it to 8 or 16 bits first.")
        _log.warning("%s: 16-bit gray is rounded to 8 bits.", path)
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    if image.has_transparency_data:
        _log.warning("%s: transparency is composited on white.", path)
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    if image.mode == "CMYK":
        _log.warning("%s: CMYK is converted to RGB without its colour profile.", path)
    return image.convert("RGB")


def write_png(path: str | os.PathLike[str], image: Pixels) -> None:
    """Write uint8 RGB ``[H, W, 3]`` as a PNG file, atomically and without loss."""
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, (image.dtype, image.shape)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


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
