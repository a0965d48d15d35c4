"""How values of pixels are distributed, beside a normal distribution."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lic.data.images import Pixels
from lic.drawing.panels import FONT_SIZE, font

WIDTH, HEIGHT = 384, 240
_FLOOR = HEIGHT - FONT_SIZE - 8  # where the bars stand
_WITHIN = 0.998  # of the values are drawn
_RANGES = (8, 16, 32, 64, 128, 255)
_BARS, _CURVE, _AXIS = (150, 170, 200), (200, 30, 30), (90, 90, 90)


@dataclass(frozen=True)
class Moments:
    """Of a set of values: the mean, the standard deviation, and the kurtosis, which is 3 for a normal one.

    Where all values are equal the kurtosis is NaN.
    """

    mean: float
    sigma: float
    kurtosis: float

    @classmethod
    def of(cls, values: NDArray[np.int16]) -> "Moments":
        """Those of all ``values``, at least one."""
        levels, shares = _shares(values)  # few: powers of all values would take memory
        mean = float((shares * levels).sum())
        variance, fourth = (float((shares * (levels - mean) ** power).sum()) for power in (2, 4))
        return cls(mean, math.sqrt(variance), fourth / variance**2 if variance else math.nan)


def histogram(values: NDArray[np.int16], low: int, high: int) -> Pixels:
    """The share of each level as a bar, and the normal distribution of the same mean and σ as a curve.

    Args:
        values: of pixels, or their differences, in whole levels.
        low: the first level of the axis.
        high: the last one.
    """
    levels = np.arange(low, high + 1)
    share_of = dict(zip(*_shares(values), strict=True))
    shares = np.array([share_of.get(level, 0.0) for level in levels])
    moments = Moments.of(values)
    fine = np.linspace(low, high, 4 * WIDTH) if moments.sigma else np.zeros(0)
    curve = _normal(fine, moments)
    top = max(shares.max(), curve.max(initial=0)) * 1.05 or 1  # or: no value is on the axis
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    step = (WIDTH - 1) / len(levels)

    def down(share: float) -> float:
        return _FLOOR - share / top * (_FLOOR - 4)

    for index, share in enumerate(shares):
        if share:
            draw.rectangle((index * step, down(share), (index + 1) * step, _FLOOR), fill=_BARS)
    points = [((x - low + 0.5) * step, down(y)) for x, y in zip(fine, curve, strict=True)]
    draw.line(points, fill=_CURVE, width=2, joint="curve")
    draw.line((0, _FLOOR, WIDTH, _FLOOR), fill=_AXIS)
    for level, anchor in ((low, "la"), ((low + high + 1) // 2, "ma"), (high, "ra")):
        x = (level - low + 0.5) * step
        draw.line((x, _FLOOR, x, _FLOOR + 4), fill=_AXIS)
        place = {"la": 0.0, "ma": x, "ra": WIDTH - 1.0}[anchor]
        draw.text((place, _FLOOR + 5), f"{level}", fill="black", font=font(), anchor=anchor)
    return np.asarray(picture)


def reach(differences: NDArray[np.int16]) -> int:
    """How far an axis must go to both sides for nearly all differences of pixels."""
    largest = float(np.quantile(np.abs(differences), _WITHIN))
    return next(limit for limit in _RANGES if largest <= limit)


def _shares(values: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The levels that occur, and how often each."""
    levels, counts = np.unique(values, return_counts=True)
    return levels, counts / values.size


def _normal(x: NDArray[np.float64], moments: Moments) -> NDArray[np.float64]:
    scaled = (x - moments.mean) / moments.sigma
    return np.exp(-(scaled**2) / 2) / (moments.sigma * math.sqrt(2 * math.pi))
