"""The discriminator of SRGAN (Ledig et al. 2017, Figure 4): is it an image, or made by the generator?"""

from torch import Tensor, nn

from lic.layers import conv
from lic.models.base import check_layer_width

_SLOPE = 0.2
_SIDE = 6  # of what the dense layers see: 96 pixels, halved four times


class Discriminator(nn.Module):
    """[N, 3, H, W] in 0…1 -> [N], the logit of being an image; no sigmoid at the end.

    ::

            ┌─────────────┐  ┌─────────────────────────────────────┐  ┌─────────┐  ┌───────────────┐
        x ─▶┤ 3x3, LReLU  ├─▶┤ 7 x (3x3, BN, LReLU), every second  ├─▶┤ pool to ├─▶┤ dense, LReLU, ├─▶ logit
            └─────────────┘  │ one of stride 2, ever wider         │  │ 6x6     │  │ dense         │
                             └─────────────────────────────────────┘  └─────────┘  └───────────────┘

    The pooling, which leaves crops of 96x96 as they are, takes others [R].

    Args:
        width: channels of the first layers, which double three times; 64 in the paper.

    Raises:
        UserError: it is no positive number.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        check_layer_width("discriminator.width", width)
        w = width
        self.features = nn.Sequential(
            conv(3, w, 3),
            nn.LeakyReLU(_SLOPE),
            *_block(w, w, 2),
            *_block(w, 2 * w, 1),
            *_block(2 * w, 2 * w, 2),
            *_block(2 * w, 4 * w, 1),
            *_block(4 * w, 4 * w, 2),
            *_block(4 * w, 8 * w, 1),
            *_block(8 * w, 8 * w, 2),
        )
        self.judge = nn.Sequential(
            nn.AdaptiveAvgPool2d(_SIDE),
            nn.Flatten(),
            nn.Linear(8 * w * _SIDE**2, 16 * w),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(16 * w, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.judge(self.features(x))
        return logits.squeeze(1)


def _block(c_in: int, c_out: int, stride: int) -> tuple[nn.Module, ...]:
    return conv(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out), nn.LeakyReLU(_SLOPE)
