"""slowdic against CompressAI's implementation of it, with the same weights and in the same run.

python benchmarks/autoregressive.py [IMAGE ...] [--model RUN] [--threads 1]

Times the whole of compressing and decompressing, transforms included, of each image, which the two code in
turn. Without a model the network has full width and random weights (see `calibrated`). Then times lic alone
on larger and larger pieces of a photo, and on a wide one: what a pixel takes must not grow.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import lic  # makes torchvision importable

# isort: split
import torch
from calibrated import calibrated
from compressai.models import JointAutoregressiveHierarchicalPriors
from torch import Tensor, nn

from lic import allocator
from lic.codecs.learned import LearnedCodec
from lic.data import BuiltinPhotos, Pixels, read_image, to_batch, to_float
from lic.errors import UserError
from lic.layers import pad
from lic.models import CompressionModel, Size
from lic.models.autoregressive import JointAutoregressive

T = TypeVar("T")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="default: a photo of skimage's")
    parser.add_argument("--model", type=Path, help="a run folder, a checkpoint or a model file of slowdic")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    allocator.tune()
    try:
        net = _net(arguments.model) if arguments.model else calibrated("slowdic")
        images = {path.stem: read_image(path) for path in arguments.images}
    except UserError as error:
        parser.error(str(error))
    if not isinstance(net, JointAutoregressive) or net.stride != 16:
        parser.error("CompressAI has no such network; give a slowdic without pixel_unshuffle")
    images = images or {"photo": BuiltinPhotos("test")[2]}
    with torch.inference_mode():
        against_compressai(net, images)
        by_size(net)


def against_compressai(net: JointAutoregressive, images: dict[str, Pixels]) -> None:
    """Print a line for each image, and the medians of the ratios."""
    theirs = JointAutoregressiveHierarchicalPriors(net.entropy_bottleneck.channels, net.latent_channels)
    theirs.eval()
    theirs.update()
    nn.Module.load_state_dict(theirs, net.state_dict(), strict=False)
    theirs.update(force=True)
    print(f"{'seconds':20}{'compress: CompressAI':>22}{'lic':>8}{'decompress: CompressAI':>24}{'lic':>8}")
    ratios: list[tuple[float, float]] = []
    for name, image in images.items():
        x = _batch(net, image)
        size = (x.shape[2], x.shape[3])
        _decompress(net, _compress(net, x)[0], size)  # the first time is not counted
        (payloads, y_hat), fast = _timed(partial(_compress, net, x))
        decoded, fast_back = _timed(partial(_decompress, net, payloads, size))
        coded, slow = _timed(partial(theirs.compress, x))
        _, slow_back = _timed(partial(theirs.decompress, **coded))
        assert torch.equal(decoded, net.g_s(y_hat))
        ratios.append((slow / fast, slow_back / fast_back))
        print(f"{name:20}{slow:22.3f}{fast:8.3f}{slow_back:24.3f}{fast_back:8.3f}")
    compress, decompress = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"compress x{compress:.1f}, decompress x{decompress:.1f}")


def by_size(net: JointAutoregressive) -> None:
    """Print what a pixel takes: the transforms, and the entropy coding with its context."""
    photo = BuiltinPhotos("test")[2]
    print(f"{'microseconds a pixel':24}{'g_a':>8}{'encode':>8}{'decode':>8}{'g_s':>8}")
    for height, width in ((256, 256), (512, 512), (1024, 1024), (2048, 2048), (512, 8192)):
        times = -(-max(height, width) // min(photo.shape[:2]))
        image = torch.from_numpy(photo).tile(times, times, 1)[:height, :width].numpy()
        y, analysis = _timed(partial(net.g_a, _batch(net, image)))
        (payloads, y_hat), encoding = _timed(partial(net.encode_latents, y))
        _, decoding = _timed(partial(net.decode_latents, iter(payloads), (height, width)))
        _, synthesis = _timed(partial(net.g_s, y_hat))
        seconds = (analysis, encoding, decoding, synthesis)
        print(f"{f'{width}x{height}':24}" + "".join(f"{1e6 * s / (height * width):8.3f}" for s in seconds))


def _compress(net: JointAutoregressive, x: Tensor) -> tuple[list[bytes], Tensor]:
    return net.encode_latents(net.g_a(x))


def _decompress(net: JointAutoregressive, payloads: list[bytes], size: Size) -> Tensor:
    return net.g_s(net.decode_latents(iter(payloads), size))


def _net(model: Path) -> CompressionModel:
    codec = lic.load(model)
    assert isinstance(codec, LearnedCodec)
    return codec.net


def _batch(net: JointAutoregressive, image: Pixels) -> Tensor:
    return pad(to_float(to_batch(image)), net.downsampling)


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
