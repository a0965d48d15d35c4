"""Images per second that the codecs of Deshmukh and Pollett compress and decompress, beside the paper's.

python benchmarks/compact_coding.py FOLDER [--images 200] [--width 64] [--rounds 1]

ComCNN and RecCNN, ICM and IRM with bicubic interpolation, and the same with a generator as up-sampler, with
random weights, on the first images of a folder. They take turns, image by image; each figure is the median of
some rounds, after a first image. From pixels to a file's bytes and back, with a static Huffman code.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch

from lic import allocator
from lic.codecs.base import CodecInfo
from lic.codecs.compact import CompactCodec
from lic.console import Console, plain_table
from lic.data import ImageFolder, ImageSet
from lic.errors import UserError
from lic.models import CompactImage, build_model

NETWORKS: dict[str, dict[str, Any]] = {
    "ComCNN, RecCNN": {"name": "comcnn_reccnn"},
    "ICM, IRM, SRGAN": {"name": "icm_irm", "upsample": "srgan"},
    "ICM, IRM, bicubic": {"name": "icm_irm"},
}
PAPER = {
    "ComCNN, RecCNN": ("3.2", "4.1"),
    "ICM, IRM, SRGAN": ("3.3", "3.4"),
    "ICM, IRM, bicubic": ("3.3", "4.3"),
}
"""Images per second of 200 images, on a GPU; it does not say whether with files."""
Seconds = tuple[float, float]
"""Of compressing and decompressing some images."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="photos, as of COCO")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    if min(chosen.images, chosen.rounds) < 1:
        parser.error("--images and --rounds must be at least 1")
    allocator.tune()
    try:
        images = ImageFolder(chosen.folder)
        count = min(chosen.images, len(images))
        images[0]
    except UserError as error:
        parser.error(str(error))
    codecs = {}
    for label, options in NETWORKS.items():
        try:
            codecs[label] = codec(**options, width=chosen.width)
        except UserError as error:
            print(f"Left out: {label}, which this version of lic cannot build ({error})")
    fewer = f", fewer than {chosen.images}" if count < chosen.images else ""
    seconds = in_turns(codecs, images, count, chosen.rounds)
    view = plain_table(
        f"Images per second, {count} images of {chosen.folder}{fewer}, width {chosen.width}, "
        f"{torch.get_num_threads()} threads",
        "Random weights. The paper's are of 200 images on a GPU.",
    )
    view.add_column("", no_wrap=True)
    for heading in ("compress", "the paper", "decompress", "the paper"):
        view.add_column(heading, justify="right", no_wrap=True)
    for label, both in seconds.items():
        cells = [(f"{count / s:.3f}", paper) for s, paper in zip(both, PAPER[label], strict=True)]
        view.add_row(label, *(cell for pair in cells for cell in pair))
    Console(width=110).print(view)


def codec(**options: Any) -> CompactCodec:
    """A network with random weights as a codec.

    Raises:
        UserError: there is no such network.
    """
    torch.manual_seed(0)
    net = build_model(**options)
    assert isinstance(net, CompactImage)
    return CompactCodec(net, CodecInfo("", "", learned=True, model=options["name"]))


def in_turns(
    codecs: Mapping[str, CompactCodec], images: ImageSet, count: int, rounds: int
) -> dict[str, Seconds]:
    """Of the first ``count`` images together, the medians of the rounds."""
    for one in codecs.values():
        one.decode(one.encode(images[0]).data)
    taken: dict[str, list[list[Seconds]]] = {label: [] for label in codecs}
    for _ in range(rounds):
        for times in taken.values():
            times.append([])
        for index in range(count):
            image = images[index]
            for label, one in codecs.items():
                start = time.perf_counter()
                data = one.encode(image).data
                coded = time.perf_counter()
                one.decode(data)
                taken[label][-1].append((coded - start, time.perf_counter() - coded))
    return {label: (_median(times, 0), _median(times, 1)) for label, times in taken.items()}


def _median(rounds: Sequence[Sequence[Seconds]], which: int) -> float:
    return median(sum(seconds[which] for seconds in times) for times in rounds)


if __name__ == "__main__":
    main()
