"""Which images are for what: the sets of training, validation and test, opened when they are first needed."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from hydra.utils import to_absolute_path

from lic.data.checks import check_images
from lic.data.derived import VALID_SHARE, Union, split_folder
from lic.data.published import PUBLISHED, fetch
from lic.data.sources import ImageFolder, ImageSet
from lic.errors import UserError

Split = Literal["train", "valid", "test"]
Source = str | ImageSet | Callable[[Path], ImageSet]

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_HAVE_ALL = ("builtin", "folder", "clic", "div2k", "flickr2k", "coco", "stl10", "cifar10")
CHOICES = {"train": _HAVE_ALL, "valid": _HAVE_ALL, "test": (*_HAVE_ALL, "kodak")}
"""The values of ``data=`` that have such images."""


class Splits:
    """The image sets of `lic.data.ImageData`, whose options these are.

    Raises:
        UserError: a share for validation, and nothing to split. When a set is first used: see there.
    """

    def __init__(
        self,
        name: str,
        root: str | None,
        given: Mapping[Split, Source | Sequence[Source] | None],
        download: bool,
        valid_share: float | None,
    ) -> None:
        self.name, self._root, self._download = name, root, download
        self.sources = {split: _as_list(source) for split, source in given.items()}
        self._splits_root = all(source is None for source in given.values())
        if valid_share is not None and not self._splits_root:
            raise UserError(
                "data.valid_share is of a folder that is split, and data.train, data.valid or data.test name "
                "images; leave it out."
            )
        self._valid_share = VALID_SHARE if valid_share is None else valid_share
        self._sets: dict[Split, ImageSet] = {}

    def has(self, split: Split) -> bool:
        """Whether there shall be such images."""
        return self._splits_root or bool(self.sources[split])

    @property
    def test_name(self) -> str:
        """The name of the test images in reports: those of the sets, or of their folders."""
        if self._splits_root:
            return self.folder.resolve().name
        images = self.images("test")
        parts = images.parts if isinstance(images, Union) else (images,)
        return "+".join(map(self._called, self.sources["test"], parts))

    def _called(self, source: Source, images: ImageSet) -> str:
        if not isinstance(source, str):
            return getattr(images, "name", self.name)
        path = Path(source)
        if path.is_absolute() or ".." in path.parts:
            return Path(os.path.normpath(path if path.is_absolute() else self.folder / path)).name
        return path.as_posix()

    @property
    def evaluated(self) -> ImageSet:
        """The images that an evaluation without training measures: the test set, or all of a bare folder."""
        return ImageFolder(self.folder) if self._splits_root else self.images("test")

    @cached_property
    def folder(self) -> Path:
        """The root."""
        if self._root is None:
            raise UserError(
                f"data={self.name} needs a folder; give data.root=FOLDER or set the environment's LIC_DATA."
            )
        return Path(to_absolute_path(self._root))

    def images(self, split: Split) -> ImageSet:
        """The set, looked for when it is first asked for."""
        if split not in self._sets:
            if self._download:
                for source in self.sources[split] or (None,):
                    fetch(self._published(source), self.folder)
            if self._splits_root:
                parts = split_folder(ImageFolder(self.folder), self._valid_share)
                self._sets.update(zip(SPLITS, parts, strict=True))
            else:
                self._sets[split] = self._open(split)
        return self._sets[split]

    def _published(self, source: Source | None) -> str:
        """The published set that a source needs: that of the folder it names, or else of the choice."""
        named = Path(source).parts[0] if isinstance(source, str) else self.name
        return named if named in PUBLISHED else self.name

    def _open(self, split: Split) -> ImageSet:
        if not self.sources[split]:
            raise UserError(
                f"data={self.name} has no {split} images; give data.{split}, or choose a set that has some: "
                f"data={', '.join(CHOICES[split])}."
            )
        sets = [self._open_source(source) for source in self.sources[split]]
        if split == "train" and len(sets) == 1 and hasattr(sets[0], "patches"):
            return cast(ImageSet, sets[0])
        checked = [check_images(images, f"data.{split}") for images in sets]
        return checked[0] if len(checked) == 1 else Union(checked)

    def _open_source(self, source: Source) -> object:
        if not isinstance(source, str):
            return source(self.folder) if callable(source) else source
        folder = Path(source) if Path(source).is_absolute() else self.folder / source
        if self.name in PUBLISHED and not folder.exists():
            raise UserError(
                f"data={self.name} expects {folder}, which does not exist; "
                "put the images there, or give another data.root or data.download=true."
            )
        return ImageFolder(folder)


def is_list(value: object) -> bool:
    """Whether several are given, not one set, which is a sequence, too."""
    return isinstance(value, Sequence) and not isinstance(value, str) and not hasattr(value, "names")


def _as_list(source: Any) -> tuple[Source, ...]:
    if source is None:
        return ()
    return tuple(source) if is_list(source) else (source,)
