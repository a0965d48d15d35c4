"""The residual units of Cheng et al. 2019 (arXiv 1906.09731), built from 3x3 convolutions.

The paper's parameter counts fix the layers of each unit. They do not fix the order of activation and
addition, nor whether GDN stands before or after the addition; the order chosen here is the one that the
same group later published (cheng2020-anchor).

``shortcut=False`` leaves the shortcut out: the plain stack of 3x3 convolutions of section 2.2, which the
paper reports to have "convergence issues".
"""

from torch import Tensor, nn

from lic.layers.conv import StridedPointwise, conv
from lic.layers.gdn import GDN
from lic.layers.upsample import Upsampler


class Res(nn.Module):
    """x + lrelu(conv3(lrelu(conv3(x)))): two 3x3 convolutions and a parameter-free shortcut."""

    def __init__(self, channels: int, shortcut: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, 3),
            nn.LeakyReLU(),
            conv(channels, channels, 3),
            nn.LeakyReLU(),
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        return x + self.body(x) if self.shortcut else self.body(x)


class ResDown(nn.Module):
    """GDN(conv3(lrelu(conv3_s2(x)))) + conv1_s2(x): halves both sides; the 1x1 shortcut has a bias."""

    def __init__(self, c_in: int, c_out: int, shortcut: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            conv(c_in, c_out, 3, stride=2),
            nn.LeakyReLU(),
            conv(c_out, c_out, 3),
            GDN(c_out),
        )
        self.shortcut = StridedPointwise(c_in, c_out) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H/2, W/2]."""
        return self.body(x) + self.shortcut(x) if self.shortcut else self.body(x)


class ResUp(nn.Module):
    """IGDN(conv3(lrelu(up3(x)))) + up1(x): doubles both sides; ``up`` is `tconv` or `SubPixelConv`.

    A 1x1 transposed convolution of stride 2 writes three of four pixels with its bias alone. That is
    what the 16,512 parameters of the paper's shortcut mean.
    """

    def __init__(self, c_in: int, c_out: int, up: Upsampler, shortcut: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            up(c_in, c_out, 3),
            nn.LeakyReLU(),
            conv(c_out, c_out, 3),
            GDN(c_out, inverse=True),
        )
        self.shortcut = up(c_in, c_out, 1) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, 2H, 2W]."""
        return self.body(x) + self.shortcut(x) if self.shortcut else self.body(x)
