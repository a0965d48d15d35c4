"""Numbers as colours over a photo."""

from typing import TYPE_CHECKING

import numpy as np
import plotly.colors
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lic.data.images import Pixels, with_channels
from lic.drawing.panels import LINE, font

if TYPE_CHECKING:
    from lic.models.inner import HeatMap

OPACITY = 0.65
"""Of the colours over the photo, which shows through in gray."""
_ANCHORS = np.array([plotly.colors.hex_to_rgb(colour) for colour in plotly.colors.sequential.Viridis])
_BAR = 160  # pixels


def colours(shares: NDArray[np.float64]) -> Pixels:
    """Viridis, the shape and three channels: dark violet for 0, yellow for 1; what is outside is clipped."""
    places = np.linspace(0, 1, len(_ANCHORS))
    channels = [np.interp(shares, places, anchors) for anchors in _ANCHORS.T]
    return np.stack(channels, -1).round().astype(np.uint8)


def over_photo(photo: Pixels, heat: "HeatMap") -> Pixels:
    """The photo in gray, and over each position of the map its colour: RGB of the photo's size."""
    height, width = photo.shape[:2]
    tint = colours(heat.values / (heat.highest or 1))
    large = tint.repeat(heat.stride, 0)[:height].repeat(heat.stride, 1)[:, :width]
    gray = with_channels(with_channels(photo, 1), 3)
    return (OPACITY * large + (1 - OPACITY) * gray).round().astype(np.uint8)


def scale(highest: float) -> Pixels:
    """The colours from 0 to ``highest``, with both numbers: a strip, one line high."""
    low, high = "0", f"{highest:.4g}"
    start, end = (int(font().getlength(text)) + 6 for text in (low, high))
    strip = Image.new("RGB", (start + _BAR + end, LINE), "white")
    bar = colours(np.linspace(0, 1, _BAR))[None].repeat(LINE - 6, 0)
    strip.paste(Image.fromarray(bar), (start, 3))
    draw = ImageDraw.Draw(strip)
    draw.text((0, 0), low, fill="black", font=font())
    draw.text((start + _BAR + 6, 0), high, fill="black", font=font())
    return np.asarray(strip)
