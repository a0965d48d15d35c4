"""Colour profiles that image files carry."""

import io
import logging

import numpy as np
from PIL import Image, ImageCms

_log = logging.getLogger(__name__)
_COLOURS = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 15)]), -1).reshape(18, -1, 3).astype(np.uint8)
_ROUNDING = 2  # levels by which two descriptions of sRGB may differ


def to_srgb(profile: bytes, kind: str, name: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of colours of a ``kind`` to sRGB; None where the profile is sRGB's, or broken.

    A ``kind`` is one of Pillow's modes: L, RGB or CMYK. What is done is told in a warning.
    """
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, kind, "RGB")
        known_as = ImageCms.getProfileDescription(source).strip()
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        _log.warning("%s: its colour profile is ignored because it cannot be used (%s).", name, error)
        return None
    sample = Image.fromarray(_COLOURS).convert(kind)
    before, after = (np.asarray(x, np.int16) for x in (sample.convert("RGB"), transform.apply(sample)))
    if np.abs(before - after).max() <= _ROUNDING:  # by what it does: too many profiles of sRGB exist
        return None
    _log.warning("%s: colours are converted to sRGB from the profile %r.", name, known_as)
    return transform
