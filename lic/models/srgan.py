"""SRResNet, the generator of SRGAN (Ledig et al. 2017).

"Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", Figure 4.
"""

from torch import Tensor, nn

from lic.layers import conv
from lic.models.base import Network, check_layer_width

FACTOR = 4


class SRResNet(Network):
    """Enlarges an image four times: [N, 3, h, w] -> [N, 3, 4h, 4w], in 0…1 but for what it overshoots.

    ::

            ┌────────┐       ┌──────────────────────┐  ┌──────────┐       ┌─────────────┐  ┌──────┐
        x ─▶│ 9x9, P ├──┬──▶─┤ 16 residual blocks   ├─▶┤ 3x3, BN  ├─▶ + ─▶┤ 2 x (3x3,   ├─▶┤ 9x9  ├─▶ x_hat
            └────────┘  │    └──────────────────────┘  └──────────┘   ▲   │ shuffle, P) │  └──────┘
                        └─────────────────────────────────────────────┘   └─────────────┘

    P is a PReLU of one weight. No tanh at the end: pixels are in 0…1 here.

    Args:
        width: channels of all layers between; 64 in the paper.
        blocks: residual blocks; 16 in the paper.

    Raises:
        UserError: an option that is no positive number.
    """

    def __init__(self, width: int = 64, blocks: int = 16):
        super().__init__()
        check_layer_width("model.width", width)
        check_layer_width("model.blocks", blocks)
        self.first = nn.Sequential(conv(3, width, 9), nn.PReLU())
        self.trunk = nn.Sequential(
            *(_Residual(width) for _ in range(blocks)), conv(width, width, 3), nn.BatchNorm2d(width)
        )
        self.enlarge = nn.Sequential(
            conv(width, 4 * width, 3),
            nn.PixelShuffle(2),
            nn.PReLU(),
            conv(width, 4 * width, 3),
            nn.PixelShuffle(2),
            nn.PReLU(),
        )
        self.last = conv(width, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.first(x)
        x_hat: Tensor = self.last(self.enlarge(features + self.trunk(features)))
        return x_hat


class _Residual(nn.Sequential):
    """x + body(x), with the channels of x."""

    def __init__(self, width: int):
        super().__init__(
            conv(width, width, 3),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            conv(width, width, 3),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)
