"""Transforms with normalizations of groups, tile by tile: memory depends on the tile, results do not.

A normalization of groups needs mean and deviation over the whole image, which no tile knows. Where they are
known, it is one affine map of each channel. So the tiles pass several times: in each pass as far as the first
normalization that does not know the image yet, which gathers its statistics; in the last one to the end. What
comes out is what the whole image gives, but for the last bits of floating-point sums.
"""

import copy
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from lic.models.tiling import Tile, margin, scaled, tiles

_ROWS = 32  # that are in double precision at once


class TiledNet:
    """A transform in tiles of an image: [N, C, h, w] -> [N, C', h', w'], as ``net`` gives it.

    A normalization of groups costs one more pass, up to the place where it stands; other layers cost none.
    One of another kind that sees all of the image makes it one tile, see `tiles`.

    Args:
        net: the transform. Later changes of its weights are seen.
        channels: of its inputs.
        stride: pixels of the image along a side of a latent, the coarser of inputs and outputs.
        inputs: along a side of a latent.
        outputs: likewise.
    """

    def __init__(self, net: nn.Module, channels: int, stride: int, inputs: int, outputs: int):
        self.net, self.channels = net, channels
        self.stride, self.inputs, self.outputs = stride, inputs, outputs

    @torch.no_grad()
    def __call__(self, x: Tensor, tile: int) -> Tensor:
        """What ``net`` gives for x, whose sides are multiples of ``inputs``.

        Args:
            x: [N, C, h, w].
            tile: pixels of the image along a side; what is no larger than such a square is one.

        Raises:
            UserError: x cannot be cut and is too large, or the weights are damaged.
        """
        size = x.shape[2] // self.inputs, x.shape[3] // self.inputs
        cut = list(tiles(size, tile, self.stride, lambda: self._margin))
        if len(cut) == 1:
            return self.net(x)
        net = _with_norms(self.net, _Gathered)
        while (y := self._passed(net, x, cut)) is None:
            pass
        return y

    def _passed(self, net: nn.Module, x: Tensor, cut: Sequence[Tile]) -> Tensor | None:
        """What the net gives; None when instead a normalization has got to know its statistics."""
        y: Tensor | None = None
        stopped: _Gathered | None = None
        height, width = (side // self.inputs * self.outputs for side in x.shape[2:])
        for part in cut:
            try:
                out = net(x[:, :, *scaled(part.seen, self.inputs)])
            except _UnknownError as unknown:
                stopped = unknown.norm
                stopped.gather(unknown.x, part)
                continue
            if y is None:
                y = out.new_empty(*out.shape[:2], height, width)
            y[:, :, *scaled(part.place, self.outputs)] = out[:, :, *scaled(part.kept, self.outputs)]
        if stopped:
            stopped.close()
        return y

    @cached_property
    def _margin(self) -> int | None:
        return margin(_with_norms(self.net, lambda _: nn.Identity()), self.channels, self.inputs)


class _UnknownError(Exception):
    """Leaves a net at a normalization that cannot go on, with what has come that far."""

    def __init__(self, norm: "_Gathered", x: Tensor):
        super().__init__()
        self.norm, self.x = norm, x


class _Gathered(nn.Module):
    """A normalization of groups of an image that comes in tiles."""

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.norm = norm
        self.sums: Tensor | float = 0.0  # of values and of squares [2, N, C]
        self.count = 0  # of positions
        self.affine: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.affine is None:
            raise _UnknownError(self, x)
        factor, offset = self.affine
        return torch.addcmul(offset, x, factor)

    def gather(self, x: Tensor, part: Tile) -> None:
        """Count what is kept of a tile, in double precision."""
        x = x[:, :, *scaled(part.kept, x.shape[3] // (part.seen[1].stop - part.seen[1].start))]
        for rows in x.split(_ROWS, 2):
            values = rows.double()
            self.sums = self.sums + torch.stack([values.sum((2, 3)), values.square_().sum((2, 3))])
        self.count += x.shape[2] * x.shape[3]

    def close(self) -> None:
        """Nothing more comes."""
        assert isinstance(self.sums, Tensor)
        count, channels = self.sums.shape[1:]
        grouped = self.sums.view(2, count, self.norm.num_groups, -1) / self.count
        mean, square = grouped.mean(3, keepdim=True)
        factor = self.norm.weight.view(grouped.shape[2:]) / (square - mean.square() + self.norm.eps).sqrt()
        offset = self.norm.bias.view(grouped.shape[2:]) - mean * factor
        self.affine = tuple(v.view(count, channels, 1, 1).float() for v in (factor, offset))


def _with_norms(net: nn.Module, kind: Callable[[nn.GroupNorm], nn.Module]) -> nn.Module:
    """The net, with the same weights, and another kind of module for each normalization of groups."""
    shared = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    net = copy.deepcopy(net, shared)
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.GroupNorm):
            net.set_submodule(name, kind(layer))
    return net
