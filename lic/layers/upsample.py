"""The upsamplers that ``upsample=`` chooses from: those of transforms, and those of images."""

from collections.abc import Callable
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers.conv import SubPixelConv, tconv

Upsampler = Callable[[int, int, int], nn.Module]
ImageUpsampler = Callable[[int, int], nn.Module]


class Bicubic(nn.Module):
    """Bicubic interpolation, ``factor`` times as many pixels along a side: [N, C, h, w] -> [N, C, H, W].

    Keys' kernel with a = -1/2, as Pillow and Matlab have it; with torch's own default, -3/4, a ramp comes
    out as waves. Weights of pixels beyond the border are given to the others.
    """

    def __init__(self, channels: int, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """In float32, whatever the precision of training."""
        return bicubic(x.float(), (self.factor * x.shape[2], self.factor * x.shape[3]))


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """As `Bicubic`, to any size; where it shrinks, the kernel is wider: [N, C, h, w] -> [N, C, *size]."""
    return F.interpolate(x, size, mode="bicubic", antialias=True)


UPSAMPLERS: dict[str, Upsampler] = {"tconv": tconv, "subpixel": SubPixelConv}
"""(c_in, c_out, kernel_size) -> layer that doubles the sides."""
IMAGE_UPSAMPLERS: dict[str, ImageUpsampler] = {"bicubic": Bicubic}
"""(channels, factor) -> layer that enlarges an image."""


def upsampler(name: str) -> Upsampler:
    """The upsampler called ``name``; a `UserError` lists the known ones."""
    return _chosen(UPSAMPLERS, name)


def image_upsampler(name: str) -> ImageUpsampler:
    """The upsampler of images called ``name``; a `UserError` lists the known ones."""
    return _chosen(IMAGE_UPSAMPLERS, name)


_T = TypeVar("_T")


def _chosen(known: dict[str, _T], name: str) -> _T:
    if name not in known:
        raise UserError(f"Unknown upsampler {name!r}; choose upsample={' or upsample='.join(known)}.")
    return known[name]
