"""SRResNet, the generator of SRGAN (Ledig et al. 2017).

"Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", Figure 4.
"""

import numpy as np
import torch
from torch import Tensor, nn

from lic.data.images import Pixels
from lic.errors import UserError
from lic.layers import conv, eight_bits
from lic.layers.upsample import bicubic
from lic.models.base import Network, check_layer_width
from lic.models.tiling import keep, margin, seen_of, tiles

FACTOR = 4
MOST_BLOCKS = 256
"""A file may ask for as many as it likes, and they take time even where they have next to no weights."""
_HALVES = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])  # of two new pixels
_BILINEAR = torch.einsum("ai,bj->abij", _HALVES, _HALVES).reshape(4, 3, 3)


class SRResNet(Network):
    """Enlarges an image four times: [N, 3, h, w] -> [N, 3, 4h, 4w], in 0…1 but for what it overshoots.

    ::

            ┌────────┐       ┌──────────────────────┐  ┌──────────┐       ┌─────────────┐  ┌──────┐
        x ─▶│ 9x9, P ├──┬──▶─┤ 16 residual blocks   ├─▶┤ 3x3, BN  ├─▶ + ─▶┤ 2 x (3x3,   ├─▶┤ 9x9  ├─▶ x_hat
            └────────┘  │    └──────────────────────┘  └──────────┘   ▲   │ shuffle, P) │  └──────┘
                        └─────────────────────────────────────────────┘   └─────────────┘

    P is a PReLU of one weight. No tanh at the end: pixels are in 0…1 here.

    The paper says nothing of initial values [R]. With random ones the first hours are spent on what
    interpolation knows; here an untrained network is bilinear interpolation, x2 and x2: see `start`.

    Args:
        width: channels of all layers between; 64 in the paper.
        blocks: residual blocks; 16 in the paper.

    Raises:
        UserError: an option that is no positive number, or too many blocks.
    """

    use = (
        "it enlarges images; measure it with python eval.py ckpt=RUN data=…, or give it to model=icm_irm "
        "upsample=srgan"
    )

    def __init__(self, width: int = 64, blocks: int = 16):
        super().__init__()
        check_layer_width("model.width", width)
        check_layer_width("model.blocks", blocks)
        if blocks > MOST_BLOCKS:
            raise UserError(f"model.blocks must be a positive number up to {MOST_BLOCKS}, not {blocks}.")
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
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        """Initial values: the first channels pass the colours on, as far as there are as many.

        Pixels are positive, which a PReLU passes. The first layer hands them on, the trunk adds nothing (its
        last normalization begins with zero), each sub-pixel convolution interpolates between neighbours (its
        four outputs of a channel are the four pixels that become of one; beyond the border is black), and
        the last layer takes these channels alone. All others are random, as they are usually.
        """
        first, *subpixels = (m for m in (self.first[0], *self.enlarge) if isinstance(m, nn.Conv2d))
        colours = min(first.in_channels, first.out_channels)
        for layer, outputs in ((first, colours), (self.last, None), *((m, 4 * colours) for m in subpixels)):
            assert layer.bias is not None
            layer.bias[:outputs] = 0
            nn.init.dirac_(layer.weight[:outputs])
        for layer in subpixels:
            layer.weight[: 4 * colours] = 0
            for colour in range(colours):
                layer.weight[4 * colour : 4 * colour + 4, colour] = _BILINEAR
        nn.init.zeros_(self.get_parameter(f"trunk.{len(self.trunk) - 1}.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.first(x)
        x_hat: Tensor = self.last(self.enlarge(features + self.trunk(features)))
        return x_hat


def shrunk(x: Tensor) -> Tensor:
    """What is to be enlarged: [N, C, 4h, 4w] in 0…1 -> [N, C, h, w], bicubic and of 8 bits.

    Keys' kernel with a = -1/2, widened four times: Pillow's, and that of Matlab's ``imresize``.
    """
    return eight_bits(bicubic(x.float(), (x.shape[2] // FACTOR, x.shape[3] // FACTOR)))


def whole_blocks(x: Tensor) -> Tensor:
    """An image [..., H, W] without the last rows and columns that are no multiple of `FACTOR`."""
    return x[..., : x.shape[-2] // FACTOR * FACTOR, : x.shape[-1] // FACTOR * FACTOR]


@torch.inference_mode()
def enlarge(net: SRResNet, small: Pixels, tile: int) -> Pixels:
    """What the network, on the CPU and in evaluation mode, makes of an image: uint8 [h, w, 3] -> [4h, 4w, 3].

    Args:
        net: the network.
        small: the image.
        tile: larger results are made in parts of about tile² pixels.

    Raises:
        UserError: the network yields numbers that are not finite.
    """
    height, width = small.shape[:2]
    image = np.empty((FACTOR * height, FACTOR * width, 3), np.uint8)
    for part in tiles((height, width), tile, FACTOR, lambda: margin(net, 3, 1)):
        x_hat = net(seen_of(small, part, 1))
        if not x_hat.isfinite().all():
            raise UserError("The network yields numbers that are not finite; use an earlier checkpoint.")
        keep(image, part, x_hat, FACTOR)
    return image


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
