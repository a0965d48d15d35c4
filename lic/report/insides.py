"""The pictures that a report shows of the inside of codecs, as evaluations drew them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lic.data import read_image, to_pil
from lic.data.images import image_size
from lic.errors import UserError
from lic.evaluation.points import Curve, Point
from lic.evaluation.result import INNER, kept_picture

BUDGET = 1_500_000
"""Bytes of all of them in base64 together."""
_LONGEST = 10_000  # pixels of a side; WebP knows no more than 16,383
_QUALITY = 80


@dataclass(frozen=True)
class Inside:
    """One picture, a lossy ``webp`` file, of how a point's codec coded an image."""

    label: str
    image: str
    width: int
    height: int
    webp: bytes


def insides(curves: Sequence[Curve], budget: int = BUDGET) -> tuple[list[Inside], int]:
    """As many pictures as fit the budget in base64, and how many there are.

    Those of the points' first images come first, and among them the low rates of every curve.

    Raises:
        UserError: a picture cannot be read, or is too large.
    """
    tiers = [
        [(curve, point, _kept(point)) for curve, point in zip(curves, tier, strict=True) if point]
        for tier in zip_longest(*(curve.points for curve in curves))
    ]
    points = [entry for tier in tiers for entry in tier]
    found = [
        (f"{curve.label}, {point.result.codec.setting}", *kept[index])
        for index in range(max((len(kept) for *_, kept in points), default=0))
        for curve, point, kept in points
        if index < len(kept)
    ]
    shown: list[Inside] = []
    for label, image, file in found:
        inside = _inside(label, image, file)
        budget -= len(inside.webp) * 4 // 3
        if budget < 0:
            break
        shown.append(inside)
    return shown, len(found)


def _kept(point: Point) -> list[tuple[str, Path]]:
    files = ((row.file, kept_picture(point.run, INNER, row.file)) for row in point.result.rows)
    return [(name, file) for name, file in files if file]


def _inside(label: str, image: str, file: Path) -> Inside:
    width, height = image_size(file)
    if max(width, height) > _LONGEST:
        raise UserError(f"{file} has {width}x{height} pixels, more than lic draws; evaluate the run again.")
    stream = io.BytesIO()
    to_pil(read_image(file)).save(stream, "WEBP", quality=_QUALITY, method=4)
    return Inside(label, image, width, height, stream.getvalue())
