"""The networks of `lic.models.residual`: the autoencoder of one stage, and the post-processing.

In coding, both come to large images in tiles. The autoencoder's transforms come in two halves: what is
between them, a sixteenth of the pixels, is the largest that is held whole of so many channels. In one piece
they would be computed more often, in single blocks four times as much would be held.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lic.layers import conv
from lic.layers.binarizer import QUANTIZERS
from lic.layers.mirrored import start_mirrored
from lic.layers.normalized import Normalization, ResDwBlock, ResUpBlock
from lic.models.tiled_net import TiledNet

STRIDE = 16
"""Pixels along a side of a position: M = 4 halvings."""


class Autoencoder(nn.Module):
    """One stage: an image or what is left of one [N, C, H, W], n bits for each 16x16 pixels, and back.

    ::

              ┌─────┐  y   ┌─────────┐  u   ┌───┐  q    ┌─────┐
        x ──▶ │ g_a ├───▶──┤ to_code ├──▶───┤ Q ├──▶────┤ g_s ├──▶ x_hat
              └─────┘      └─────────┘      └───┘       └─────┘

    m = ``width``, n = ``bottleneck``. All but g_s's last layer begins near a linear map
    (`lic.layers.mirrored`), with codes so large that about half of the bits are nearly certain: what is drawn
    in training is then nearer to what is coded in use. The last layer begins at zero, with a gray image and
    no correction of it.
    """

    def __init__(self, channels: int, width: int, bottleneck: int, quantizer: str, norm: Normalization):
        super().__init__()
        c, m, n = channels, width, bottleneck
        self.g_a = nn.Sequential(
            ResDwBlock(c, m, norm, from_pairs=False),
            ResDwBlock(m, m, norm),
            ResDwBlock(m, m, norm),
            ResDwBlock(m, m, norm),
        )
        self.to_code = nn.Sequential(
            conv(m, n, 3),
            nn.Tanh(),
        )
        self.quantizer = QUANTIZERS[quantizer](n)
        self.g_s = nn.Sequential(
            conv(n, m, 3),
            nn.LeakyReLU(),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            _from_zero(conv(m, c, 3)),
        )
        start_mirrored(cast(nn.Conv2d, self.to_code[0]), to_pairs=False, gain=4.0)
        start_mirrored(cast(nn.Conv2d, self.g_s[0]), from_pairs=False)
        self.quantizer.start(cast(nn.Conv2d, self.g_s[0]))
        self._analysis = TiledNet(self.g_a[:2], c, 4, 4, 1), TiledNet(self.g_a[2:], m, 16, 4, 1)
        self._synthesis = TiledNet(self.g_s[:4], n, 16, 1, 4), TiledNet(self.g_s[4:], m, 4, 1, 4)

    def code(self, y: Tensor, kept: Tensor) -> Tensor:
        """The bits of y = g_a(x), -1 and 1, and 0 where none is kept: [N, n, h, w]."""
        return self.quantizer(self.to_code(y).float(), kept)

    def decode(self, q: Tensor) -> Tensor:
        """x_hat of bits."""
        return self.g_s(self.quantizer.dequantize(q)).float()

    def analyze(self, x: Tensor, tile: int) -> Tensor:
        """What g_a gives for an image of any size, in tiles of so many pixels along a side."""
        return _in_tiles(self._analysis, x, tile)

    def synthesize(self, q: Tensor, tile: int) -> Tensor:
        """x_hat of the bits of an image of any size."""
        return _in_tiles(self._synthesis, self.quantizer.dequantize(q), tile).float()


class PostProcessing(nn.Sequential):
    """Eight residual units at full resolution (Zhou et al., CLIC 2018): [N, 2C, H, W] -> [N, C, H, W].

    They see what the last autoencoder left and what the first did, and begin with no correction of it.
    """

    def __init__(self, channels: int):
        super().__init__(
            conv(2 * channels, 64, 3),
            *(_Unit(64) for _ in range(8)),
            _from_zero(conv(64, channels, 3)),
        )
        self._tiled = TiledNet(self, 2 * channels, 1, 1, 1)

    def polish(self, last: Tensor, first: Tensor, tile: int | None = None) -> Tensor:
        """The last stage's x' + P(x', x_hat of the first); in tiles of so many pixels a side, if told."""
        x = torch.cat([last, first], 1)
        return last + (self(x) if tile is None else self._tiled(x, tile)).float()


class _Unit(nn.Module):
    """x + conv3(lrelu(conv3(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels, 3), nn.LeakyReLU(), conv(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _in_tiles(halves: Sequence[TiledNet], x: Tensor, tile: int) -> Tensor:
    for half in halves:
        x = half(x, tile)
    return x


def _from_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer that begins as if it were not there."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer
