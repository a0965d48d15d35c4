"""Initial values for short trainings: the untrained codec already passes on a small picture, in colour.

Under 1 - MS-SSIM, colour is worth little as long as the structure is wrong, and a short training from random
values ends in gray. Here the shortcuts of the residual units begin as what they are called: they pass their
channels on (as Dirac filters do, Zagoruyko and Komodakis 2017; sub-pixel ones by repeating each pixel, ICNR,
Aitken et al. 2017), with luminance and two differences of colours as the first three. The other paths begin
near zero. This project's own choice, for demonstrations; the papers begin with random values.
"""

from typing import cast

import torch
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers import Res, ResDown, ResUp, SubPixelConv
from lic.models.base import Network
from lic.models.transform import TransformCoding

_COLOURS = (  # orthonormal: luminance, red against blue, green against both
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (-(6**-0.5), 2 * 6**-0.5, -(6**-0.5)),
)
_BODY = 0.1  # of the residual paths' usual values
_GAIN = 4.0  # rounding must leave something of a picture's values, which lie within ±0.9


@torch.no_grad()
def start_as_thumbnail(net: Network) -> None:
    """Give a network of residual units with sub-pixel shortcuts the initial values described above.

    Raises:
        UserError: the network has no such units.
    """
    units = [m for m in net.modules() if isinstance(m, Res | ResDown | ResUp)]
    down = [unit.shortcut for unit in units if isinstance(unit, ResDown)]
    up: list[nn.Module | None] = [unit.shortcut for unit in units if isinstance(unit, ResUp)]
    first = next(iter(down), None)
    last = list(net.g_s.children())[-1] if isinstance(net, TransformCoding) else None
    subpixels = isinstance(last, SubPixelConv) and all(isinstance(s, SubPixelConv) for s in up)
    if not isinstance(first, nn.Conv2d) or first.in_channels != 3 or not subpixels:
        raise UserError(
            "start=thumbnail needs model=resnet3x3_4 upsample=subpixel with shortcuts, pixel_unshuffle 1 "
            "and 3 channels."
        )
    for unit in units:
        body = [layer for layer in unit.body if isinstance(layer, nn.Conv2d)][-1]
        _scale(body, _BODY)
    colours = torch.tensor(_COLOURS)
    for shortcut in down:
        _pass_on(cast(nn.Conv2d, shortcut), colours if shortcut is first else None)
    cast(Tensor, first.bias).copy_(-first.weight.sum((1, 2, 3)) / 2)  # mid-gray is zero
    to_y = cast(nn.Conv2d, list(net.get_submodule("g_a").children())[-1])
    to_y.weight[:3] = 0
    to_y.weight[:3, :3, 1, 1] = _GAIN * torch.eye(3)
    for upsampler in up:
        _pass_on(cast(nn.Conv2d, cast(SubPixelConv, upsampler)[0]), None, repeats=4)
    to_image = cast(nn.Conv2d, cast(SubPixelConv, last)[0])
    _scale(to_image, 0)
    cast(Tensor, to_image.bias).fill_(0.5)
    to_image.weight[:, :3, 1, 1] = colours.T.repeat_interleave(4, 0) / _GAIN


def _scale(layer: nn.Conv2d, factor: float) -> None:
    layer.weight.mul_(factor)
    cast(Tensor, layer.bias).mul_(factor)


def _pass_on(layer: nn.Conv2d, mixing: Tensor | None, repeats: int = 1) -> None:
    """Let a 1x1 convolution pass its channels on, the first ones through ``mixing``, each several times."""
    _scale(layer, 0)
    matrix = torch.eye(layer.in_channels) if mixing is None else mixing
    rows = matrix.repeat_interleave(repeats, 0)[: layer.out_channels]
    layer.weight[: len(rows), :, 0, 0] = rows
