"""Checks of options, image sets and sources of patches, before hours are spent on them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from lic.data.images import Pixels, image_size, in_words
from lic.data.sources import ImageSet
from lic.errors import UserError

_MANY = 200  # images, which take seconds to read
_LONGEST_NAME = 240  # bytes; with a suffix, file systems take 255


class PatchSource(Protocol):
    """Where training patches come from."""

    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        """Draw patches, uint8 ``[len(items), C, size, size]``, each a pure function of (key, item, size)."""


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse values that the options of `lic.data.ImageData` cannot have.

    Raises:
        UserError: there is one; the sentence names it.
    """
    for key in ("batch_size", "patch_size", "epoch_batches", "train_limit"):
        optional = key in ("epoch_batches", "train_limit")
        if not (_is_positive(options[key]) or (optional and options[key] is None)):
            kinds = "a positive whole number" + " or null" * optional
            raise UserError(f"data.{key} must be {kinds}, not {options[key]!r}.")
    for key in ("horizontal_flips", "vertical_flips"):
        if not isinstance(options[key], bool):
            raise UserError(f"data.{key} must be true or false, not {options[key]!r}.")
    if not isinstance(rotations := options["rotations"], bool) and rotations != "any":
        raise UserError(
            f"data.rotations must be true (by multiples of 90 degrees), any or false, not {rotations!r}."
        )
    share = options["valid_share"]
    if share is not None and not (isinstance(share, float) and 0 < share < 0.9):
        raise UserError(f"data.valid_share must be a share such as 0.2, below 0.9, or null, not {share!r}.")
    channels, size = options["channels"], options["test_size"]
    if type(channels) is not int or channels not in (1, 3):
        raise UserError(f"data.channels must be 1 (gray) or 3 (colour), not {channels!r}.")
    if size is not None and not (isinstance(size, tuple) and len(size) == 2 and all(map(_is_positive, size))):
        given = list(size) if isinstance(size, tuple) else size
        raise UserError(f"data.test_size must be [WIDTH,HEIGHT] in pixels or null, not {given!r}.")


def check_images(images: object, option: str) -> ImageSet:
    """An image set, after a look at its first image; one that cannot be read is left to whoever needs it.

    Args:
        images: what somebody gave.
        option: where, for messages: ``data.train``.

    Raises:
        UserError: it is no image set, or an empty one.
    """
    if not all(hasattr(images, name) for name in ("names", "__len__", "__getitem__")):
        raise UserError(
            f"{option} is a {type(images).__name__}, which lacks what an image set has (names, a length, "
            "images as uint8 arrays; files to be trained on); see docs/data.md."
        )
    images = cast(ImageSet, images)
    if not 0 < len(images) == len(images.names):
        raise UserError(
            f"{option} has {len(images.names)} names for {len(images)} images; give a set with a name for "
            "each, and with some."
        )
    try:
        first: object = images[0]
    except UserError:
        return images
    if not (isinstance(first, np.ndarray) and first.dtype == np.uint8 and _is_image(first.shape)):
        raise UserError(
            f"The first image of {option} is a {in_words(first)}; give a set of uint8 arrays [H, W, 3], or "
            "[H, W, 1] if gray."
        )
    return images


def look_through(images: ImageSet, option: str, least_side: int, reason: str) -> None:
    """Read all images that will be needed after hours; of more than `_MANY` files only the headers.

    Args:
        images: a set.
        option: where it was given, for messages: ``data.valid``.
        least_side: in pixels, of what follows.
        reason: why, and what there is beside other images.

    Raises:
        UserError: an image cannot be read, or a side is shorter.
    """
    files = getattr(images, "files", ())
    headers = len(images) > _MANY and len(files) == len(images)
    for index, name in enumerate(images.names):
        size = image_size(files[index]) if headers else images[index].shape[1::-1]
        if min(size) < least_side:
            raise UserError(
                f"{name}, of {option}, has {size[0]}x{size[1]} pixels and needs {least_side} a side "
                f"{reason}; leave it out, or give other images."
            )


def check_names(images: ImageSet, option: str) -> None:
    """Test images become files called after them.

    Raises:
        UserError: a name cannot be a file's, or occurs twice.
    """
    for name in images.names:
        if not isinstance(name, str) or not _is_file_name(name):
            raise UserError(
                f"{option} has an image called {name!r:.99}, which no file can be called; give names without "
                f"folders, of at most {_LONGEST_NAME} bytes."
            )
    name, times = Counter(name.casefold() for name in images.names).most_common(1)[0]
    if times > 1:
        raise UserError(f"{option} has {times} images called {name!r:.99}; give each a name of its own.")


def check_patches(source: PatchSource, size: int) -> None:
    """Draw one patch of a source that makes its own.

    Raises:
        UserError: it is none.
    """
    patches: object = source.patches((0, 0), range(1), size)
    shapes = [(1, channels, size, size) for channels in (1, 3)]
    if not (isinstance(patches, np.ndarray) and patches.dtype == np.uint8 and patches.shape in shapes):
        raise UserError(
            f"The patches of data.train are a {in_words(patches)}; let {type(source).__name__}.patches give "
            f"uint8 arrays [N, 3, {size}, {size}], or [N, 1, {size}, {size}] if gray."
        )


def _is_positive(value: object) -> bool:
    return type(value) is int and value > 0


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3) and 0 not in shape


def _is_file_name(name: str) -> bool:
    plain = Path(name).name == name and name not in ("", "..") and not set("\\\0") & set(name)
    return plain and len(name.encode(errors="replace")) <= _LONGEST_NAME
