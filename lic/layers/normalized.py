"""The residual blocks of Appl. Sci. 2020, 10, 4023, with a normalization of choice (Figure 3).

ResDwBlock   lrelu(norm(conv3(lrelu(norm(conv3 s2)))) + conv1 s2)
ResUpBlock   lrelu(norm(conv3(lrelu(norm(shuffle(conv3))))) + shuffle(conv1))
"""

from collections.abc import Callable

from torch import Tensor, nn

from lic.layers.conv import StridedPointwise, SubPixelConv, conv
from lic.layers.gdn import GDN

Normalization = Callable[[int, bool], nn.Module]
"""Makes the normalization of so many channels, inverse on the decoder's side."""


def _group(channels: int, inverse: bool) -> nn.Module:
    return nn.GroupNorm(min(32, channels // 4), channels)


def _batch(channels: int, inverse: bool) -> nn.Module:
    return nn.BatchNorm2d(channels)


NORMALIZATIONS: dict[str, Normalization] = {"group": _group, "batch": _batch, "gdn": GDN}


class ResDwBlock(nn.Module):
    """Halves both sides."""

    def __init__(self, c_in: int, c_out: int, norm: Normalization):
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

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H/2, W/2]."""
        return self.activation(self.body(x) + self.shortcut(x))


class ResUpBlock(nn.Module):
    """Doubles both sides."""

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

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        return self.activation(self.body(x) + self.shortcut(x))
