"""The images that a report shows: originals and what the codecs made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lic.evaluation.points import Curve, Point, number
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, Row, kept_picture

MAX_IMAGES = 4
BUDGET = 18_000_000
"""Bytes of all images in base64 together; with plotly's 5 MB the page stays below 25 MB."""


@dataclass(frozen=True)
class Picture:
    """One side of a comparison; ``key`` tells pictures of one scene apart."""

    key: str
    label: str
    caption: str
    file: Path


@dataclass(frozen=True)
class Scene:
    """One test image; the first picture is the original. ``left_out`` reconstructions were too large."""

    name: str
    width: int
    height: int
    pictures: tuple[Picture, ...]
    left_out: int


@dataclass(frozen=True)
class _Candidate:
    key: str
    label: str
    point: Point
    row: Row
    file: Path


def gallery(curves: Sequence[Curve], budget: int = BUDGET) -> list[Scene]:
    """Choose images that many runs kept, and as many of their PNG files as fit the budget in base64.

    The images share the budget evenly. Where the reconstructions of an image exceed its share, the low
    rates of every curve come first: their losses are the ones to be seen.
    """
    images = _candidates(curves)
    chosen = sorted(images, key=lambda key: -len(images[key]))[:MAX_IMAGES]
    several = len({data for data, _ in chosen}) > 1
    scenes: list[Scene] = []
    for left, (data, image) in zip(range(len(chosen), 0, -1), chosen, strict=True):
        candidates = images[data, image]
        original = _originals(candidates, image)[0]
        fitting = _fitting(candidates, budget // left - _cost(original))
        if not fitting:
            continue
        budget -= _cost(original) + sum(_cost(candidate.file) for candidate in fitting)
        width, height = fitting[0].row.width, fitting[0].row.height
        source = Picture("original", "Original", f"{width} × {height} pixels", original)
        name = f"{image} · {data}" if several else image
        pictures = (source, *(_picture(candidate) for candidate in fitting))
        scenes.append(Scene(name, width, height, pictures, len(candidates) - len(fitting)))
    return scenes


def _candidates(curves: Sequence[Curve]) -> dict[tuple[str, str], list[_Candidate]]:
    """By data set and image, in the order of rows: every reconstruction that has an original somewhere."""
    images: dict[tuple[str, str], list[_Candidate]] = {}
    pairs = [(curve, point) for curve in curves for point in curve.points]
    for index, (curve, point) in enumerate(pairs):
        for row in point.result.rows:
            if file := kept_picture(point.run, RECONSTRUCTIONS, row.file):
                candidate = _Candidate(str(index), curve.label, point, row, file)
                images.setdefault((curve.data, row.file), []).append(candidate)
    return {key: found for key, found in images.items() if _originals(found, key[1])}


def _originals(candidates: Sequence[_Candidate], image: str) -> list[Path]:
    return [file for c in candidates if (file := kept_picture(c.point.run, ORIGINALS, image))]


def _fitting(candidates: Sequence[_Candidate], budget: int) -> list[_Candidate]:
    labels = dict.fromkeys(candidate.label for candidate in candidates)
    per_curve = [[candidate for candidate in candidates if candidate.label == label] for label in labels]
    fitting = set()
    for tier in zip_longest(*per_curve):
        for candidate in filter(None, tier):
            if _cost(candidate.file) <= budget:
                budget -= _cost(candidate.file)
                fitting.add(candidate.file)
    return [candidate for candidate in candidates if candidate.file in fitting]


def _picture(candidate: _Candidate) -> Picture:
    row = candidate.row
    caption = f"{number(row.bpp, 4)} bpp · PSNR {number(row.psnr, 2)} dB · MS-SSIM {number(row.ms_ssim, 4)}"
    label = f"{candidate.label}, {candidate.point.result.codec.setting}"
    return Picture(candidate.key, label, caption, candidate.file)


def _cost(file: Path) -> int:
    return file.stat().st_size * 4 // 3 + 32
