"""The residual blocks of Appl. Sci. 2020, 10, 4023, with a normalization of choice (Figure 3).

ResDwBlock   lrelu(norm(conv3(lrelu(norm(conv3 s2)))) + conv1 s2)
ResUpBlock   lrelu(norm(conv3(lrelu(norm(shuffle(conv3))))) + shuffle(conv1))
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from lic.layers.conv import StridedPointwise, SubPixelConv, conv
from lic.layers.gdn import GDN
from lic.layers.mirrored import start_mirrored

Normalization = Callable[[int, bool], nn.Module]
"""Makes the normalization of so many channels, inverse on the decoder's side."""


class GroupNorm(nn.GroupNorm):
    """Not channels-last on a CPU, where torch 2.13 is inexact and slow.

    In float32 its sums are off by 3.5e-3 for 1200x1600 pixels, and by less than 1e-6 in the other layout; the
    backward pass in bfloat16 takes 17 times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        if x.device.type == "cpu":
            return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)
        return super().forward(x)


def _group(channels: int, inverse: bool) -> nn.Module:
    return GroupNorm(min(32, channels // 4), channels)


def _batch(channels: int, inverse: bool) -> nn.Module:
    return nn.BatchNorm2d(channels)


NORMALIZATIONS: dict[str, Normalization] = {"group": _group, "batch": _batch, "gdn": GDN}


_PIXEL_GAIN = 2.3  # pixels less their mean deviate by about a quarter, features by about one


def _start_quietly(body: nn.Sequential) -> None:
    """Let a block begin near its shortcut: normalized features would drown what that carries."""
    if isinstance(body[-1], nn.GroupNorm | nn.BatchNorm2d):
        nn.init.constant_(body[-1].weight, 0.2)


class ResDwBlock(nn.Module):
    """Halves both sides. It begins near a linear map of every second pixel.

    ``from_pairs`` is False where the inputs are an image, see `lic.layers.mirrored`.
    """

    def __init__(self, c_in: int, c_out: int, norm: Normalization, from_pairs: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            conv(c_in, c_out, 3, stride=2),
            norm(c_out, False),
            nn.LeakyReLU(),
            conv(c_out, c_out, 3),
            norm(c_out, False),
        )
        self.shortcut = StridedPointwise(c_in, c_out)
        self.activation = nn.LeakyReLU()
        _start_quietly(self.body)
        start_mirrored(self.shortcut, from_pairs=from_pairs, gain=1.0 if from_pairs else _PIXEL_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H/2, W/2]."""
        return self.activation(self.body(x) + self.shortcut(x))


class ResUpBlock(nn.Module):
    """Doubles both sides. It begins near a linear map whose pixels are repeated."""

    def __init__(self, channels: int, norm: Normalization):
        super().__init__()
        self.body = nn.Sequential(
            SubPixelConv(channels, channels, 3),
            norm(channels, True),
            nn.LeakyReLU(),
            conv(channels, channels, 3),
            norm(channels, True),
        )
        self.shortcut = SubPixelConv(channels, channels, 1)
        self.activation = nn.LeakyReLU()
        _start_quietly(self.body)
        start_mirrored(cast(nn.Conv2d, self.shortcut[0]), copies=4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        return self.activation(self.body(x) + self.shortcut(x))
