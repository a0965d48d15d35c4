"""Patches of training batches."""

import itertools
from collections.abc import Iterable

from torch import Tensor

from lic.data import ImageData
from lic.data.loading import Batch


def take(data: ImageData, count: int) -> list[Tensor]:
    return patches_of(itertools.islice(data.train_dataloader(), count))


def patches_of(batches: Iterable[Batch]) -> list[Tensor]:
    return [batch.patches for batch in batches]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(x.equal(y) for x, y in zip(a, b, strict=True))
