"""Sizes by format: of the compact image of one network in each, and of what it is decoded to."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import PIL.Image

from lic.codecs.formats import FORMATS
from lic.data import Pixels, read_image, to_batch, to_pil
from lic.data.images import Channels, image_size, with_channels
from lic.evaluation.points import Curve, Point
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, kept_picture
from lic.metrics.quality import psnr, ssim

SAVED = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
"""Formats of a decoded image, as Pillow writes them by default."""
MOST_NETWORKS = 4
PIXELS = 1_500_000
"""Of all images that are saved so, but one of each network: SSIM takes a second for a million."""
_SCALES = {form.scale.name for form in FORMATS.values() if form.scale}


@dataclass(frozen=True)
class Size:
    """Means over images, of which quality may be NaN or inf."""

    name: str
    bytes: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Sizes:
    """One network: files with its compact image in each format, and the decoded image saved in each.

    The latter are of ``images`` pictures that the evaluation kept, and their quality is to the originals.
    """

    label: str
    compact: tuple[Size, ...]
    decoded: tuple[Size, ...]
    images: int


def sizes_by_format(curves: Sequence[Curve]) -> tuple[list[Sizes], int]:
    """Of networks that one evaluation measured with several inner coders, and how many there are.

    Raises:
        UserError: a kept picture cannot be read.
    """
    groups: dict[str, list[Point]] = {}
    for point in (point for curve in curves for point in curve.points):
        if "inner" in point.result.codec.choices:
            groups.setdefault(_network(point), []).append(point)
    found = [points for points in groups.values() if len(points) > 1]
    shown = found[:MOST_NETWORKS]
    return [_sizes(points, PIXELS // len(shown)) for points in shown], len(found)


def _network(point: Point) -> str:
    """The same for all points of one evaluation of a network."""
    result = point.result
    codec = result.codec
    trained = {k: v for k, v in codec.choices.items() if k not in {"inner", "library", *_SCALES}}
    who = [codec.model, codec.options, codec.objective, trained, codec.parameters]
    return json.dumps([str(point.run.parent), *who, result.data, result.images], sort_keys=True)


def _sizes(points: Sequence[Point], pixels: int) -> Sizes:
    by_size = sorted(points, key=lambda point: -_bytes(point))
    best_first = sorted(points, key=lambda point: -point.mean["psnr"])
    kept = (list(_pictures(point, pixels)) for point in best_first)
    pictures = next(filter(None, kept), [])
    return Sizes(
        _label(points),
        tuple(Size(_format(p), _bytes(p), p.mean["psnr"], p.mean["ssim"]) for p in by_size),
        tuple(_saved(pictures)),
        len(pictures),
    )


def _bytes(point: Point) -> float:
    return mean(row.bytes for row in point.result.rows)


def _format(point: Point) -> str:
    """As settings are called: "jpeg-50"."""
    choices = point.result.codec.choices
    return "-".join(str(choices[key]) for key in ("inner", *sorted(_SCALES & choices.keys())))


def _label(points: Sequence[Point]) -> str:
    """What people call the network: `CompactCodec` adds the inner coder to that, as the last part."""
    codec = points[0].result.codec
    lossy = _SCALES & codec.choices.keys()  # then its setting is that of the format, and the stride before it
    network = codec.curve.rpartition(", ")[0]
    return network if lossy else f"{network}, {codec.setting}"


def _pictures(point: Point, pixels: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Originals and what they were decoded to, of altogether so many pixels."""
    for row in point.result.rows:
        files = [kept_picture(point.run, kind, row.file) for kind in (ORIGINALS, RECONSTRUCTIONS)]
        if not all(files):
            continue
        sizes = {image_size(file) for file in files if file}
        if pixels < 0 or row.width * row.height > PIXELS or sizes != {(row.width, row.height)}:
            return
        pixels -= row.width * row.height
        original, decoded = (read_image(file) for file in files if file)
        yield original, decoded


def _saved(pictures: Sequence[tuple[Pixels, Pixels]]) -> Iterator[Size]:
    PIL.Image.init()
    exact = [_qualities(original, decoded) for original, decoded in pictures]
    for form in SAVED:
        if not pictures or form not in PIL.Image.SAVE:
            continue
        files = [_file(decoded, form) for _, decoded in pictures]
        qualities = []
        for (original, decoded), file, lossless in zip(pictures, files, exact, strict=True):
            found = _read(file, original)
            qualities.append(lossless if np.array_equal(found, decoded) else _qualities(original, found))
        yield Size(form, mean(map(len, files)), *map(mean, zip(*qualities, strict=True)))


def _qualities(original: Pixels, found: Pixels) -> tuple[float, float]:
    """PSNR and SSIM."""
    x, y = to_batch(original), to_batch(found)
    return psnr(x, y).item(), ssim(x, y).item()


def _file(image: Pixels, form: str) -> bytes:
    stream = io.BytesIO()
    to_pil(image).save(stream, form)
    return stream.getvalue()


def _read(file: bytes, original: Pixels) -> Pixels:
    channels: Channels = 1 if original.shape[2] == 1 else 3  # GIF and WebP know colour alone
    return with_channels(read_image(io.BytesIO(file)), channels)
