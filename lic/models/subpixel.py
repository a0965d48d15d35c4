"""The scale hyperprior of Ballé et al. 2018 and fastdic, its sub-pixel form (Cai et al. 2019).

Parameters and MACs per pixel with (N, M) = (128, 192): the scale hyperprior 5,075,843 and 87,080; fastdic
4,280,972 and 27,688.
"""

import math

import torch
from torch import Tensor, nn

from lic.entropy import EntropyBottleneck, GaussianConditional, IntegerNetwork
from lic.layers import GDN, conv, depth_to_space, space_to_depth, tconv
from lic.models.base import check_block, check_flag, check_width
from lic.models.hyperprior import ContextFreeHyperprior


class _ScaleOnly(ContextFreeHyperprior):
    """y ~ N(0, scale²): the hyper path of both networks, from |y| to the scales."""

    def __init__(self, width: int, bottleneck: int, channels: int, pixel_unshuffle: int = 1):
        super().__init__(pixel_unshuffle, channels)
        check_width("model.width", width)
        check_width("model.bottleneck", bottleneck)
        n, m = width, bottleneck
        self.latent_channels = m
        self.h_a = nn.Sequential(
            conv(m, n, 3),
            nn.ReLU(),
            conv(n, n, 5, stride=2),
            nn.ReLU(),
            conv(n, n, 5, stride=2),
        )
        self.h_s = nn.Sequential(
            tconv(n, n, 5),
            nn.ReLU(),
            tconv(n, n, 5),
            nn.ReLU(),
            conv(n, m, 3),
            nn.ReLU(),
        )
        self.entropy_bottleneck = EntropyBottleneck(n, filters=(3, 3, 3, 3))
        self.gaussian_conditional = GaussianConditional()
        self.moments = IntegerNetwork(self.entropy_bottleneck.samples, *self.h_s)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """See `HyperpriorCodec.hyper_analysis`."""
        return self.h_a(y.abs())

    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        """See `ContextFreeHyperprior.hyper_synthesis`."""
        return self.h_s(z_hat)

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See `ContextFreeHyperprior.split`."""
        return torch.zeros_like(parameters), parameters


class ScaleHyperprior(_ScaleOnly):
    """The baseline of Cai et al.: Ballé et al. 2018, CompressAI's `ScaleHyperprior` layer by layer.

    ``width``, ``bottleneck`` = N, M are 128, 192 for low rates and 192, 320 for high ones (11,816,323
    parameters).

    Raises:
        UserError: an odd width or bottleneck, or channels other than 1 or 3.
    """

    def __init__(self, width: int = 128, bottleneck: int = 192, channels: int = 3):
        super().__init__(width, bottleneck, channels)
        n, m, c = width, bottleneck, channels
        self.g_a = nn.Sequential(
            conv(c, n, 5, stride=2),
            GDN(n),
            conv(n, n, 5, stride=2),
            GDN(n),
            conv(n, n, 5, stride=2),
            GDN(n),
            conv(n, m, 5, stride=2),
        )
        self.g_s = nn.Sequential(
            tconv(m, n, 5),
            GDN(n, inverse=True),
            tconv(n, n, 5),
            GDN(n, inverse=True),
            tconv(n, n, 5),
            GDN(n, inverse=True),
            tconv(n, c, 5),
        )


class FastDIC(_ScaleOnly):
    """fastdic: space-to-depth before g_a, depth-to-space after g_s, so that no layer sees full resolution.

    Each pixel of the first layer is a block of ``pixel_unshuffle``² pixels of the image. With ``drop``, as
    many stages as the block replaces are left out, and y and the hyper path stay those of the scale
    hyperprior. Without, all four stages remain, and y has 1/4 or 1/16 of the positions. The paper's text
    gives the size that enters g_a, not which stage goes; dropping is this project's reading.

    Raises:
        UserError: a block other than 2 or 4, an odd width or bottleneck, or channels other than 1 or 3.
    """

    def __init__(
        self,
        pixel_unshuffle: int = 2,
        drop: bool = True,
        width: int = 128,
        bottleneck: int = 192,
        channels: int = 3,
    ):
        check_block("model.pixel_unshuffle", pixel_unshuffle, (2, 4))
        check_flag("model.drop", drop)
        super().__init__(width, bottleneck, channels, 1 if drop else pixel_unshuffle)
        r, n, m, c = pixel_unshuffle, width, bottleneck, channels
        inner = 2 - (int(math.log2(r)) if drop else 0)  # stages between the first and the last
        self.g_a = nn.Sequential(
            *space_to_depth(r),
            conv(c * r * r, n, 5, stride=2),
            GDN(n),
            *(layer for _ in range(inner) for layer in (conv(n, n, 5, stride=2), GDN(n))),
            conv(n, m, 5, stride=2),
        )
        self.g_s = nn.Sequential(
            tconv(m, n, 5),
            GDN(n, inverse=True),
            *(layer for _ in range(inner) for layer in (tconv(n, n, 5), GDN(n, inverse=True))),
            tconv(n, c * r * r, 5),
            *depth_to_space(r),
        )
