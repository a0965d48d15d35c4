"""Sets of images: what they are called, how many there are, and their pixels."""

import hashlib
import logging
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from lic.data.images import Pixels, read_image
from lic.errors import UserError

_log = logging.getLogger(__name__)

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class ImageSet(Protocol):
    """A finite, ordered set of whole images."""

    @property
    def names(self) -> tuple[str, ...]:
        """A unique name per image, usable as the stem of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pixels:
        """The image as uint8 RGB ``[H, W, 3]``; raises `UserError` naming the file if it is unreadable."""


class StoredImageSet(ImageSet, Protocol):
    """An image set that lies on disk, so that it can be decoded once into a cache."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the pixels."""


class ImageFolder:
    """All images below a folder, recursively, in the order of their relative paths.

    Files are told by their suffix; hidden files are passed over. Images are decoded when asked for.

    Raises:
        UserError: The folder is missing or holds no image.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"{self.root} is not a folder; give the folder that holds the images.")
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        self._paths = sorted(
            p for p in found if p.suffix.lower() in SUFFIXES and not _hidden(p) and (self.root / p).is_file()
        )
        if not self._paths:
            raise UserError(f"{self.root} holds no image (*.png, *.jpg, *.webp, …); give a folder that does.")
        self.names = _unique_stems(self._paths)

    @property
    def files(self) -> tuple[Path, ...]:
        """The image files, one per image."""
        return tuple(self.root / path for path in self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.root / self._paths[index])


class BuiltinPhotos:
    """Photographs that scikit-image's wheel carries; nothing is downloaded.

    Gray ones and a microscope's are good enough to choose checkpoints, so the test photos are all in colour.
    The right half of the stereo pair is in neither part: it would be a near-duplicate.
    """

    name = "builtin"
    FILES: ClassVar = {
        "valid": ("rocket.jpg", "ihc.png", "camera.png", "coins.png", "grass.png"),
        "test": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    }

    def __init__(self, split: Literal["valid", "test"]) -> None:
        folder = Path(str(files("skimage") / "data"))
        self.files = tuple(folder / name for name in self.FILES[split])
        self.names = tuple(path.stem for path in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.files[index])


class Subset:
    """Some images of an `ImageFolder`, in the order of ``indices``."""

    def __init__(self, images: ImageFolder, indices: Sequence[int]) -> None:
        self._images, self._indices = images, tuple(indices)
        self.names = tuple(images.names[i] for i in self._indices)
        self.files = tuple(images.files[i] for i in self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Pixels:
        return self._images[self._indices[index]]


def split_folder(images: ImageFolder) -> tuple[Subset, Subset, Subset]:
    """Split a folder into about 90 % training, 5 % validation and 5 % test images, at least one each.

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
    shares = [  # of the way from the smallest hash to the largest
        int.from_bytes(hashlib.sha256(path.relative_to(images.root).as_posix().encode()).digest()[:4]) / 2**32
        for path in images.files
    ]
    order = sorted(range(len(images)), key=shares.__getitem__)
    test_end = max(1, sum(share < 0.05 for share in shares))
    valid_end = max(test_end + 1, sum(share < 0.1 for share in shares))
    test_end, valid_end = min(test_end, len(images) - 2), min(valid_end, len(images) - 1)
    parts = order[valid_end:], order[test_end:valid_end], order[:test_end]
    train, valid, test = (Subset(images, sorted(part)) for part in parts)
    _log.info(
        "%s is split into %d training, %d validation, %d test images.",
        images.root,
        *map(len, (train, valid, test)),
    )
    return train, valid, test


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _unique_stems(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name files by their relative path without suffix; what is then equal is numbered."""
    names: dict[str, str] = {}  # folded, because some file systems do not tell cases apart
    for path in paths:
        stem = name = "-".join(path.with_suffix("").parts)
        count = 1
        while name.casefold() in names:
            count += 1
            name = f"{stem}-{count}"
        names[name.casefold()] = name
    return tuple(names.values())
