"""Speed of the networks of Cai et al. 2019: the baseline, fastdic and slowdic, beside the paper's figures.

python benchmarks/cai2019.py [IMAGE ...] [--threads 1 2] [--networks fastdic slowdic] [--high-rate]

The networks have full width, random weights, and latents that code to about 1 bpp (see `calibrated`; that of
fastdic-keep, whose y has a quarter of the positions, to a quarter of it).
They take turns, and each figure is the median of some rounds. "Network" is g_a from the pixels and g_s to
the pixels; "file" is from the pixels to the file's bytes and back. On a GPU, where there is one, only the
networks run: entropy coding is the CPU's.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import numpy as np
import torch
from calibrated import calibrated
from rich.table import Table

from lic import allocator
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.console import Console, plain_table
from lic.data import BuiltinPhotos, Pixels, read_image, to_batch, to_float, to_image
from lic.errors import UserError
from lic.layers import pad
from lic.metrics.complexity import macs_per_pixel
from lic.models import TransformCoding
from lic.papers.cai2019 import HIGH_RATE_NETWORKS, NETWORKS, PAPER

BASELINE = "baseline"
Seconds = list[float]
"""What one image takes in g_a, in g_s, to encode and to decode; on a GPU only the first two."""


def main() -> None:
    """Measure, and print a table for each number of threads and for the GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="default: a photo of skimage's")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="beside the baseline"
    )
    parser.add_argument("--high-rate", action="store_true", help="N, M = 192, 320")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    allocator.tune()
    networks = HIGH_RATE_NETWORKS if arguments.high_rate else NETWORKS
    try:
        images = [read_image(image) for image in arguments.images] or [BuiltinPhotos("test")[2]]
    except UserError as error:
        parser.error(str(error))
    codecs = {
        label: LearnedCodec(calibrated(**networks[label]), CodecInfo("", "", learned=True, model=""))
        for label in NETWORKS
        if label in (BASELINE, *arguments.networks)
    }
    facts = {label: [*size(codec), bpp(codec, images)] for label, codec in codecs.items()}
    console = Console(width=110)
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        seconds = in_turns(codecs, images, arguments.rounds, on_cpu)
        console.print(table(f"CPU, {threads} thread{'s'[: threads > 1]}", facts, seconds))
    if torch.cuda.is_available():
        for codec in codecs.values():
            codec.net.cuda()
        seconds = in_turns(codecs, images, arguments.rounds, on_gpu)
        console.print(table(torch.cuda.get_device_name(), facts, seconds))


def in_turns(
    codecs: dict[str, LearnedCodec],
    images: Sequence[Pixels],
    rounds: int,
    measure: Callable[[LearnedCodec, Pixels], Seconds],
) -> dict[str, Seconds]:
    """Medians over the rounds, after a first one, of each codec's means over the images."""
    taken: dict[str, list[Seconds]] = {label: [] for label in codecs}
    for _ in range(1 + rounds):
        for label, codec in codecs.items():
            taken[label].append(np.mean([measure(codec, image) for image in images], axis=0).tolist())
    return {label: [median(times) for times in zip(*rows[1:], strict=True)] for label, rows in taken.items()}


def on_cpu(codec: LearnedCodec, image: Pixels) -> Seconds:
    """Of the network as the codec runs it, and of the whole."""
    start = time.perf_counter()
    encoded = codec.encode(image)
    coded = time.perf_counter()
    codec.decode(encoded.data)
    decoded = time.perf_counter()
    encoded.reconstruct()
    return [encoded.analysis_s, time.perf_counter() - decoded, coded - start, decoded - coded]


@torch.inference_mode()
def on_gpu(codec: LearnedCodec, image: Pixels) -> Seconds:
    """Of the network, with the transfers: pixels come from the CPU, and latents are coded there."""
    net = codec.net
    assert isinstance(net, TransformCoding)
    start = time.perf_counter()
    x = pad(to_float(to_batch(image).cuda()), net.downsampling)
    y = net.g_a(x).cpu()
    analyzed = time.perf_counter()
    to_image(net.g_s(y.round().cuda()))
    return [analyzed - start, time.perf_counter() - analyzed]


def size(codec: LearnedCodec) -> tuple[str, str]:
    """Parameters, and multiply-accumulates per pixel."""
    parameters = sum(p.numel() for p in codec.net.parameters())
    return f"{parameters:,}", f"{macs_per_pixel(codec.net):,}"


def bpp(codec: LearnedCodec, images: Sequence[Pixels]) -> str:
    """Bits of all files over pixels of all images."""
    bits = sum(8 * len(codec.compress(image)) for image in images)
    return f"{bits / sum(image[..., 0].size for image in images):.2f}"


def table(place: str, facts: Mapping[str, Sequence[str]], seconds: Mapping[str, Seconds]) -> Table:
    """Images per second, and how many times the baseline's they are."""
    view = plain_table(f"Images per second, {place}")
    view.add_column("", no_wrap=True)
    for heading in (
        "parameters", "MACs/pixel", "bpp", "network\nencodes", "network\ndecodes", "file\nencodes",
        "file\ndecodes", "the paper\ndecodes",
    ):  # fmt: skip
        view.add_column(heading, justify="right", no_wrap=True)
    for label, times in seconds.items():
        rates = [rate(1 / s, 1 / reference) for s, reference in zip(times, seconds[BASELINE], strict=True)]
        printed = PAPER.images_per_second.get(label)
        paper = rate(printed, PAPER.images_per_second[BASELINE]) if printed else "–"
        view.add_row(label, *facts[label], *rates, *["–"] * (4 - len(rates)), paper)
    return view


def rate(value: float, baseline: float) -> str:
    """Images per second, and their ratio."""
    return f"{value:.2f} ×{value / baseline:.2f}"


if __name__ == "__main__":
    main()
