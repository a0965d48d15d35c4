"""Sets of images: what they are called, how many there are, and their pixels."""

import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from lic.data.images import Pixels, read_image
from lic.errors import UserError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class ImageSet(Protocol):
    """A finite, ordered set of whole images."""

    @property
    def names(self) -> tuple[str, ...]:
        """A unique name per image, usable as the stem of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pixels:
        """The image as uint8, RGB ``[H, W, 3]`` or gray ``[H, W, 1]``.

        Raises:
            UserError: it cannot be read; the sentence names the file.
        """
        ...


class StoredImageSet(ImageSet, Protocol):
    """An image set that lies on disk, so that it can be decoded once into a cache."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the pixels: one per image, in their order, or some that hold all."""


class ImageFiles:
    """Image files, one per image; they are decoded when asked for, ``managed`` as `read_image` takes it."""

    def __init__(self, files: Iterable[Path], names: Iterable[str], *, managed: bool = False) -> None:
        self.files, self.names, self._managed = tuple(files), tuple(names), managed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.files[index], managed=self._managed)


class ImageFolder(ImageFiles):
    """All images below a folder, recursively, in the order of their relative paths.

    Files are told by their suffix; hidden files are passed over.

    Raises:
        UserError: The folder is missing or holds no image.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"{self.root} is not a folder; give the folder that holds the images.")
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        paths = sorted(
            p for p in found if p.suffix.lower() in SUFFIXES and not _hidden(p) and (self.root / p).is_file()
        )
        if not paths:
            raise UserError(f"{self.root} holds no image (*.png, *.jpg, *.webp, …); give a folder that does.")
        names = unique("-".join(path.with_suffix("").parts) for path in paths)
        super().__init__((self.root / path for path in paths), names)


class BuiltinPhotos(ImageFiles):
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
        photos = [folder / name for name in self.FILES[split]]
        super().__init__(photos, (path.stem for path in photos))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def unique(stems: Iterable[str]) -> tuple[str, ...]:
    """The same names, of which those that occurred before are numbered."""
    names: dict[str, str] = {}  # folded, because some file systems do not tell cases apart
    counts: dict[str, int] = {}
    for stem in stems:
        name = stem
        while name.casefold() in names:
            counts[stem] = counts.get(stem, 1) + 1
            name = f"{stem}-{counts[stem]}"
        names[name.casefold()] = name
    return tuple(names.values())
