"""The upsamplers that ``upsample=`` chooses from: one signature, (c_in, c_out, kernel_size) -> layer."""

from collections.abc import Callable

from torch import nn

from lic.errors import UserError
from lic.layers.conv import SubPixelConv, tconv

Upsampler = Callable[[int, int, int], nn.Module]

UPSAMPLERS: dict[str, Upsampler] = {"tconv": tconv, "subpixel": SubPixelConv}


def upsampler(name: str) -> Upsampler:
    """The upsampler called ``name``; a `UserError` lists the known ones."""
    if name not in UPSAMPLERS:
        raise UserError(f"Unknown upsampler {name!r}; choose upsample={' or '.join(UPSAMPLERS)}.")
    return UPSAMPLERS[name]
