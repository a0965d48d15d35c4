"""Decode streams under settings other than those that encoded them, and count latents that differ.

python checks/exactness.py MODEL FOLDER_OF_IMAGES

Each setting is a process of its own that codes every image, and then decodes the streams of all the others:
numbers of threads, memory layouts, bfloat16 transforms (where the CPU has a unit), convolutions with and
without oneDNN, and instruction sets capped as on an older machine. For comparison, the same is counted for
the float networks in place of the integers: the images for which a scale falls into another table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch
from torch import Tensor

from lic.bitstream import Stream, StreamError
from lic.codecs import TILE
from lic.codecs.learned import LearnedCodec
from lic.data.sources import ImageFolder
from lic.layers import padded_size
from lic.models.hyperprior import ContextFreeHyperprior, HyperpriorCodec
from lic.precision import cpu_unit
from lic.store.load import load_codec

BFLOAT16 = "bfloat16 transforms"
SETTINGS: dict[str, dict[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "weights in plain layout": {},
    BFLOAT16: {},
    "without oneDNN": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "SSE4.1": {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
}


def main() -> None:
    """Run every setting as a process and print what differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a run folder, a checkpoint or a model file")
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("--work", nargs=3, metavar=("SETTING", "STEP", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        setting, step, folder = arguments.work
        work(arguments.model, arguments.images, setting, step, Path(folder))
        return
    settings = SETTINGS if cpu_unit() else {k: v for k, v in SETTINGS.items() if k != BFLOAT16}
    with tempfile.TemporaryDirectory() as folder:
        for step in ("encode", "decode"):
            for setting, environment in settings.items():
                print(f"{step}: {setting}", file=sys.stderr)
                command = [sys.executable, __file__, *map(str, (arguments.model, arguments.images))]
                command += ["--work", setting, step, folder]
                subprocess.run(command, env=os.environ | environment, check=True)
        report(Path(folder))
    cost(arguments.model, arguments.images)


def report(folder: Path) -> None:
    """Print, for each decoder, the images that came out otherwise than the encoder had them."""
    counts = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    print(f"{'decoder':26}{'images x encoders':>18}{'latents differ':>16}{'float scales differ':>21}")
    for count in counts:
        print(f"{count['setting']:26}{count['streams']:18}{count['differ']:16}{count['float']:21}")
    total = sum(count["streams"] for count in counts)
    print(f"in all {sum(count['differ'] for count in counts)} of {total} differ")


def cost(model: Path, images: Path) -> None:
    """Print what integers cost against the float networks: bits of y in every image, and time."""
    codec = load_codec(model)
    assert isinstance(codec, LearnedCodec)
    net = codec.net
    assert isinstance(net, HyperpriorCodec)
    bits: dict[str, list[int]] = {"float": [], "integers": []}
    seconds = dict.fromkeys(bits, 0.0)
    photos = ImageFolder(images)
    with torch.inference_mode():
        for i in range(len(photos)):
            y = net.analyze(photos[i], TILE)
            z_payloads, z_hat = net.entropy_bottleneck.compress(net.hyper_analysis(y))
            payloads, y_hat = net.encode_latents(y)
            start = time.perf_counter()
            means, scales = net.predict(z_hat, y_hat)
            seconds["float"] += time.perf_counter() - start
            if isinstance(net, ContextFreeHyperprior):  # the steps of a context code between them
                start = time.perf_counter()
                net.moments(z_hat, slice(0, y.shape[2]))
                seconds["integers"] += time.perf_counter() - start
            bits["float"].append(8 * len(net.gaussian_conditional.compress(y, means=means, scales=scales)[0]))
            bits["integers"].append(8 * sum(map(len, payloads[len(z_payloads) :])))
    total = 100 * (sum(bits["integers"]) / sum(bits["float"]) - 1)
    worst = 100 * max(a / b - 1 for a, b in zip(bits["integers"], bits["float"], strict=True))
    times = ", ".join(f"{name} {1000 * s / len(photos):.1f} ms" for name, s in seconds.items() if s)
    print(
        f"bits of y with integers: {total:+.4f} % in all, {worst:+.4f} % at worst; means and scales: {times}"
    )


def work(model: Path, images: Path, setting: str, step: str, folder: Path) -> None:
    """One setting: code all images into ``folder``, or decode what the other settings left there."""
    codec = load_codec(model)
    assert isinstance(codec, LearnedCodec)
    transforms: Any = nullcontext()
    if setting == "weights in plain layout":
        codec.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    elif setting == BFLOAT16:
        transforms = torch.autocast("cpu", torch.bfloat16)
    elif setting == "without oneDNN":
        torch.backends.mkldnn.set_flags(False)
    place = folder / setting
    with torch.inference_mode(), transforms:
        if step == "encode":
            place.mkdir()
            photos = ImageFolder(images)
            for i, name in enumerate(photos.names):
                data = codec.encode(photos[i]).data
                (place / f"{name}.lic").write_bytes(data)
                np.save(place / f"{name}.npy", float_indexes(codec, data, latents(codec, data)))
            return
        counts: dict[str, Any] = {"setting": setting, "streams": 0, "differ": 0, "float": 0}
        for stream in sorted(folder.glob("*/*.lic")):
            if stream.parent != place:
                data = stream.read_bytes()
                counts["streams"] += 1
                y_hat, expected = latents(codec, data), np.load(stream.with_suffix(".npy"))
                counts["differ"] += y_hat is None
                counts["float"] += not np.array_equal(float_indexes(codec, data, y_hat), expected)
    (folder / f"{setting}.json").write_text(json.dumps(counts))


def latents(codec: LearnedCodec, data: bytes) -> Tensor | None:
    """The decoder's y_hat; None if it has not the checksum that the stream gives."""
    assert isinstance(codec.net, HyperpriorCodec)
    try:
        return codec.net.latents(Stream.unpack(data))
    except StreamError:
        return None


def float_indexes(codec: LearnedCodec, data: bytes, y_hat: Tensor | None) -> npt.NDArray[np.uint8]:
    """The tables that the networks in floating point would choose for a stream; none without y_hat."""
    if y_hat is None:
        return np.empty(0, np.uint8)
    net = codec.net
    assert isinstance(net, HyperpriorCodec), "a model with a hyperprior is needed"
    stream = Stream.unpack(data)
    height, width = padded_size((stream.height, stream.width), net.downsampling)
    size = height // net.downsampling, width // net.downsampling
    z_hat = net.entropy_bottleneck.decompress(iter(stream.payloads), size)
    _, scales = net.predict(z_hat, y_hat)
    indexes: npt.NDArray[np.uint8] = net.gaussian_conditional.build_indexes(scales).numpy().astype(np.uint8)
    return indexes


if __name__ == "__main__":
    main()
