"""Initial values for short trainings: the untrained codec already passes on a small picture, in colour.

This project's own choice, for demonstrations; the papers begin with random values.

Under 1 - MS-SSIM, colour is worth little as long as the structure is wrong, and a short training from random
values ends in gray. Here the shortcuts of the residual units begin as what they are called: they pass their
channels on (as Dirac filters do, Zagoruyko and Komodakis 2017; sub-pixel ones by repeating each pixel, ICNR,
Aitken et al. 2017), with luminance and two differences of colours as the first three. The other paths begin
near zero.

Networks around a compact image begin with the means of squares of pixels as that image, and add nothing to
what the up-sampler makes of it.
"""

from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers import Res, ResDown, ResUp, SubPixelConv
from lic.models.base import Network
from lic.models.compact import CompactImage
from lic.models.transform import TransformCoding

_COLOURS = (  # orthonormal: luminance, red against blue, green against both
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (-(6**-0.5), 2 * 6**-0.5, -(6**-0.5)),
)
_BODY = 0.1  # of the residual paths' usual values
_GAIN = 4.0  # rounding must leave something of a picture's values, which lie within ±0.9


@singledispatch
@torch.no_grad()
def start_as_thumbnail(net: Network) -> None:
    """Give a network of residual units with sub-pixel shortcuts, or around a compact image, such values.

    Raises:
        UserError: the network is none of these.
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
            "and 3 channels; or model=comcnn_reccnn or icm_irm."
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


@start_as_thumbnail.register
@torch.no_grad()
def _start_compact(net: CompactImage) -> None:
    """The first layer's first channels are means of 2x2 or 3x3 pixels; the second takes one of a square.

    Raises:
        UserError: the mean in the middle of a square is out of reach, or there are too few channels.
    """
    first, second, last = (layer for layer in net.com if isinstance(layer, nn.Conv2d))
    c, middle = net.image_channels, (net.stride - 1) // 2
    if min(first.out_channels, second.out_channels) < c:
        raise UserError(
            "start=thumbnail needs as many channels within the network as the image has, or more."
        )
    if middle and (second.stride == (1, 1) or second.dilation != (1, 1)):
        raise UserError(
            "start=thumbnail needs model.stride=2, or no model.dilation and model.stride_layer=2."
        )
    seen = slice(0 if net.stride % 2 else 1, 3)
    for layer, rows, columns, value in (
        (first, seen, seen, 1 / len(range(3)[seen]) ** 2),
        (second, 1 + middle, 1 + middle, 1.0),
        (last, 1, 1, 1.0),
    ):
        layer.weight[:c] = 0
        cast(Tensor, layer.bias)[:c] = 0
        for channel in range(c):
            layer.weight[channel, channel, rows, columns] = value
    last.weight[:, c:] = 0
    for norm in net.com:
        if isinstance(norm, nn.BatchNorm2d):  # it changes nothing of pixels of this mean and deviation
            for values, usual in ((norm.running_mean, 0.5), (norm.running_var, 0.25**2)):
                cast(Tensor, values)[:c] = usual
            norm.bias[:c], norm.weight[:c] = 0.5, 0.25
    added = list(net.rec.children())[-1]
    _scale(cast(nn.Conv2d, added), 0)


def _scale(layer: nn.Conv2d, factor: float) -> None:
    layer.weight.mul_(factor)
    cast(Tensor, layer.bias).mul_(factor)


def _pass_on(layer: nn.Conv2d, mixing: Tensor | None, repeats: int = 1) -> None:
    """Let a 1x1 convolution pass its channels on, the first ones through ``mixing``, each several times."""
    _scale(layer, 0)
    matrix = torch.eye(layer.in_channels) if mixing is None else mixing
    rows = matrix.repeat_interleave(repeats, 0)[: layer.out_channels]
    layer.weight[: len(rows), :, 0, 0] = rows
