"""Data loaders: endless numbered batches of patches for training, whole images for validation."""

import atexit
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lic import interruption
from lic.data.checks import PatchSource
from lic.data.images import Channels, Pixels, to_batch, with_channels
from lic.data.sources import ImageSet

_START = multiprocessing.get_all_start_methods()[0]
"""The platform's own way: in joblib's workers the default is loky's, which starts no worker of torch."""


class Batch(NamedTuple):
    """Training patches, uint8 ``[N, C, P, P]``, and the batch's place in the sequence of all batches."""

    patches: Tensor
    number: int


class Batches(Dataset[Batch]):
    """The batch of every number, without end.

    Args:
        source: draws the patches.
        items: the places of this process in the batch of all processes.
        patch_size: in pixels.
        channels: what the patches are turned into.
        seed: of the patches.
    """

    def __init__(
        self, source: PatchSource, items: range, patch_size: int, channels: Channels, seed: int
    ) -> None:
        self.source, self.items, self.patch_size = source, items, patch_size
        self.channels, self.seed = channels, seed

    def __getitem__(self, index: int) -> Batch:
        patches = self.source.patches((self.seed, index), self.items, self.patch_size)
        return Batch(torch.from_numpy(_recoloured(patches, self.channels)), index)


def _recoloured(patches: Pixels, channels: Channels) -> Pixels:
    if patches.shape[1] == channels:
        return patches
    recoloured = (with_channels(patch.transpose(1, 2, 0), channels) for patch in patches)
    return np.stack([np.ascontiguousarray(patch.transpose(2, 0, 1)) for patch in recoloured])


class WholeImages(Dataset[Tensor]):
    """Every image of a set as a uint8 batch of one, ``[1, C, H, W]``, with C ``channels``."""

    def __init__(self, images: ImageSet, channels: Channels) -> None:
        self.images, self.channels = images, channels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return to_batch(with_channels(self.images[index], self.channels))


def _leave_signals_to_the_parent(worker: int) -> None:
    """Terminals and schedulers signal all processes at once; the parent needs this one to end its step."""
    for signum in interruption.SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def _end_workers() -> None:
    """At its end the interpreter asks workers with SIGTERM, which they ignore, and then waits for them."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would take their end for an accident
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


atexit.register(_end_workers)


class Endless(Iterable[Batch]):
    """Batches from the first untrained one on; which that is, is looked up when the iteration begins.

    The workers live as long as the iteration. This is no DataLoader itself, because Lightning replaces the
    sampler of one under DDP.
    """

    def __init__(self, batches: Batches, first: Callable[[], int], num_workers: int) -> None:
        self.batches, self.first, self.num_workers = batches, first, num_workers

    def numbers(self) -> Iterable[int]:
        """Those of the batches from now on."""
        return count(self.first())

    def __iter__(self) -> Iterator[Batch]:
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=self.numbers(),
            num_workers=self.num_workers,
            multiprocessing_context=_START if self.num_workers else None,
            worker_init_fn=_leave_signals_to_the_parent,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # the global one belongs to the model
        )
        return iter(loader)


class Epochs(Endless):
    """The same batches in epochs of so many: an iteration ends with the epoch that it begins in."""

    def __init__(self, batches: Batches, first: Callable[[], int], num_workers: int, size: int) -> None:
        super().__init__(batches, first, num_workers)
        self.size = size

    def __len__(self) -> int:
        return self.size

    def numbers(self) -> Iterable[int]:
        """The numbers of the batches that are left of the epoch."""
        first = self.first()
        return range(first, (first // self.size + 1) * self.size)
