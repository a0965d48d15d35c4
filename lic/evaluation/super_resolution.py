"""Measures a network that enlarges images, beside bicubic interpolation: ``super_resolution.json``.

Each image is cut to a multiple of four, made four times smaller, and made large again. What is compared are
8-bit pixels, as with codecs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lic.atomic import write_text
from lic.codecs import TILE
from lic.codecs.base import CodecInfo
from lic.codecs.learned import as_stored
from lic.console import track
from lic.data import ImageSet, Pixels, to_batch, to_float, write_png
from lic.data.images import to_image, with_channels
from lic.errors import UserError
from lic.evaluation.evaluate import some_pictures
from lic.evaluation.points import Point, collect, find_files
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS
from lic.evaluation.values import (
    check_fields,
    check_images,
    check_value,
    from_json,
    json_text,
    mean_of,
    means_of,
    read_info,
    reading,
)
from lic.foreign import read_json
from lic.layers.upsample import Bicubic
from lic.locking import refuse_links
from lic.metrics.complexity import macs_per_pixel
from lic.metrics.measures import measure_images
from lic.models.base import Network
from lic.models.srgan import FACTOR, SRResNet, enlarge, shrunk, whole_blocks

SUPER_RESOLUTION_FILE = "super_resolution.json"
BICUBIC = "bicubic"
"""The folder of a run that holds ``<file>.png`` of what interpolation makes of a few images."""
_PICTURES = (ORIGINALS, RECONSTRUCTIONS, BICUBIC)


@dataclass(frozen=True)
class Row:
    """One image, cut to a multiple of four: ``width`` and ``height`` are what is left.

    ``measures`` are those of `lic.metrics.measures` of what the network made of the small image, ``bicubic``
    of what interpolation did; ``seconds`` are the network's, with the conversion of pixels.
    """

    file: str
    width: int
    height: int
    measures: dict[str, float]
    bicubic: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Enlargement:
    """All rows of one network on one set of images. ``threads`` are those that torch computed with."""

    network: CodecInfo
    data: str
    rows: tuple[Row, ...]
    threads: int

    @property
    def images(self) -> tuple[tuple[str, int, int], ...]:
        """Name and size of every image."""
        return tuple((row.file, row.width, row.height) for row in self.rows)

    @property
    def mean(self) -> dict[str, float]:
        """The averages of every measure as `Result.mean` has them, and those of ``…_bicubic`` beside them."""
        pixels = [row.width * row.height for row in self.rows]
        bicubic = means_of([row.bicubic for row in self.rows], pixels)
        return {
            **means_of([row.measures for row in self.rows], pixels),
            **{f"{name}_{BICUBIC}": value for name, value in bicubic.items()},
            "seconds": mean_of([row.seconds for row in self.rows]),
        }

    def save(self, path: Path) -> None:
        """Write ``super_resolution.json``, atomically."""
        content = {
            "network": asdict(self.network),
            "data": self.data,
            "threads": self.threads,
            "mean": self.mean,
            "rows": [asdict(row) for row in self.rows],
        }
        write_text(path, json_text(content))

    @classmethod
    def load(cls, path: Path) -> "Enlargement":
        """Read it back, which may be anybody's: every value has its type and a sane size.

        Raises:
            UserError: the file, which it names, is none, or not of its folder.
        """
        with reading(path, "super-resolution result"):
            content = read_json(path.parent, path.name)
            rows = tuple(_row(row) for row in content["rows"])
            result = cls(read_info(content["network"]), content["data"], rows, content["threads"])
            check_fields(result.network, *rows)
            check_value("data", result.data, str)
            check_value("threads", result.threads, int)
            check_images(result.images)
            return result


@dataclass(frozen=True)
class EnlargementPoint:
    """A result and the run folder that holds it."""

    run: Path
    result: Enlargement


def collect_all(folders: Sequence[Path]) -> tuple[list[Point], list[EnlargementPoint]]:
    """The results of codecs, see `collect`, and of networks that enlarge, in or below the folders.

    Raises:
        UserError: there is none of either, or one cannot be read.
    """
    enlarged = _collect(folders)
    return collect(folders, required=not enlarged), enlarged


def _collect(folders: Sequence[Path]) -> list[EnlargementPoint]:
    """Each once, sets of images together."""
    found = [
        EnlargementPoint(f.parent, Enlargement.load(f)) for f in find_files(folders, SUPER_RESOLUTION_FILE)
    ]
    kept = [one for one in found if one.result.rows]
    return sorted(kept, key=lambda one: (one.result.data, one.result.images, one.result.network.curve))


def enlarges(net: Network) -> bool:
    """Whether a network is one that `evaluate_enlarging` measures."""
    return isinstance(net, SRResNet)


def evaluate_enlarging(
    named: tuple[Network, CodecInfo], images: ImageSet, folder: Path, data: str
) -> Enlargement:
    """Measure a network on ``images`` and leave the evidence in ``folder``.

    Writes, of a few images, ``originals/``, ``reconstructions/`` and ``bicubic/``; last,
    ``super_resolution.json``. A gray image is repeated for the network, and comes back as the mean.

    Args:
        named: the network, on the CPU, and who it is in reports; it is put in evaluation mode.
        images: the test set.
        folder: where the files go.
        data: what the set is called in reports.

    Raises:
        UserError: an image cannot be read or has a side below four, ``folder`` leads out of itself, or the
            network yields numbers that are not finite.
    """
    net, info = named
    assert isinstance(net, SRResNet)
    refuse_links(folder, _PICTURES)
    net.eval()
    pictures, rows = some_pictures(len(images)), []
    for index, name in enumerate(track(images.names, f"{info.curve}, {info.setting}")):
        image = _cut(images[index], name)
        row, made = _measure(net, image, name)
        rows.append(row)
        if index in pictures:
            for kind, pixels in zip(_PICTURES, (image, *made), strict=True):
                write_png(folder / kind / f"{name}.png", pixels)
    macs = round(macs_per_pixel(net, side=24) / FACTOR**2)
    result = Enlargement(replace(info, macs=macs), data, tuple(rows), torch.get_num_threads())
    result.save(folder / SUPER_RESOLUTION_FILE)
    return result


def _measure(net: SRResNet, image: Pixels, name: str) -> tuple[Row, tuple[Pixels, Pixels]]:
    """The row of an image, and what the network and what interpolation made of it."""
    height, width, channels = image.shape
    small = shrunk(to_float(to_batch(image)))
    start = time.perf_counter()
    by_network = as_stored(enlarge(net, with_channels(to_image(small), 3), TILE), channels)
    seconds = time.perf_counter() - start
    by_bicubic = to_image(Bicubic(channels, FACTOR)(small))
    values, beside = (_measures(image, made) for made in (by_network, by_bicubic))
    return Row(name, width, height, values, beside, seconds), (by_network, by_bicubic)


def _measures(image: Pixels, made: Pixels) -> dict[str, float]:
    return {name: value.item() for name, value in measure_images(to_batch(image), to_batch(made)).items()}


def _cut(image: Pixels, name: str) -> Pixels:
    cut: Pixels = whole_blocks(to_batch(image))[0].permute(1, 2, 0).numpy()
    if not cut.size:
        height, width = image.shape[:2]
        raise UserError(f"{name} has {width}x{height} pixels, too few to be made {FACTOR} times smaller.")
    return cut


def _row(content: Mapping[str, Any]) -> Row:
    tables = {
        kind: {key: from_json(value) for key, value in content[kind].items()}
        for kind in ("measures", "bicubic")
    }
    return Row(**{**content, "seconds": from_json(content["seconds"])} | tables)
