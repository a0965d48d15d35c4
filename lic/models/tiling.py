"""Transforms of images of any size, tile by tile: memory depends on the tile, results do not.

A tile is computed with as much around it as its outputs can see, and that margin is cut off again. What is
left is what the whole image gives, but for the last bits of floating-point sums, which a convolution may
order differently for another size. Everything is counted in latents, the positions of y.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lic.data.images import Pixels, to_batch, to_float, to_image
from lic.errors import UserError

WHOLE = 1 << 22
"""Pixels of the largest image that a transform takes which cannot be cut into tiles."""
_LONGEST = 512  # latents; the transforms here see 2 to 8
_AMPLITUDES = (1, 30, 1e3, 1e5) * 4  # against inputs around 1: a faint weight must turn a sign now and then

Window = tuple[slice, slice]  # rows, columns
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tile:
    """``seen`` is to be read; of what comes out, ``kept`` goes to ``place``."""

    seen: Window
    kept: Window
    place: Window


def tiles(size: tuple[int, int], tile: int, stride: int, margin: Callable[[], int | None]) -> Iterator[Tile]:
    """Cut (height, width), in latents, into rectangles of sides up to ``tile`` pixels, all of about one size.

    What is no larger than such a square, of whatever shape, is one. ``margin`` is asked for when there are
    several. Where it is None, all is one.

    Raises:
        UserError: it is None, and there are more than `WHOLE` pixels of ``stride``² a latent.
    """
    side, around = tile // stride, 0
    if size[0] * size[1] <= side * side:
        side = max(size)
    elif (reach := margin()) is not None:
        around = reach
    else:
        side = max(size)
        if (pixels := size[0] * size[1] * stride**2) > WHOLE:
            rescue = stride * (math.isqrt(size[0] * size[1] - 1) + 1)
            raise UserError(
                f"This model sees all of an image at once and takes {WHOLE:,} pixels at most; with what pads "
                f"it, this image has {pixels:,}; give --tile {rescue} (tile={rescue} in Python) or more, if "
                "there is the memory for it."
            )
    for rows in _cut(size[0], side, around):
        for columns in _cut(size[1], side, around):
            yield Tile(*zip(rows, columns, strict=True))


def scaled(window: Window, factor: int) -> Window:
    """The same window where every position has become ``factor``."""
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in window)
    return rows, columns


def seen_of(image: Pixels, part: Tile, stride: int) -> Tensor:
    """What a tile sees of an image, [1, C, h, w] in 0…1; beyond its sides the last row and column repeat."""
    rows, columns = (
        np.arange(seen.start, seen.stop).clip(max=side - 1)
        for seen, side in zip(scaled(part.seen, stride), image.shape, strict=False)
    )
    return to_float(to_batch(image[np.ix_(rows, columns)]))


def keep(image: Pixels, part: Tile, x_hat: Tensor, stride: int) -> None:
    """Put what a tile became, [1, C, h, w] in 0…1, in its place in an image."""
    place = image[scaled(part.place, stride)]
    place[:] = to_image(x_hat[:, :, *scaled(part.kept, stride)])[: place.shape[0], : place.shape[1]]


@torch.inference_mode()
def margin(net: Network, channels: int, stride: int) -> int | None:
    """How many latents beyond its own place an output of ``net`` sees, whatever the layers are.

    In a strip whose inputs are NaN from the middle on, the outputs that are numbers saw none of them, unless
    a comparison or a sign has made numbers of NaN. So halves of random strips are changed, too: an output
    that changes has seen them. None where an output sees the whole image (a mean over it, a normalization of
    groups), or where NaN vanishes altogether, so that nobody can tell.

    Args:
        net: an analysis or synthesis transform.
        channels: of its inputs.
        stride: inputs along a side of one latent; 1 for a synthesis.

    Raises:
        UserError: the weights are so large that all outputs are NaN.
    """
    length = 8
    if _clouded(net, torch.zeros(1, channels, stride, 2 * length * stride, dtype=torch.float32)):
        raise UserError("The network yields numbers that are not finite: its weights are damaged or forged.")
    while length <= _LONGEST:
        strip = torch.zeros(1, channels, stride, 2 * length * stride, dtype=torch.float32)
        strip[..., length * stride :] = torch.nan
        share = max(_clouded(net, strip), _clouded(net, strip.flip(3)))
        if share < 0.5:
            return None
        if share < 1:
            share = max(share, _changed(net, strip.shape))
        if share < 1:
            return math.ceil(2 * length * share) - length
        length *= 2
    return None


def _clouded(net: Network, strip: Tensor) -> float:
    """The share of output columns that have a NaN."""
    return net(strip).isnan().flatten(0, 2).any(0).double().mean().item()


def _changed(net: Network, shape: tuple[int, ...]) -> float:
    """The share of output columns up to the farthest that ever changes with one half of random strips."""
    rng = torch.Generator().manual_seed(0)
    left, right = slice(None, shape[3] // 2), slice(shape[3] // 2, None)
    share = 0.0
    for amplitude in _AMPLITUDES:
        strip, other = torch.randn(2, *shape, generator=rng, dtype=torch.float32)
        before = net(strip)
        for half in (left, right):
            mixed = strip.clone()
            mixed[..., half] = amplitude * other[..., half]
            after = net(mixed)
            differs = (after != before) & after.isfinite() & before.isfinite()  # what overflows tells nothing
            columns = differs.flatten(0, 2).any(0)
            if columns.any():
                places = (columns if half is left else columns.flip(0)).nonzero()
                share = max(share, (places.max().item() + 1) / len(columns))
    return share


def _cut(length: int, side: int, around: int) -> Iterator[tuple[slice, slice, slice]]:
    parts = math.ceil(length / side)
    step = math.ceil(length / parts)
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = max(start - around, 0), min(stop + around, length)
        yield slice(first, last), slice(start - first, stop - first), slice(start, stop)
