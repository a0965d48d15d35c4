"""ResNet-3x3(3) and ResNet-3x3(4) of Cheng et al. 2019 (arXiv 1906.09731, Tables 4, 5 and 9).

The parameter counts and FLOPs of the paper's Table 9 fix the layers below. They do not fix whether the
unit at 1/16 of the resolution starts the decoder (chosen: Res(192) of Bottleneck192 fits there, and
cheng2020 does so) or ends the encoder, nor which hyper layers carry the strides.
"""

from torch import nn

from lic.layers import GDN, Res, ResDown, ResUp, conv, depth_to_space, space_to_depth, tconv, upsampler
from lic.models.base import check_flag, check_width
from lic.models.hyperprior import MeanScaleHyperprior


class _Hyperprior3x3(MeanScaleHyperprior):
    """The hyper path of both networks: each strided 5x5 of HyperPrior-k becomes two 3x3 layers.

    It upsamples by transposed convolutions in every variant and scales with the bottleneck M; the
    constants 640 and 512 do not.
    """

    def __init__(self, bottleneck: int, pixel_unshuffle: int, channels: int):
        super().__init__(pixel_unshuffle, channels)
        m = bottleneck
        self.h_a = nn.Sequential(
            conv(m, m, 3),
            nn.LeakyReLU(),
            conv(m, m, 3),
            nn.LeakyReLU(),
            conv(m, m, 3, stride=2),
            nn.LeakyReLU(),
            conv(m, m, 3),
            nn.LeakyReLU(),
            conv(m, m, 3, stride=2),
        )
        self.h_s = nn.Sequential(
            conv(m, m, 3),
            nn.LeakyReLU(),
            tconv(m, m, 3),
            nn.LeakyReLU(),
            conv(m, m * 3 // 2, 3),
            nn.LeakyReLU(),
            tconv(m * 3 // 2, m * 3 // 2, 3),
            nn.LeakyReLU(),
            conv(m * 3 // 2, m * 2, 3),
        )
        self.add_prior(m)


class ResNet3x3Three(_Hyperprior3x3):
    """ResNet-3x3(3): per stage one strided 3x3 and a residual pair, the receptive field of one 9x9 conv.

    5,716,355 parameters at ``width`` 128. ``shortcut=False`` is the plain stack of 3x3 layers.

    Raises:
        UserError: an odd width, blocks other than 1, 2 or 4, or channels other than 1 or 3.
    """

    def __init__(self, width: int = 128, shortcut: bool = True, pixel_unshuffle: int = 1, channels: int = 3):
        check_width("model.width", width)
        check_flag("model.shortcut", shortcut)
        super().__init__(width, pixel_unshuffle, channels)
        n, r, c = width, pixel_unshuffle, channels
        self.g_a = nn.Sequential(
            *space_to_depth(r),
            conv(c * r * r, n, 3, stride=2),
            GDN(n),
            Res(n, shortcut),
            conv(n, n, 3, stride=2),
            GDN(n),
            Res(n, shortcut),
            conv(n, n, 3, stride=2),
            GDN(n),
            Res(n, shortcut),
            conv(n, n, 3, stride=2, bias=False),
        )
        self.g_s = nn.Sequential(
            Res(n, shortcut),
            tconv(n, n, 3),
            GDN(n, inverse=True),
            Res(n, shortcut),
            tconv(n, n, 3),
            GDN(n, inverse=True),
            Res(n, shortcut),
            tconv(n, n, 3),
            GDN(n, inverse=True),
            Res(n, shortcut),
            tconv(n, c * r * r, 3),
            *depth_to_space(r),
        )


class ResNet3x3Four(_Hyperprior3x3):
    """ResNet-3x3(4): residual units that also change the resolution, upsampled by TConv or SubPixel.

    6,684,931 parameters with ``upsample="tconv"``, 8,172,172 with ``"subpixel"``, 11,627,916 with
    ``"subpixel"`` and ``bottleneck`` 192, at ``width`` 128. ``shortcut=False`` is the plain stack of 3x3
    layers of section 2.2.

    Raises:
        UserError: an odd width or bottleneck, an unknown upsampler, blocks other than 1, 2 or 4, channels
            than 1 or 3.
    """

    def __init__(
        self,
        upsample: str = "subpixel",
        width: int = 128,
        bottleneck: int = 128,
        shortcut: bool = True,
        pixel_unshuffle: int = 1,
        channels: int = 3,
    ):
        check_width("model.width", width)
        check_width("model.bottleneck", bottleneck)
        check_flag("model.shortcut", shortcut)
        super().__init__(bottleneck, pixel_unshuffle, channels)
        n, m, r, c, up = width, bottleneck, pixel_unshuffle, channels, upsampler(upsample)
        self.g_a = nn.Sequential(
            *space_to_depth(r),
            ResDown(c * r * r, n, shortcut),
            Res(n, shortcut),
            ResDown(n, n, shortcut),
            Res(n, shortcut),
            ResDown(n, n, shortcut),
            Res(n, shortcut),
            conv(n, m, 3, stride=2, bias=False),
        )
        self.g_s = nn.Sequential(
            Res(m, shortcut),
            ResUp(m, n, up, shortcut),
            Res(n, shortcut),
            ResUp(n, n, up, shortcut),
            Res(n, shortcut),
            ResUp(n, n, up, shortcut),
            Res(n, shortcut),
            up(n, c * r * r, 3),
            *depth_to_space(r),
        )
