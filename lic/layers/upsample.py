"""The upsamplers of transforms that ``upsample=`` chooses from, and bicubic interpolation of images."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers.conv import SubPixelConv, tconv

Upsampler = Callable[[int, int, int], nn.Module]


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


def upsampler(name: str) -> Upsampler:
    """The upsampler called ``name``; a `UserError` lists the known ones."""
    return chosen(UPSAMPLERS, name)


_T = TypeVar("_T")


def chosen(known: Mapping[str, _T], name: str) -> _T:
    """The upsampler called ``name`` among ``known``; a `UserError` lists those."""
    if name not in known:
        raise UserError(f"Unknown upsampler {name!r}; choose upsample={' or upsample='.join(known)}.")
    return known[name]
