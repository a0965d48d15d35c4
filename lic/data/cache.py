"""Training images decoded once, into one memory-mapped file that all workers and runs share."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from platformdirs import user_cache_dir

from lic.atomic import replacing, write_text
from lic.console import track
from lic.data.images import Pixels
from lic.data.sources import StoredImageSet
from lic.errors import UserError
from lic.foreign import read_json

_log = logging.getLogger(__name__)
_FORMAT = 1  # part of the key: counts up when the layout or the conversion to RGB changes
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

    The cache is a file of planar uint8 RGB pixels and a JSON index, named by a hash of the files' paths,
    sizes and modification times. Both appear atomically and the index last: processes that build at the
    same time write the same bytes twice, and none reads half a cache. A damaged one is made anew.

    Args:
        images: The images. Those that cannot be read are skipped; a warning counts and names them.
        patch_size: Side of the crops in pixels. Images with a smaller side are skipped likewise.

    Raises:
        UserError: No image is left, or the cache cannot be written.
    """

    def __init__(self, images: StoredImageSet, patch_size: int) -> None:
        index_file = cache_folder() / f"{_key(images)}.json"
        self._file = index_file.with_suffix(".rgb")
        try:
            index = _read(index_file, self._file, len(images)) or _build(images, self._file, index_file)
        except OSError as error:
            raise UserError(
                f"The decoded images cannot be kept in {cache_folder()} ({error}); "
                "name a folder with room in the environment variable LIC_CACHE."
            ) from error
        shapes = np.array(index["shapes"], np.int64).reshape(-1, 2)
        offsets = np.cumsum(3 * shapes.prod(1)) - 3 * shapes.prod(1)
        large = (shapes >= patch_size).all(1)
        self._patch_size, self._shapes, self._offsets = patch_size, shapes[large], offsets[large]

        unreadable = index["unreadable"]
        small = [name for name, fits in zip(index["names"], large, strict=True) if not fits]
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
    def _pixels(self) -> Pixels:
        return np.asarray(np.memmap(self._file, np.uint8, mode="r"))  # views of a plain array are made faster

    def __getstate__(self) -> dict[str, Any]:
        # a memory map pickles as a copy of all pixels: spawned workers map the file themselves
        return {key: value for key, value in self.__dict__.items() if key != "_pixels"}

    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        """Cut random crops of random images, half of them mirrored: uint8 ``[len(items), 3, size, size]``.

        Patch i depends on (key, i) alone: it is given by row i of the numbers that the key's generator draws.
        """
        assert size == self._patch_size, (size, self._patch_size)
        batch = np.empty((len(items), 3, size, size), np.uint8)
        numbers = np.random.default_rng(key).random((items.stop, 4))[items.start :]
        chosen = (numbers[:, 0] * len(self)).astype(int)
        corners = (numbers[:, 1:3] * (self._shapes[chosen] - size + 1)).astype(int)
        mirrored = numbers[:, 3] < 0.5
        for patch, i, (top, left), mirror in zip(batch, chosen, corners, mirrored, strict=True):
            height, width = self._shapes[i]
            image = self._pixels[self._offsets[i] :][: 3 * height * width].reshape(3, height, width)
            patch[:] = image[:, top : top + size, left : left + size]
            if mirror:  # with torch, which has vector instructions for it; numpy goes byte by byte
                patch[:] = torch.from_numpy(patch).flip(-1).numpy()
        return batch


def _key(images: StoredImageSet) -> str:
    """Hash what the pixels depend on: the kind of set, the image names, and the state of the files."""
    stats = [(str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in images.files]
    content = json.dumps([_FORMAT, type(images).__name__, images.names, stats])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read(index_file: Path, pixel_file: Path, count: int) -> _Index | None:
    """The index of ``count`` images, if there is one and all pixels that it tells of."""
    if not index_file.exists():
        return None
    try:
        index: _Index = read_json(index_file.parent, index_file.name)
        names, shapes, unreadable = index["names"], index["shapes"], index["unreadable"]
        sides = [side for shape in shapes for side in shape]
        pixels = sum(height * width for height, width in shapes)
        whole = (
            all(isinstance(name, str) for name in [*names, *unreadable])
            and all(type(side) is int and side > 0 for side in sides)
            and len(names) == len(shapes)
            and len(names) + len(unreadable) == count
            and pixel_file.stat().st_size == 3 * pixels
        )
    except (OSError, ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        _log.warning("The cache %s of decoded images is damaged; it is made anew.", pixel_file)
    return index if whole else None


def _build(images: StoredImageSet, pixel_file: Path, index_file: Path) -> _Index:
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
            file.write(np.ascontiguousarray(image.transpose(2, 0, 1)).data)
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
