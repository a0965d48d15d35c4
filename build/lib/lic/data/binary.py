"""Sets that come as raw bytes, the images one after another: CIFAR-10 and STL-10."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lic.data.images import Pixels
from lic.errors import UserError


class BinaryImages:
    """Square RGB images of one size, stored as planes, each behind ``header`` bytes that are passed over.

    Args:
        root: Folder of the files, relative to the data root.
        files: Their names.
        side: Height and width of an image in pixels.
        header: Bytes before each image, 1 for the labels of CIFAR-10's binary version.
        column_major: Planes run down the columns first, as STL-10's do.

    Raises:
        UserError: A file is missing, or is not a whole number of images.
    """

    def __init__(
        self, root: str | Path, files: list[str], side: int, header: int = 0, column_major: bool = False
    ) -> None:
        self.files = tuple(Path(root) / name for name in files)
        self._side, self._header, self._column_major = side, header, column_major
        record = header + 3 * side * side
        counts = []
        for path in self.files:
            if not path.is_file():
                raise UserError(f"{path} does not exist; put it there, or give data.download=true.")
            count, rest = divmod(path.stat().st_size, record)
            if rest or not count:
                raise UserError(f"{path} is not made of records of {record} bytes; fetch it again.")
            counts.append(count)
        self._starts = np.cumsum([0, *counts])
        self.names = tuple(
            f"{p.stem}-{i:06d}" for p, n in zip(self.files, counts, strict=True) for i in range(n)
        )

    @cached_property
    def _records(self) -> list[NDArray[np.uint8]]:
        width = self._header + 3 * self._side**2
        return [np.memmap(path, np.uint8, mode="r").reshape(-1, width) for path in self.files]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_records"}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pixels:
        if not 0 <= index < len(self):
            raise IndexError(index)
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        record = self._records[file][index - self._starts[file]]
        planes = record[self._header :].reshape(3, self._side, self._side)
        return np.ascontiguousarray(planes.transpose((2, 1, 0) if self._column_major else (1, 2, 0)))


def cifar10(root: Path, split: Literal["train", "valid", "test"]) -> BinaryImages:
    """CIFAR-10 (Krizhevsky 2009), 32x32: 40 000 training, 10 000 validation (batch 5), 10 000 test images."""
    files = {
        "train": [f"data_batch_{i}.bin" for i in range(1, 5)],
        "valid": ["data_batch_5.bin"],
        "test": ["test_batch.bin"],
    }
    return BinaryImages(root / "cifar10", files[split], side=32, header=1)


def stl10(root: Path, split: Literal["train", "valid", "test"]) -> BinaryImages:
    """STL-10 (Coates, Lee and Ng 2011), 96x96: 100 000 unlabeled, 5 000 and 8 000 images."""
    files = {"train": "unlabeled_X.bin", "valid": "train_X.bin", "test": "test_X.bin"}
    return BinaryImages(root / "stl10", [files[split]], side=96, column_major=True)
