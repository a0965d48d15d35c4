"""The causal context of an autoregressive prior, and the orders in which its latents can be coded."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from compressai.layers import MaskedConv2d
from torch import Tensor

_REACH = 2  # positions that the mask sees to the left, to the right and above
NEIGHBOURS = 12
"""Positions that a 5x5 mask of type A sees: two rows above, and two to the left."""

Order = Callable[[int, int], tuple[Tensor, list[int]]]
"""(height, width) -> the positions' raster indexes in the order of coding, and how many each step takes."""


class CausalConv(MaskedConv2d):
    """The context model of Minnen et al. 2018: a 5x5 convolution that sees what a raster scan has passed.

    Coding evaluates it where it is needed, as a 1x1 convolution of a position's `NEIGHBOURS`.
    """

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out, kernel_size=5, padding=_REACH)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]; unlike CompressAI's, it leaves the weights as they are."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=_REACH)

    def pointwise_weight(self) -> Tensor:
        """The weights of the neighbours, [c_out, 12·c_in, 1, 1]."""
        taps = self.weight.flatten(2)[:, :, :NEIGHBOURS]
        return taps.transpose(1, 2).reshape(self.out_channels, -1, 1, 1)


def raster(height: int, width: int) -> tuple[Tensor, list[int]]:
    """Row after row, one position a step: the order of Minnen et al. and of CompressAI."""
    return torch.arange(height * width), [1] * (height * width)


def wavefronts(height: int, width: int) -> tuple[Tensor, list[int]]:
    """All positions of equal column + 3·row at once.

    The mask reaches two columns to the right in the row above, so that all that such a position sees has a
    lower sum. A Kodak image of 768x512 takes 141 steps in place of 1,536.
    """
    time = (torch.arange(width) + (_REACH + 1) * torch.arange(height)[:, None]).flatten()
    return time.argsort(stable=True), time.bincount().tolist()


ORDERS: tuple[Order, ...] = (raster, wavefronts)
"""By the method of a stream."""


class Scan:
    """A band of y_hat that becomes known step by step.

    Iterating gives the steps. Tensors of a step are [1, C, 1, positions]. The rows above the band must be
    known already; its own are written to ``y_hat`` when the iteration ends.

    Args:
        y_hat: [1, C, H, W]; nothing at or below ``rows`` is read.
        rows: those of the band.
        order: `wavefronts`, or `raster`, which needs many more steps for the same values.
    """

    def __init__(self, y_hat: Tensor, rows: slice, order: Order):
        channels, width = y_hat.shape[1], y_hat.shape[3]
        self._band = y_hat[:, :, rows]
        height = self._band.shape[2]
        self._raster_indexes, self._counts = order(height, width)

        known = y_hat[:, :, max(rows.start - _REACH, 0) : rows.start]
        self._plane = y_hat.new_zeros(_REACH + height, width + 2 * _REACH, channels)
        self._plane[_REACH - known.shape[2] : _REACH, _REACH:-_REACH] = known[0].permute(1, 2, 0)

        stride = width + 2 * _REACH
        row, column = self._raster_indexes // width, self._raster_indexes % width
        self._places = (row + _REACH) * stride + column + _REACH
        taps = torch.arange(NEIGHBOURS)
        self._offsets = (taps // (2 * _REACH + 1) - _REACH) * stride + taps % (2 * _REACH + 1) - _REACH

    def __iter__(self) -> Iterator[slice]:
        start = 0
        for count in self._counts:
            yield slice(start, start + count)
            start += count
        self._band[:] = self._plane[_REACH:, _REACH:-_REACH].permute(2, 0, 1)

    def in_order(self, x: Tensor) -> Tensor:
        """The band's part of a latent, [1, C, h, W] -> [1, C, 1, h·W] in the order of coding."""
        return _columns(x[0].flatten(1).t()[self._raster_indexes])

    def neighbours(self, step: slice) -> Tensor:
        """The values that the positions of a step see, [1, 12·C, 1, positions]."""
        seen = (self._places[step, None] + self._offsets).flatten()
        return _columns(self._flat.index_select(0, seen).view(step.stop - step.start, -1))

    def put(self, step: slice, values: Tensor) -> None:
        """Make the y_hat of a step known, [1, C, 1, positions]."""
        self._flat.index_copy_(0, self._places[step], values[0, :, 0].t())

    @property
    def _flat(self) -> Tensor:
        return self._plane.view(-1, self._plane.shape[2])


def _columns(x: Tensor) -> Tensor:
    """[positions, C] -> [1, C, 1, positions]; strictly channels-last, or torch takes a slow way."""
    return x[None, None].permute(0, 3, 1, 2)
