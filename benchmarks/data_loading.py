"""Random training crops per second: CompressAI's image folder against lic's cache of decoded images.

    python benchmarks/data_loading.py [--root FOLDER_OF_IMAGES]

Both sides cut 256x256 crops out of the same PNG files. Their turns alternate, and the medians are compared.
"""

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from compressai.datasets import ImageFolder as CompressAIFolder
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from lic.console import Console
from lic.data import BuiltinPhotos, ImageData, ImageFolder, ImageSet, to_float, write_png

BATCH, PATCH, TURNS = 16, 256, 5


def endless(loader: Iterable[Tensor]) -> Iterator[Tensor]:
    """Epoch after epoch."""
    while True:
        yield from loader


def theirs(root: Path) -> Iterator[Tensor]:
    """CompressAI's data set as its example training uses it; float crops."""
    transform = transforms.Compose([transforms.RandomCrop(PATCH), transforms.ToTensor()])
    dataset = CompressAIFolder(str(root), transform=transform, split="train")
    return endless(
        DataLoader(dataset, BATCH, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)
    )


def ours(root: Path, num_workers: int) -> Iterator[Tensor]:
    """The patches of `lic.data.ImageData`; the cache is built before the clock starts."""
    data = ImageData(train=str(root / "train"), batch_size=BATCH, patch_size=PATCH, num_workers=num_workers)
    return (batch.patches for batch in data.train_dataloader())


def speed(batches: Iterator[Tensor], use: Callable[[Tensor], object], seconds: float) -> float:
    """Crops per second over about so many seconds, workers warm."""
    for _ in range(4):
        next(batches)
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        count += len(batch := next(batches))
        use(batch)
    return count / elapsed


def copy_as_png(images: ImageSet, folder: Path) -> None:
    """Both sides read PNG files of at least 24 images; few photos are repeated under several names."""
    for i in range(max(24, len(images))):
        write_png(folder / f"{i:05d}.png", images[i % len(images)])


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of images (default: scikit-image's photos)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    with tempfile.TemporaryDirectory() as temporary:
        os.environ["LIC_CACHE"] = temporary + "/cache"
        root = Path(temporary)
        copy_as_png(ImageFolder(arguments.root) if arguments.root else BuiltinPhotos("test"), root / "train")

        reference, inline, loaded = theirs(root), ours(root, num_workers=0), ours(root, num_workers=2)

        def use(x: Tensor) -> Tensor:
            return to_float(x.to(device, non_blocking=True))

        contestants: dict[str, Callable[[], float]] = {
            "CompressAI, 2 persistent workers, float": lambda: speed(reference, len, arguments.seconds),
            "lic, uint8": lambda: speed(inline, len, arguments.seconds),
            f"lic, float on {device}": lambda: speed(inline, use, arguments.seconds),
            "lic, 2 workers, uint8": lambda: speed(loaded, len, arguments.seconds),
        }
        turns = [{name: run() for name, run in contestants.items()} for _ in range(TURNS)]

    table = Table("", "crops/s", "ratio", title=f"{PATCH}x{PATCH} crops, batches of {BATCH}, {device}")
    medians = {name: statistics.median(turn[name] for turn in turns) for name in contestants}
    base = next(iter(medians.values()))
    for name, median in medians.items():
        table.add_row(name, f"{median:,.0f}", f"{median / base:.1f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
