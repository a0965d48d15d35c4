"""Sets made of other sets: parts of one, several as one, and sets whose images are changed."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from lic.data.images import Pixels
from lic.data.sources import ImageFolder, ImageSet, StoredImageSet, unique
from lic.errors import UserError

VALID_SHARE = 0.05
"""Of the images of a folder that is split, those for validation."""
_TEST_SHARE = 0.05

_log = logging.getLogger(__name__)


class Subset:
    """Some images of a set, in the order of ``indices``."""

    def __init__(self, images: StoredImageSet, indices: Sequence[int]) -> None:
        self._images, self._indices = images, tuple(indices)
        self.names = tuple(images.names[i] for i in self._indices)
        one_each = len(images.files) == len(images)
        self.files = tuple(images.files[i] for i in self._indices) if one_each else images.files

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Pixels:
        return self._images[self._indices[index]]


class Union:
    """Several sets as one, in their order; a name that occurs again gets a number. No image is left out.

    ``files``, which makes it a `StoredImageSet`, is there if all ``parts`` have it.
    """

    files: tuple[Path, ...]

    def __init__(self, parts: Sequence[ImageSet]) -> None:
        self.parts = tuple(parts)
        self.names = unique(name for part in parts for name in part.names)
        self._ends = np.cumsum([len(part) for part in parts])
        if all(hasattr(part, "files") for part in parts):
            self.files = tuple(file for part in parts for file in cast(StoredImageSet, part).files)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pixels:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[part][index - int(self._ends[part]) + len(self.parts[part])]


class Changed:
    """The images of a set after ``change``, under the same names."""

    def __init__(self, images: ImageSet, change: Callable[[Pixels], Pixels]) -> None:
        self._images, self._change = images, change
        self.names = images.names

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Pixels:
        return self._change(self._images[index])


def sample(images: StoredImageSet, count: int) -> Subset:
    """At most ``count`` images, those with the least hashes of their names: the same on every machine.

    A larger sample holds all of a smaller one, and one of several sets has its share of each.
    """
    order = sorted(range(len(images)), key=lambda i: _hash(images.names[i]))
    return Subset(images, sorted(order[:count]))


def split_folder(images: ImageFolder, valid_share: float = VALID_SHARE) -> tuple[Subset, Subset, Subset]:
    """Split a folder into training, validation and about 5 % test images, at least one each.

    An image's place depends on the hash of its relative path alone, so the split is the same on every
    machine and stays when images are added. Only where a part would be empty, the next hash fills it.

    Raises:
        UserError: There are fewer than three images.
    """
    if len(images) < 3:
        raise UserError(
            f"{images.root} holds {len(images)} image(s), too few to split; "
            "give data.train, data.valid and data.test, or at least three images."
        )
    shares = [_hash(path.relative_to(images.root).as_posix()) for path in images.files]
    order = sorted(range(len(images)), key=shares.__getitem__)
    test_end = max(1, sum(share < _TEST_SHARE for share in shares))
    valid_end = max(test_end + 1, sum(share < _TEST_SHARE + valid_share for share in shares))
    test_end, valid_end = min(test_end, len(images) - 2), min(valid_end, len(images) - 1)
    parts = order[valid_end:], order[test_end:valid_end], order[:test_end]
    train, valid, test = (Subset(images, sorted(part)) for part in parts)
    _log.info(
        "%s is split into %d training, %d validation, %d test images.",
        images.root,
        *map(len, (train, valid, test)),
    )
    return train, valid, test


def folder_part(root: Path, folder: str, part: Literal["train", "valid"], valid_share: float) -> Subset:
    """The images of a folder below the root but a share for validation, or that share; at least one each.

    They are told apart as by `split_folder`.

    Raises:
        UserError: The folder is missing or holds fewer than two images.
    """
    images = ImageFolder(root / folder)
    if len(images) < 2:
        raise UserError(f"{images.root} holds one image, too few for training and validation; add some.")
    shares = [_hash(path.relative_to(images.root).as_posix()) for path in images.files]
    order = sorted(range(len(images)), key=shares.__getitem__)
    end = min(max(1, sum(share < valid_share for share in shares)), len(images) - 1)
    return Subset(images, sorted(order[:end] if part == "valid" else order[end:]))


def _hash(name: str) -> float:
    """The place of a name on the way from the smallest hash (0) to the largest (1)."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:4]) / 2**32
