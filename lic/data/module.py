"""The data of a run: random training patches, whole validation images, whole test images."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lic.data.cache import CachedImages
from lic.data.checks import (
    PatchSource,
    check_names,
    check_options,
    check_patches,
    look_through,
)
from lic.data.derived import Changed, sample
from lic.data.images import Channels, resized, with_channels
from lic.data.loading import Batch, Batches, Endless, Epochs, WholeImages
from lic.data.sources import ImageSet, StoredImageSet
from lic.data.splits import SPLITS, Source, Splits, is_list
from lic.data.turning import Rotations
from lic.errors import UserError


class ImageData(LightningDataModule):
    """Image sets for training, validation and test, any of which may be missing.

    A set is given as the name of a folder below ``root`` (or an absolute path), as an image set, as a
    function from the root to an image set, or as a list of such, which are then one. If none is given, the
    images below ``root`` are split by the hash of their names. Pixels stay uint8; they become float on the
    device, in the LightningModule.

    Args:
        name: The ``data=`` choice, for messages and for ``download``.
        root: Folder that relative folders start from; itself relative to where the command was started.
        train: Images that training patches are cut from, or a source of synthetic ones.
        valid: Whole images that choose checkpoints and settings.
        test: Whole images that reported figures are measured on.
        download: Fetch what is missing of a published set.
        channels: Of training patches and validation images: 3 repeats gray, 1 turns colour into luma (ITU-R
            BT.601). Test images are as they are with 3, and all gray with 1.
        batch_size: Patches per batch (and per process, if there are several).
        patch_size: Side of the training patches in pixels.
        horizontal_flips: Mirror half of the patches, as ``vertical_flips`` turns half of them upside down
            and ``rotations`` each by a random multiple of 90 degrees. The crops remain the same. With
            ``any``, each is cut at a random angle, where its image has room for it.
        epoch_batches: Batches after which Lightning's epoch ends (per process); by default it never does.
        train_limit: Train on at most so many images, see `lic.data.derived.sample`.
        valid_share: Of a folder that is split, the share of the images for validation; 0.05 if None.
        test_size: Width and height that test images are resized to, whatever their aspect ratio.
        num_workers: Processes that make training patches; no batch depends on their number. Synthetic ones
            need some; crops from a cache that fits in memory come fastest from the training process (0).
        seed: Patch ``i`` of batch ``k``, counted over all processes, is a pure function of ``(seed, k, i)``.

    Raises:
        UserError: An option has an impossible value. When a set is first used (`setup` at the latest): there
            is none, no root is known, its folder is missing or empty, it cannot be downloaded, it is no image
            set, or it makes its own patches and an option asks for others.
    """

    def __init__(
        self,
        *,
        name: str = "folder",
        root: str | None = None,
        train: Source | Sequence[Source] | None = None,
        valid: Source | Sequence[Source] | None = None,
        test: Source | Sequence[Source] | None = None,
        download: bool = False,
        channels: Channels = 3,
        batch_size: int = 8,
        patch_size: int = 256,
        horizontal_flips: bool = True,
        vertical_flips: bool = False,
        rotations: Rotations = False,
        epoch_batches: int | None = None,
        train_limit: int | None = None,
        valid_share: float | None = None,
        test_size: Sequence[int] | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._turned: dict[str, Any] = {
            "horizontal_flips": horizontal_flips,
            "vertical_flips": vertical_flips,
            "rotations": rotations,
        }
        size: Any = test_size
        self._test_size: tuple[int, int] | None = tuple(size) if is_list(size) else size
        numbers = {"batch_size": batch_size, "patch_size": patch_size, "epoch_batches": epoch_batches}
        others = {
            "channels": channels,
            "train_limit": train_limit,
            "test_size": self._test_size,
            "valid_share": valid_share,
        }
        check_options(numbers | others | self._turned)
        self._splits = Splits(
            name, root, {"train": train, "valid": valid, "test": test}, download, valid_share
        )
        self.channels, self.batch_size, self.patch_size = channels, batch_size, patch_size
        self.epoch_batches, self._train_limit = epoch_batches, train_limit
        self._num_workers, self._seed = num_workers, seed
        self._patches: PatchSource | None = None

    def __str__(self) -> str:  # Lightning's would walk through the endless training batches
        return f"{type(self).__name__}({self._splits.name})"

    def prepare_data(self) -> None:
        """Download what is asked for and build the cache of training images, once per machine."""
        self.setup("fit")
        if self._splits.has("train"):
            self._patch_source()

    def setup(self, stage: str) -> None:
        """Look for every set that is given, so that a missing folder is found out before the training."""
        for split in SPLITS:
            if self._splits.has(split):
                self._splits.images(split)

    def train_dataloader(self) -> Iterable[Batch]:
        """Batches from the first on that has not been trained: endless, or to the end of its epoch."""
        first = self.batch_size * (self.trainer.global_rank if self.trainer else 0)
        items = range(first, first + self.batch_size)
        batches = Batches(self._patch_source(), items, self.patch_size, self.channels, self._seed)
        if self.epoch_batches is None:
            return Endless(batches, self._trained_batches, self._num_workers)
        return Epochs(batches, self._trained_batches, self._num_workers, self.epoch_batches)

    def _trained_batches(self) -> int:
        """Not the steps: a step may accumulate several batches."""
        if not self.trainer:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The validation images in order, each a uint8 batch of one, ``[1, channels, H, W]``.

        They are decoded in this process: few, and an unreadable one is then reported in one sentence.
        """
        images = WholeImages(self._splits.images("valid"), self.channels)
        return DataLoader(images, batch_size=None, generator=torch.Generator())

    @property
    def test_name(self) -> str:
        """The name of the test images in reports: those of the sets, or of their folders.

        A size and a colour that is not the files' own follow: these are other images.
        """
        size = "-{}x{}".format(*self._test_size) if self._test_size else ""
        return self._splits.test_name + size + ("-gray" if self.channels == 1 else "")

    @property
    def test_set(self) -> ImageSet:
        """The test images, as an image set because every one becomes a file of its own."""
        return self._as_tested(self._splits.images("test"))

    @property
    def evaluation_set(self) -> ImageSet:
        """The images that an evaluation without training measures: the test set, or all of a bare folder."""
        return self._as_tested(self._splits.evaluated)

    def look_through(
        self, least_side: int = 1, reason: str = "for this training", least_test_side: int = 1
    ) -> None:
        """Look at the validation and test images before hours are spent.

        Args:
            least_side: what validation images need, in pixels.
            reason: why, for the message.
            least_test_side: what test images need.

        Raises:
            UserError: there are none, one cannot be read, or one has a shorter side.
        """
        look_through(self._splits.images("valid"), "data.valid", least_side, reason)
        look_through(self.test_set, "data.test", least_test_side, reason)

    def _as_tested(self, images: ImageSet) -> ImageSet:
        check_names(images, "data.test")
        if self._test_size:
            images = Changed(images, partial(resized, size=self._test_size))
        return Changed(images, partial(with_channels, channels=1)) if self.channels == 1 else images

    def _patch_source(self) -> PatchSource:
        if self._patches is None:
            self._patches = self._make_patch_source(self._splits.images("train"))
        return self._patches

    def _make_patch_source(self, images: ImageSet) -> PatchSource:
        kind = type(images).__name__
        if hasattr(images, "patches"):
            options = self._turned | {"train_limit": self._train_limit}
            defaults = {"horizontal_flips": True, "train_limit": None}
            if changed := [key for key, value in options.items() if value != defaults.get(key, False)]:
                raise UserError(
                    f"data.train is a {kind}, which makes its own patches; leave out data.{changed[0]}, "
                    "which is for those cut from images."
                )
            source = cast(PatchSource, images)
            check_patches(source, self.patch_size)
            return source
        if not hasattr(images, "files"):
            raise UserError(
                f"data.train is a {kind}, which has neither files nor patches to train on; see docs/data.md."
            )
        stored = cast(StoredImageSet, images)
        if self._train_limit is not None and self._train_limit < len(stored):
            stored = sample(stored, self._train_limit)
        return CachedImages(stored, self.patch_size, channels=self.channels, **self._turned)


def checked_data(data: object) -> ImageData:
    """Refuse whatever ``data=`` has made unless it is a data module of lic.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(data, ImageData):
        raise UserError(f"data must be an ImageData (see conf/data/), not a {type(data).__name__}.")
    return data
