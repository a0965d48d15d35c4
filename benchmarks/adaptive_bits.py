"""The coder of binary latents: how fast it is, against its slow double, and what it saves over raw packing.

python benchmarks/adaptive_bits.py [--size 32 48] [--channels 64] [--steps 8]

The latents are made up: the signs of Gaussian fields whose neighbours correlate, in space and from channel to
channel, and the levels of one more such field. A decision is a bit that the map keeps. Times are medians.
"""

import argparse
from itertools import pairwise

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import numpy as np
import torch
from numpy.typing import NDArray
from timing import median
from torch import Tensor

from lic.entropy import adaptive_bits, raw_bits, slow_bits

CORRELATIONS = (0.0, 0.3, 0.6, 0.9)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(32, 48), help="of the map: a photo's, by 16")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"one core with {capability}; millions of decisions a second, and bits beside raw packing's")
    columns = ("decisions", "encode", "decode", "slow double", "bits", "levels")
    print(f"{'correlation':12}" + "".join(f"{column:>12}" for column in columns))
    for correlation in CORRELATIONS:
        report(correlation, arguments.channels, arguments.size, arguments.steps)


def report(correlation: float, channels: int, size: tuple[int, int], steps: int) -> None:
    """Print a line, after making sure that all ways of coding agree."""
    flags, levels = latents(correlation, channels, size, steps)
    payload, packed = (
        adaptive_bits.encode_bits(flags, levels, steps),
        raw_bits.encode_bits(flags, levels, steps),
    )
    slow = flags.numpy(), levels.numpy(), channels, *size, steps
    assert slow_bits.encode_bits(*slow) == payload
    back = adaptive_bits.decode_bits(payload, levels, channels, steps)
    assert torch.equal(back, raw_bits.decode_bits(packed, levels, channels, steps))
    encoding = median(lambda: adaptive_bits.encode_bits(flags, levels, steps), 15)
    decoding = median(lambda: adaptive_bits.decode_bits(payload, levels, channels, steps), 15)
    decisions = int(levels.sum()) * channels // steps
    ratio = median(lambda: slow_bits.encode_bits(*slow), 1) / encoding
    saved = len(payload) / len(packed) - 1
    level_saved = (
        len(adaptive_bits.encode_levels(levels, steps)) / len(raw_bits.encode_levels(levels, steps)) - 1
    )
    speeds = (f"{decisions / seconds / 1e6:.1f}" for seconds in (encoding, decoding))
    values = (f"{decisions:,}", *speeds, f"x{ratio:.0f}", f"{saved:+.1%}", f"{level_saved:+.1%}")
    print(f"{correlation:<12}" + "".join(f"{value:>12}" for value in values))


def latents(correlation: float, channels: int, size: tuple[int, int], steps: int) -> tuple[Tensor, Tensor]:
    """Bits [n, h, w] and levels [h, w], uint8, of fields whose neighbours correlate so far."""
    random = np.random.default_rng(0)
    field = autoregressive(random.normal(size=(channels, *size)), correlation)
    plane = autoregressive(random.normal(size=(1, *size)), correlation)[0]
    levels = ((plane + 2) / 4 * steps).round().clip(0, steps).astype(np.uint8)
    return torch.from_numpy((field > 0).astype(np.uint8)), torch.from_numpy(levels)


def autoregressive(noise: NDArray[np.float64], correlation: float) -> NDArray[np.float64]:
    """Standard noise, with this correlation between neighbours along each axis."""
    for axis in range(noise.ndim):
        rows = np.moveaxis(noise, axis, 0)  # a view
        for before, row in pairwise(rows):
            row[:] = correlation * before + (1 - correlation**2) ** 0.5 * row
    return noise


if __name__ == "__main__":
    main()
