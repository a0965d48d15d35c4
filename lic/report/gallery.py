"""The images that a report shows: originals and what the codecs made of them."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

from lic.data import read_image, to_pil
from lic.errors import UserError
from lic.evaluation.points import Curve, Point, number, quality
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, RESULT_FILE, Row, kept_picture
from lic.metrics.measures import all_measures
from lic.report.crops import Crop

MAX_IMAGES = 4
MAX_PICTURES = 100
"""Reconstructions of one image: nobody looks at more, and a sweep of hundreds of jobs waits for each."""
BUDGET = 4_000_000
"""Bytes of all images in base64 together; with plotly's 2 MB, compressed, the page stays near 6 MB."""


@dataclass(frozen=True)
class Picture:
    """One side of a comparison; ``key`` tells pictures of one scene apart. ``webp`` is a lossless file."""

    key: str
    label: str
    caption: str
    webp: bytes


@dataclass(frozen=True)
class Scene:
    """One test image, of larger ones than `panels.SIDE` the middle; the first picture is the original.

    ``width`` and ``height`` are those of the pictures. ``left_out`` reconstructions did not fit the page.
    """

    name: str
    width: int
    height: int
    pictures: tuple[Picture, ...]
    left_out: int


@dataclass(frozen=True)
class _Candidate:
    key: str
    curve: int
    label: str
    point: Point
    row: Row
    file: Path


class _Image(NamedTuple):
    """Which image it is: sets of one name may hold different ones."""

    data: str
    file: str
    width: int
    height: int


def gallery(curves: Sequence[Curve], budget: int = BUDGET) -> list[Scene]:
    """Choose images that many runs kept, and as many of their reconstructions as fit the budget in base64.

    Beside learned codecs, classical ones are shown where they compare: at the settings nearest in rate. The
    images share the budget evenly. Where the reconstructions of an image exceed its share, or are more than
    `MAX_PICTURES`, the low rates of every curve come first: their losses are the ones to be seen.

    Raises:
        UserError: a picture cannot be read, or has another size than its row says.
    """
    images = _candidates(curves)
    chosen = sorted(images, key=lambda key: -len(images[key]))[:MAX_IMAGES]
    several = len({key.data for key in chosen}) > 1
    sizes = Counter((key.data, key.file) for key in chosen)
    scenes: list[Scene] = []
    for left, key in zip(range(len(chosen), 0, -1), chosen, strict=True):
        candidates = _comparable(images[key])
        row = candidates[0].row
        crop = Crop.centre(row.width, row.height)
        original = webp(_originals(images[key])[0], (row.width, row.height), crop, RESULT_FILE)
        fitting = _fitting(candidates, crop, budget // left - cost(original))
        if not fitting:
            continue
        budget -= sum(cost(picture.webp) for picture in fitting) + cost(original)
        name = f"{key.file} · {key.data}" if several else key.file
        if sizes[key.data, key.file] > 1:
            name += f" · {row.width} × {row.height}"
        pictures = (original_picture(original, crop, (row.width, row.height)), *fitting)
        scenes.append(Scene(name, crop.width, crop.height, pictures, len(candidates) - len(fitting)))
    return scenes


def _candidates(curves: Sequence[Curve]) -> dict[_Image, list[_Candidate]]:
    """By image, in the order of rows: every reconstruction that has an original somewhere."""
    images: dict[_Image, list[_Candidate]] = {}
    triples = [(index, curve, point) for index, curve in enumerate(curves) for point in curve.points]
    for key, (index, curve, point) in enumerate(triples):
        for row in point.result.rows:
            if file := kept_picture(point.run, RECONSTRUCTIONS, row.file):
                candidate = _Candidate(str(key), index, curve.label, point, row, file)
                image = _Image(curve.data, row.file, row.width, row.height)
                images.setdefault(image, []).append(candidate)
    return {image: found for image, found in images.items() if _originals(found)}


def _originals(candidates: Sequence[_Candidate]) -> list[Path]:
    return [file for c in candidates if (file := kept_picture(c.point.run, ORIGINALS, c.row.file))]


def _per_curve(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    curves: dict[int, list[_Candidate]] = {}
    for candidate in candidates:
        curves.setdefault(candidate.curve, []).append(candidate)
    return list(curves.values())


def _comparable(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """All of the learned codecs; beside them, of every classical one the nearest in rate to each."""
    rates = [candidate.row.bpp for candidate in candidates if candidate.point.result.codec.learned]
    if not rates:
        return list(candidates)
    nearest = {
        min(group, key=lambda candidate: abs(candidate.row.bpp - rate)).key
        for group in _per_curve(candidates)
        for rate in rates
    }
    return [
        candidate
        for candidate in candidates
        if candidate.point.result.codec.learned or candidate.key in nearest
    ]


def _fitting(candidates: Sequence[_Candidate], crop: Crop, budget: int) -> list[Picture]:
    low_rates_first = (c for tier in zip_longest(*_per_curve(candidates)) for c in tier if c)
    fitting: dict[str, Picture] = {}
    for candidate in islice(low_rates_first, MAX_PICTURES):
        picture = _picture(candidate, crop)
        budget -= cost(picture.webp)
        if budget < 0:
            break
        fitting[picture.key] = picture
    return [fitting[candidate.key] for candidate in candidates if candidate.key in fitting]


def _picture(candidate: _Candidate, crop: Crop) -> Picture:
    row = candidate.row
    qualities = (quality(row, measure) for measure in all_measures().values() if measure.caption)
    caption = " · ".join([f"{number(row.bpp, 4)} bpp", *qualities])
    label = f"{candidate.label}, {candidate.point.result.codec.setting}"
    content = webp(candidate.file, (row.width, row.height), crop, RESULT_FILE)
    return Picture(candidate.key, label, caption, content)


def original_picture(content: bytes, crop: Crop, size: tuple[int, int]) -> Picture:
    """The first picture of a scene; its caption says what of the (width, height) is seen."""
    width, height = size
    caption = f"{width} × {height} pixels"
    if (crop.width, crop.height) != size:
        caption = f"the middle {crop.width} × {crop.height} of {caption}"
    return Picture("original", "Original", caption, content)


def webp(file: Path, size: tuple[int, int], crop: Crop, result: str) -> bytes:
    """A part of a picture without loss: a third smaller than as PNG, in a tenth of a second per megapixel.

    Raises:
        UserError: it cannot be read, or has not the (width, height) that the file ``result`` of its run says.
    """
    pixels = read_image(file)
    width, height = size
    if pixels.shape[:2] != (height, width):
        raise UserError(
            f"{file} has {pixels.shape[1]}x{pixels.shape[0]} pixels where {result} says {width}x{height}; "
            "evaluate the run again."
        )
    stream = io.BytesIO()
    to_pil(crop.of(pixels)).save(stream, "WEBP", lossless=True, method=2, quality=50)
    return stream.getvalue()


def cost(content: bytes) -> int:
    """Bytes of a file in a page, in base64."""
    return len(content) * 4 // 3 + 32
