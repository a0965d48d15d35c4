"""Blocks of pixels as channels: with these, any family's transforms run at a fraction of the resolution.

They enclose the layers of g_a and g_s (Cai et al. 2019), whose image then has C·r² channels::

    g_a = nn.Sequential(*space_to_depth(r), conv(3 * r * r, n, 5, stride=2), ...)
    g_s = nn.Sequential(..., tconv(n, 3 * r * r, 5), *depth_to_space(r))

Blocks of one pixel are no layer at all: the state dict, the values and the time of a net without.
"""

from torch import nn


def space_to_depth(r: int) -> list[nn.Module]:
    """The layer before an analysis: [N, C, H, W] -> [N, C·r², H/r, W/r]."""
    return [nn.PixelUnshuffle(r)] if r > 1 else []


def depth_to_space(r: int) -> list[nn.Module]:
    """The layer after a synthesis, its inverse: [N, C·r², H, W] -> [N, C, r·H, r·W]."""
    return [nn.PixelShuffle(r)] if r > 1 else []
