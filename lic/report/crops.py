"""One picture for a page: a crop of an image, as several codecs leave it, side by side.

Made as reports are, of the files that evaluations left.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from lic.data import Pixels, read_image
from lic.drawing import panels
from lic.drawing.panels import SIDE, Panel
from lic.errors import UserError
from lic.evaluation.points import Point, number, quality
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, CodecInfo, Row, kept_picture
from lic.metrics.measures import all_measures


@dataclass(frozen=True)
class Kept:
    """One image of one point whose pixels evaluation kept: two PNG files."""

    codec: CodecInfo
    row: Row
    original: Path
    reconstruction: Path


@dataclass(frozen=True)
class Crop:
    """A part of an image, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """From ``X,Y,WIDTH,HEIGHT``.

        Raises:
            UserError: anything else, or an empty crop.
        """
        match = re.fullmatch(r"(\d{1,9}),(\d{1,9}),([1-9]\d{0,8}),([1-9]\d{0,8})", text, re.ASCII)
        if not match:
            raise UserError(
                f"{text!r} is no crop; give X,Y,WIDTH,HEIGHT in whole pixels, as in 128,64,256,256."
            )
        return cls(*map(int, match.groups()))

    @classmethod
    def centre(cls, width: int, height: int) -> "Crop":
        """The middle of an image: at most `SIDE` pixels a side."""
        w, h = min(width, SIDE), min(height, SIDE)
        return cls((width - w) // 2, (height - h) // 2, w, h)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.x},{self.y}"

    def of(self, image: Pixels) -> Pixels:
        """This part of ``image``, in which it must lie."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def choose(points: Iterable[Point], image: str | None = None, bpp: float | None = None) -> list[Kept]:
    """One reconstruction of one image per codec: classical codecs first, then the learned ones, by name.

    Of several settings of a learned codec, the one whose file of this image is nearest to ``bpp``; by default
    to the lowest rate that all of them have (the highest of their lowest). Of the qualities of a classical
    codec, the one whose file is nearest in size to the mean of those. Without learned codecs the
    classical ones follow their rule.

    Args:
        points: all settings of all codecs.
        image: its name, without a suffix; by default the first of which all codecs kept the pixels.
        bpp: bits per pixel.

    Raises:
        UserError: there is no such image of which all codecs kept the pixels.
    """
    points = list(points)
    found = _find(points, image)
    groups: dict[str, list[Kept]] = {}
    for kept in sorted(found, key=lambda kept: (kept.codec.learned, kept.codec.curve, kept.row.bpp)):
        groups.setdefault(kept.codec.key, []).append(kept)
    learned = [group for group in groups.values() if group[0].codec.learned]
    classical = [group for group in groups.values() if not group[0].codec.learned]
    leading = learned or classical
    rate = max(group[0].row.bpp for group in leading) if bpp is None else bpp
    shown = [_nearest(group, rate) for group in leading]
    if learned:
        mean = fmean(kept.row.bpp for kept in shown)
        shown = [_nearest(group, mean) for group in classical] + shown
    return shown


def picture(shown: Sequence[Kept], crop: Crop | None = None) -> Pixels:
    """The original and what the codecs made of it, with names and numbers below; the centre by default.

    The numbers are those of the whole image. Crops smaller than `SIDE` are enlarged by a whole factor.

    Raises:
        UserError: the crop does not lie in the image, or the files are of different images.
    """
    original = _original(shown)
    height, width = original.shape[:2]
    crop = crop or Crop.centre(width, height)
    name = shown[0].row.file
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise UserError(
            f"The crop {crop} does not lie in {name}, which has {width}x{height} pixels; move it."
        )
    images = [original, *(read_image(kept.reconstruction) for kept in shown)]
    if {image.shape for image in images} != {original.shape}:
        raise UserError(f"The reconstructions of {name} have other sizes than it; evaluate the codecs again.")
    pixels = [crop.of(image) for image in images]
    heads = ["Original", *(kept.codec.curve for kept in shown)]
    notes = [(name, str(crop), "numbers: whole image"), *map(_numbers, shown)]
    return panels.row([Panel(*parts) for parts in zip(pixels, heads, notes, strict=True)])


def _find(points: Sequence[Point], image: str | None) -> list[Kept]:
    """All that was kept of an image, of which every codec kept something."""
    images: dict[tuple[str, str, int, int], list[Kept]] = {}
    for point in points:
        for row in point.result.rows:
            original = kept_picture(point.run, ORIGINALS, row.file)
            reconstruction = kept_picture(point.run, RECONSTRUCTIONS, row.file)
            if original and reconstruction:
                kept = Kept(point.result.codec, row, original, reconstruction)
                images.setdefault((point.result.data, row.file, row.width, row.height), []).append(kept)
    wanted = {point.result.codec.key: point.result.codec.curve for point in points}
    common = {image: found for image, found in images.items() if {k.codec.key for k in found} == set(wanted)}
    names = list(dict.fromkeys(name for _, name, *_ in common))
    if not names:
        raise UserError(
            f"There is no image of which all codecs kept the pixels ({'; '.join(sorted(wanted.values()))}); "
            "evaluate them on the same images, or name the folders of fewer codecs."
        )
    if image is not None and image not in names:
        known = any(row.file == image for point in points for row in point.result.rows)
        reason = "not all codecs kept the pixels of it" if known else "it is not among the images"
        raise UserError(
            f"{image} cannot be shown: {reason}; choose one of {', '.join(names)}. (An evaluation keeps four "
            "images of its set; a folder of up to four it keeps whole.)"
        )
    return next(found for (_, name, *_), found in common.items() if image in (None, name))


def _nearest(group: Sequence[Kept], bpp: float) -> Kept:
    return min(group, key=lambda kept: abs(kept.row.bpp - bpp))


def _original(shown: Sequence[Kept]) -> Pixels:
    """The image that all have coded."""
    original = read_image(shown[0].original)
    for kept in shown[1:]:
        if not np.array_equal(read_image(kept.original), original):
            raise UserError(
                f"{shown[0].original} and {kept.original} are different images; compare codecs that were "
                "evaluated on the same ones."
            )
    return original


def _numbers(kept: Kept) -> tuple[str, ...]:
    qualities = ", ".join(
        quality(kept.row, measure) for measure in all_measures().values() if measure.caption
    )
    return kept.codec.setting, f"{number(kept.row.bpp, 4)} bpp", qualities
