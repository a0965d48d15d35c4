"""Pillow's images of any number of bits per sample, to 8."""

import logging
import re

import numpy as np
from PIL import Image, TiffImagePlugin

from lic.errors import UserError

_SIGNED = 2  # a TIFF's SampleFormat

_log = logging.getLogger(__name__)


def sample_bits(image: Image.Image, name: str) -> int:
    """Bits per sample in the file of ``image``, as far as Pillow says; of PNG and PPM, until it is loaded.

    Raises:
        UserError: Pillow would read other numbers than the file holds.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        depth = int(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
        white_is_zero = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        signed = _SIGNED in image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
        if image.mode not in ("I", "F") and (signed or (white_is_zero and depth > 8)):
            raise UserError(  # Pillow takes them for others
                f"{name} has signed numbers, or more than 8 bits where 0 is white; save it as ordinary PNG."
            )
        return depth
    match getattr(image, "tile", None):
        case [(_, _, _, str(mode)), *_] if image.format == "PNG":
            bits = re.search(r";(\d+)", mode)  # RGB;16B
            return int(bits[1]) if bits else 8
        case [(_, _, _, (_, int(maximum))), *_] if image.format == "PPM":
            return maximum.bit_length()
    return 16 if image.mode.startswith("I") else 8


def check_range(image: Image.Image, bits: int, kind: str, name: str) -> None:
    """Warn of what 8 bits lose.

    Raises:
        UserError: the pixels have no defined range.
    """
    if image.mode == "F":
        raise UserError(
            f"{name} has floating-point pixels of unknown range; convert it to 8 or 16 bits first."
        )
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # those hold 16 bits
        raise UserError(
            f"{name} has 32-bit or signed integer pixels of unknown range; convert it to 8 or 16 bits first."
        )
    if image.mode.startswith("I"):
        _log.warning("%s: %d-bit gray is rounded to 8 bits.", name, bits)
    elif bits > 8:
        _log.warning(
            "%s: of %d-bit %s, the high 8 bits are kept.", name, bits, "gray" if kind == "L" else "colour"
        )


def to_8_bits(image: Image.Image, bits: int) -> Image.Image:
    """``image`` with 8 bits per sample, and the transparent value of a PNG file with as many."""
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        maximum = 65535 if image.mode == "I" else 2**bits - 1
        values = np.asarray(image)
        gray = Image.fromarray(np.round(values / (maximum / 255)).astype(np.uint8))
        if key is None:
            return gray
        return Image.merge("LA", (gray, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))))
    if image.mode == "L" and isinstance(key, int):  # Pillow scales 2 and 4 bits, but not the key
        image.info["transparency"] = key * 255 // (2**bits - 1)
    if image.mode == "RGB" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> bits - 8 for value in key)
    return image
