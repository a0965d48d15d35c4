"""The coders of compact images: how fast they are and what they save, beside zlib's Huffman codes and PNG.

python benchmarks/huffman.py [PHOTO …] [--size 384 256] [--repeat 3]

A photo is resized to the size of a compact image of stride 2; without photos, one that comes with
scikit-image is taken. Ratios are bytes of payload to bytes of pixels; speeds are MB of pixels a second of
the core's time, of the best of some runs for each image. The entropy is that of an ideal coder which knows
how often each value occurs.
"""

import argparse
import io
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import numpy as np
import torch
from PIL import Image
from skimage import data

from lic.entropy import slow_huffman
from lic.entropy.pixels import CODERS, Pixels

Coding = tuple[Callable[[], bytes], Callable[[bytes], object]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--size", type=int, nargs=2, default=(384, 256), help="width and height")
    parser.add_argument("--repeat", type=int, default=3, help="of each image, of which the best time counts")
    arguments = parser.parse_args()
    photos = [Image.open(path).convert("RGB") for path in arguments.photos]
    images = [
        np.asarray(photo.resize(arguments.size, Image.Resampling.BICUBIC))
        for photo in photos or [Image.fromarray(data.chelsea())]
    ]
    plane = images[0][..., 0].tobytes()
    assert CODERS["huffman"].encode(images[0][..., :1]) == slow_huffman.encode(plane)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{len(images)} images {arguments.size[0]}x{arguments.size[1]}, one core with {capability}")
    print(f"{'':28}{'ratio':>9}{'encode':>9}{'decode':>9}")
    for prediction in ("", "-left", "-up"):
        print(f"{'entropy' + prediction:28}{_mean(_entropy(i, prediction) for i in images):9.4f}")
    codings = {name: [_ours(name, image) for image in images] for name in CODERS}
    codings["zlib, Z_HUFFMAN_ONLY"] = [_zlib(image) for image in images]
    codings["PNG"] = [_png(image) for image in images]
    pixels = sum(image.size for image in images)
    for name, each in codings.items():
        sizes, encoding, decoding = zip(*(_measure(coding, arguments.repeat) for coding in each), strict=True)
        speeds = (pixels / sum(seconds) / 1e6 for seconds in (encoding, decoding))
        print(f"{name:28}{sum(sizes) / pixels:9.4f}" + "".join(f"{speed:9.1f}" for speed in speeds))


def _measure(coding: Coding, repeat: int) -> tuple[int, float, float]:
    """The payload's bytes and the seconds of both ways."""
    encode, decode = coding
    payload = encode()
    return len(payload), _best(encode, repeat), _best(lambda: decode(payload), repeat)


def _best(run: Callable[[], object], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def _ours(name: str, image: Pixels) -> Coding:
    height, width, channels = image.shape
    coder = CODERS[name]
    return lambda: coder.encode(image), lambda payload: coder.decode(payload, (height, width, channels))


def _zlib(image: Pixels) -> Coding:
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes()

    def encode() -> bytes:
        coder = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY, wbits=-15)
        return coder.compress(planes) + coder.flush()

    return encode, lambda payload: zlib.decompress(payload, -15)


def _png(image: Pixels) -> Coding:
    def encode() -> bytes:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        return file.getvalue()

    return encode, lambda payload: np.asarray(Image.open(io.BytesIO(payload)))


def _entropy(image: Pixels, prediction: str) -> float:
    """Bytes per byte."""
    return CODERS[f"huffman{prediction}"].estimate_bits(image) / 8 / image.size


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
