"""Transforms of images of any size, tile by tile: memory depends on the tile, results do not.

A tile is computed with as much around it as its outputs can see, and that margin is cut off again. What is
left is what the whole image gives, but for the last bits of floating-point sums, which a convolution may
order differently for another size. Everything is counted in latents, the positions of y.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lic.errors import UserError

_LONGEST = 512  # latents; the transforms here see 2 to 8

Window = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Tile:
    """``seen`` is to be read; of what comes out, ``kept`` goes to ``place``."""

    seen: Window
    kept: Window
    place: Window


def tiles(size: tuple[int, int], side: int, margin: Callable[[], int]) -> Iterator[Tile]:
    """Cut (height, width) into rectangles of sides up to ``side``, all of about one size.

    What is no larger than such a square, of whatever shape, is one. ``margin`` is asked for when there are
    several.
    """
    if size[0] * size[1] <= side * side:
        side = max(size)
    around = margin() if max(size) > side else 0
    for rows in _cut(size[0], side, around):
        for columns in _cut(size[1], side, around):
            yield Tile(*zip(rows, columns, strict=True))


def scaled(window: Window, factor: int) -> Window:
    """The same window where every position has become ``factor``."""
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in window)
    return rows, columns


@torch.inference_mode()
def margin(net: nn.Module, channels: int, stride: int) -> int:
    """How many latents beyond its own place an output of ``net`` sees, whatever the layers are.

    In a strip whose inputs are NaN from the middle on, the outputs that are numbers saw none of them.

    Args:
        net: an analysis or synthesis transform made of convolutions.
        channels: of its inputs.
        stride: inputs along a side of one latent; 1 for a synthesis.

    Raises:
        UserError: the weights are so large that all outputs are NaN.
    """
    length = 8
    if _clouded(net, torch.zeros(1, channels, stride, 2 * length * stride, dtype=torch.float32)):
        raise UserError("The network yields numbers that are not finite: its weights are damaged or forged.")
    while True:
        strip = torch.zeros(1, channels, stride, 2 * length * stride, dtype=torch.float32)
        strip[..., length * stride :] = torch.nan
        share = max(_clouded(net, strip), _clouded(net, strip.flip(3)))
        assert share >= 0.5, "a layer hides NaN, and with it what it sees"
        if share < 1:
            return math.ceil(2 * length * share) - length
        length *= 2
        assert length <= _LONGEST, "a transform that sees the whole image cannot be cut into tiles"


def _clouded(net: nn.Module, strip: Tensor) -> float:
    """The share of output columns that have a NaN."""
    return net(strip).isnan().flatten(0, 2).any(0).double().mean().item()


def _cut(length: int, side: int, around: int) -> Iterator[tuple[slice, slice, slice]]:
    parts = math.ceil(length / side)
    step = math.ceil(length / parts)
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = max(start - around, 0), min(stop + around, length)
        yield slice(first, last), slice(start - first, stop - first), slice(start, stop)
