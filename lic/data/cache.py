"""Training images decoded once, into one memory-mapped file that all workers and runs share."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from platformdirs import user_cache_dir

from lic.atomic import replacing, write_text
from lic.console import track
from lic.data.derived import Union
from lic.data.images import Channels, Pixels, with_channels
from lic.data.sources import StoredImageSet
from lic.data.turning import Rotations, Turns, sides_of, tilted
from lic.errors import UserError
from lic.foreign import read_json
from lic.locking import in_turn

_log = logging.getLogger(__name__)
_FORMAT = 2  # part of the key: counts up when the layout or the conversion of colours changes
_SUFFIX = {1: ".gray", 3: ".rgb"}
_CHUNK = 64  # images decoded ahead of the writing, which bounds the memory


class _Index(TypedDict):
    """The images in the file of pixels, in its order, and those left out."""

    names: list[str]
    shapes: list[list[int]]  # heights and widths
    unreadable: list[str]


def cache_folder() -> Path:
    """Where decoded images are kept: environment ``LIC_CACHE``, or else the user's cache folder."""
    return Path(os.environ.get("LIC_CACHE") or user_cache_dir("lic"))


class CachedImages:
    """Random crops from images that are decoded once.

    The cache is a file of planar uint8 pixels and a JSON index, named by a hash of the files' paths, sizes
    and modification times. Both appear atomically and the index last: none reads half a cache, and of
    several processes one builds it. A damaged one is made anew. Of a union, every part has its own.

    Args:
        images: The images. Those that cannot be read are skipped; a warning counts and names them.
        patch_size: Side of the crops in pixels. Images with a smaller side are skipped likewise.
        channels: 3 repeats gray images, 1 turns colour into luma, before they are kept.
        horizontal_flips: Mirror half of the crops.
        vertical_flips: Turn half of them upside down, too.
        rotations: Turn each by 0, 90, 180 or 270 degrees, too; or by any angle, as far as its image has
            room (see `lic.data.turning.Turns.tilts`).

    Raises:
        UserError: No image is left, or the cache cannot be written.
    """

    def __init__(
        self,
        images: StoredImageSet,
        patch_size: int,
        *,
        channels: Channels = 3,
        horizontal_flips: bool = True,
        vertical_flips: bool = False,
        rotations: Rotations = False,
    ) -> None:
        parts = cast(tuple[StoredImageSet, ...], images.parts) if isinstance(images, Union) else (images,)
        try:
            caches = [_part(part, channels) for part in parts]
        except OSError as error:
            raise UserError(
                f"The decoded images cannot be kept in {cache_folder()} ({error}); "
                "name a folder with room in the environment variable LIC_CACHE."
            ) from error
        self._files = [file for file, _ in caches]
        shapes = [np.array(index["shapes"], np.int64).reshape(-1, 2) for _, index in caches]
        offsets = [np.cumsum(channels * s.prod(1)) - channels * s.prod(1) for s in shapes]
        places = np.concatenate([np.full(len(s), i) for i, s in enumerate(shapes)])
        large = (np.concatenate(shapes) >= patch_size).all(1)
        self._shapes, self._offsets = np.concatenate(shapes)[large], np.concatenate(offsets)[large]
        self._places = places[large]  # in the list of files
        self._patch_size, self._channels = patch_size, channels
        self._turns = Turns(horizontal_flips, vertical_flips, rotations)

        unreadable = [name for _, index in caches for name in index["unreadable"]]
        names = [name for _, index in caches for name in index["names"]]
        small = [name for name, fits in zip(names, large, strict=True) if not fits]
        _report(f"smaller than the patches of {patch_size} pixels", small, len(images))
        _report("unreadable", unreadable, len(images))
        if not len(self):
            raise UserError(
                f"None of the {len(images)} training images can be used: {len(unreadable)} are unreadable, "
                f"{len(small)} too small; give others, or a data.patch_size below {patch_size}."
            )

    def __len__(self) -> int:
        return len(self._offsets)

    @cached_property
    def _pixels(self) -> list[Pixels]:
        # views of plain arrays are made faster
        return [_mapped(file) for file in self._files]

    def __getstate__(self) -> dict[str, Any]:
        # a memory map pickles as a copy of all pixels: spawned workers map the file themselves
        return {key: value for key, value in self.__dict__.items() if key != "_pixels"}

    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        """Cut random crops of random images, turned as asked for: uint8 ``[len(items), C, size, size]``.

        Patch i depends on (key, i) alone: it is given by row i of the numbers that the key's generators draw.
        Crops are the same however they are turned, but by any angle: those lie where there is room for it.
        """
        assert size == self._patch_size, (size, self._patch_size)
        batch = np.empty((len(items), self._channels, size, size), np.uint8)
        numbers = np.random.default_rng(key).random((items.stop, 4))[items.start :]
        flips, angles = self._turns.numbers(key, items)
        chosen = (numbers[:, 0] * len(self)).astype(int)
        shapes = self._shapes[chosen]
        tilts = self._turns.tilts(4 * angles % 1, shapes.min(1) / size)
        sides = np.minimum(sides_of(tilts, size), shapes.min(1))
        corners = (numbers[:, 1:3] * (shapes - sides[:, None] + 1)).astype(int)
        for patch, i, (top, left), side, tilt in zip(batch, chosen, corners, sides, tilts, strict=True):
            image = self._image(i)
            if tilt:
                patch[:] = tilted(image, (top, left), side, size, tilt)
            else:
                patch[:] = image[:, top : top + size, left : left + size]
        self._turns.turn(batch, numbers[:, 3], flips, angles)
        return batch

    def _image(self, index: int) -> Pixels:
        """One of those that are large enough, [C, H, W]."""
        height, width = self._shapes[index]
        pixels = self._pixels[self._places[index]][self._offsets[index] :]
        return pixels[: self._channels * height * width].reshape(self._channels, height, width)


def _mapped(file: Path) -> Pixels:
    if not file.stat().st_size:  # all images of a part are unreadable; nothing cannot be mapped
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(file, np.uint8, mode="r"))


def _part(images: StoredImageSet, channels: Channels) -> tuple[Path, _Index]:
    """The file of pixels of a set and its index, as they are, or else made now."""
    index_file = cache_folder() / f"{_key(images, channels)}.json"
    pixel_file = index_file.with_suffix(_SUFFIX[channels])
    if index := _read(index_file, pixel_file, images.names, channels):
        return pixel_file, index
    with in_turn(index_file.with_suffix(".lock"), "decodes the same images"):
        index = _read(index_file, pixel_file, images.names, channels)  # another process may have been first
        if not index and index_file.exists():
            _log.warning("The cache %s of decoded images is damaged; it is made anew.", pixel_file)
        return pixel_file, index or _build(images, pixel_file, index_file, channels)


def _key(images: StoredImageSet, channels: Channels) -> str:
    """Hash what the pixels depend on: the kind of set, the image names, and the state of the files."""
    stats = [(str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in images.files]
    content = json.dumps([_FORMAT, channels, type(images).__name__, images.names, stats])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read(index_file: Path, pixel_file: Path, of: Sequence[str], channels: Channels) -> _Index | None:
    """The index of the images called ``of``, if there is one and all pixels that it tells of."""
    if not index_file.exists():
        return None
    try:
        largest = len(json.dumps(of)) + 64 * (len(of) + 1)  # nothing that we wrote has more
        index: _Index = read_json(index_file.parent, index_file.name, largest)
        names, shapes, unreadable = index["names"], index["shapes"], index["unreadable"]
        sides = [side for shape in shapes for side in shape]
        pixels = sum(height * width for height, width in shapes)
        whole = (
            all(isinstance(name, str) for name in [*names, *unreadable])
            and all(type(side) is int and side > 0 for side in sides)
            and len(names) == len(shapes)
            and len(names) + len(unreadable) == len(of)
            and pixel_file.stat().st_size == channels * pixels
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return index if whole else None


def _build(images: StoredImageSet, pixel_file: Path, index_file: Path, channels: Channels) -> _Index:
    names: list[str] = []
    shapes: list[list[int]] = []
    unreadable: list[str] = []
    with replacing(pixel_file) as temporary, temporary.open("wb") as file:
        for name, image in zip(images.names, _decode(images), strict=True):
            if image is None:
                unreadable.append(name)
                continue
            names.append(name)
            shapes.append(list(image.shape[:2]))
            planes = with_channels(image, channels).transpose(2, 0, 1)
            file.write(np.ascontiguousarray(planes).data)
    index: _Index = {"names": names, "shapes": shapes, "unreadable": unreadable}
    write_text(index_file, json.dumps(index))
    return index


def _decode(images: StoredImageSet) -> Iterator[Pixels | None]:
    """All images in order, None for those that cannot be read; threads, because Pillow releases the GIL."""

    def read(index: int) -> Pixels | None:
        try:
            return images[index]
        except UserError as error:
            _log.info("%s", error)
            return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(images), _CHUNK)
        for start in track(starts, f"Decoding {len(images)} training images", transient=True):
            yield from pool.map(read, range(start, min(start + _CHUNK, len(images))))


def _report(fault: str, names: list[str], total: int) -> None:
    if names:
        listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        _log.warning("Skipped %d of %d training images, %s: %s", len(names), total, fault, listed)
