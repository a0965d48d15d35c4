"""The data of a run: random training patches, whole validation images, whole test images."""

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast

import torch
from hydra.utils import to_absolute_path
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lic.data.cache import CachedImages
from lic.data.images import Pixels, to_batch
from lic.data.published import PUBLISHED, fetch
from lic.data.sources import ImageFolder, ImageSet, StoredImageSet, split_folder
from lic.errors import UserError

Split = Literal["train", "valid", "test"]
Source = str | ImageSet | Callable[[Path], ImageSet]

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_HAVE_ALL = ("builtin", "folder", "clic", "div2k", "flickr2k", "coco", "stl10", "cifar10")
_CHOICES = {"train": _HAVE_ALL, "valid": _HAVE_ALL, "test": (*_HAVE_ALL, "kodak")}


class PatchSource(Protocol):
    """Where training patches come from."""

    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        """Draw patches, uint8 ``[len(items), 3, size, size]``, each a pure function of (key, item, size)."""


class Batch(NamedTuple):
    """Training patches, uint8 ``[N, 3, P, P]``, and the batch's place in the endless sequence of batches."""

    patches: Tensor
    number: int


class ImageData(LightningDataModule):
    """Image sets for training, validation and test, any of which may be missing.

    A set is given as the name of a folder below ``root`` (or an absolute path), as an image set, or as a
    function from the root to an image set. If none is given, the images below ``root`` are split by the
    hash of their names. Pixels stay uint8; they become float on the device, in the LightningModule.

    Args:
        name: The ``data=`` choice, for messages and for ``download``.
        root: Folder that relative folders start from; itself relative to where the command was started.
        train: Images that training patches are cut from, or a source of synthetic ones.
        valid: Whole images that choose checkpoints and settings.
        test: Whole images that reported figures are measured on.
        download: Fetch what is missing of a published set.
        batch_size: Patches per batch (and per process, if there are several).
        patch_size: Side of the training patches in pixels.
        num_workers: Processes that make training patches; no batch depends on their number. Synthetic ones
            need some; crops from a cache that fits in memory come fastest from the training process (0).
        seed: Patch ``i`` of batch ``k``, counted over all processes, is a pure function of ``(seed, k, i)``.

    Raises:
        UserError: When a set is first used (`setup` at the latest): there is none, no root is known, its
            folder is missing or empty, or it cannot be downloaded.
    """

    def __init__(
        self,
        *,
        name: str = "folder",
        root: str | None = None,
        train: Source | None = None,
        valid: Source | None = None,
        test: Source | None = None,
        download: bool = False,
        batch_size: int = 8,
        patch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for key, value in {"batch_size": batch_size, "patch_size": patch_size}.items():
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{key} must be a positive whole number, not {value!r}.")
        self._sources = {"train": train, "valid": valid, "test": test}
        self._splits_root = train is None and valid is None and test is None
        self._name, self._root, self._download = name, root, download
        self.batch_size, self.patch_size = batch_size, patch_size
        self._num_workers, self._seed = num_workers, seed
        self._sets: dict[Split, ImageSet] = {}
        self._cache: CachedImages | None = None

    def __str__(self) -> str:  # Lightning's would walk through the endless training batches
        return f"{type(self).__name__}({self._name})"

    def prepare_data(self) -> None:
        """Download what is asked for and build the cache of training images, once per machine."""
        self.setup("fit")
        if "train" in self._sets:
            self._patch_source()

    def setup(self, stage: str) -> None:
        """Look for every set that is given, so that a missing folder is found out before the training."""
        for split in SPLITS:
            if self._splits_root or self._sources[split] is not None:
                self._image_set(split)

    def train_dataloader(self) -> Iterable[Batch]:
        """Endless batches, from the first on that has not been trained."""
        first = self.batch_size * (self.trainer.global_rank if self.trainer else 0)
        items = range(first, first + self.batch_size)
        batches = _Batches(self._patch_source(), items, self.patch_size, self._seed)
        return Endless(batches, self._trained_batches, self._num_workers)

    def _trained_batches(self) -> int:
        """Not the steps: a step may accumulate several batches."""
        if not self.trainer:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The validation images in order, each a uint8 batch of one, ``[1, 3, H, W]``.

        They are decoded in this process: few, and an unreadable one is then reported in one sentence.
        """
        images = _WholeImages(self._image_set("valid"))
        return DataLoader(images, batch_size=None, generator=torch.Generator())

    @property
    def test_name(self) -> str:
        """What the test images are called in reports: the set's name, or that of their folder."""
        test = self._sources["test"]
        if self._splits_root:
            return self._folder.resolve().name
        if not isinstance(test, str):
            return getattr(self.test_set, "name", self._name)
        path = Path(test)
        return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()

    @property
    def test_set(self) -> ImageSet:
        """The test images, as an image set because every one becomes a file of its own."""
        return self._image_set("test")

    @property
    def evaluation_set(self) -> ImageSet:
        """What an evaluation without training measures: the test images, or all of a bare folder."""
        return ImageFolder(self._folder) if self._splits_root else self.test_set

    def _patch_source(self) -> PatchSource:
        images = self._image_set("train")
        if hasattr(images, "patches"):
            return cast(PatchSource, images)
        if not hasattr(images, "files"):
            raise UserError(
                f"data.train is a {type(images).__name__}, which has neither files nor patches to train on; "
                "see docs/data.md."
            )
        if self._cache is None:
            self._cache = CachedImages(cast(StoredImageSet, images), self.patch_size)
        return self._cache

    @cached_property
    def _folder(self) -> Path:
        if self._root is None:
            raise UserError(
                f"data={self._name} needs a folder; give data.root=FOLDER or set the environment's LIC_DATA."
            )
        return Path(to_absolute_path(self._root))

    def _image_set(self, split: Split) -> ImageSet:
        if split not in self._sets:
            if self._download:
                fetch(self._published(split), self._folder)
            if self._splits_root:
                self._sets.update(zip(SPLITS, split_folder(ImageFolder(self._folder)), strict=True))
            else:
                self._sets[split] = self._open(split)
        return self._sets[split]

    def _published(self, split: Split) -> str:
        """The published set that a split needs: that of the folder it names, or else of the choice."""
        source = self._sources[split]
        named = Path(source).parts[0] if isinstance(source, str) else self._name
        return named if named in PUBLISHED else self._name

    def _open(self, split: Split) -> ImageSet:
        source = self._sources[split]
        if source is None:
            raise UserError(
                f"data={self._name} has no {split} images; give data.{split}, or choose a set that has some: "
                f"data={', '.join(_CHOICES[split])}."
            )
        if not isinstance(source, str):
            images = source(self._folder) if callable(source) else source
            if not hasattr(images, "names") and not (split == "train" and hasattr(images, "patches")):
                raise UserError(
                    f"data.{split} is a {type(images).__name__}, which lacks what an image set has (names, a "
                    "length, images as uint8 arrays; files to be trained on); see docs/data.md."
                )
            return images
        folder = Path(source) if Path(source).is_absolute() else self._folder / source
        if self._name in PUBLISHED and not folder.exists():
            raise UserError(
                f"data={self._name} expects {folder}, which does not exist; "
                "put the images there, or give another data.root or data.download=true."
            )
        return ImageFolder(folder)


class _Batches(Dataset[Batch]):
    def __init__(self, source: PatchSource, items: range, patch_size: int, seed: int) -> None:
        self.source, self.items, self.patch_size, self.seed = source, items, patch_size, seed

    def __getitem__(self, index: int) -> Batch:
        patches = self.source.patches((self.seed, index), self.items, self.patch_size)
        return Batch(torch.from_numpy(patches), index)


class _WholeImages(Dataset[Tensor]):
    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return to_batch(self.images[index])


def _leave_signals_to_the_parent(worker: int) -> None:
    """Terminals and schedulers signal all processes at once; the parent needs this one to end its step."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)


class Endless(Iterable[Batch]):
    """Loads batches from a number on that is looked up when the iteration begins.

    The workers live as long as the iteration. This is no DataLoader itself, because Lightning replaces the
    sampler of one under DDP.
    """

    def __init__(self, batches: _Batches, first: Callable[[], int], num_workers: int) -> None:
        self.batches, self.first, self.num_workers = batches, first, num_workers

    def __iter__(self) -> Iterator[Batch]:
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=itertools.count(self.first()),
            num_workers=self.num_workers,
            worker_init_fn=_leave_signals_to_the_parent,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # the global one belongs to the model
        )
        return iter(loader)
