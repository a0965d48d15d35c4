"""ICM and IRM of Deshmukh and Pollett, "Residual CNN Image Compression": docs/deshmukh_pollett.md."""

from torch import Tensor, nn

from lic.errors import UserError
from lic.layers import conv
from lic.models.base import check_flag, check_layer_width
from lic.models.compact import CompactImage
from lic.models.image_upsampling import image_upsampler

SUB_BLOCKS = 5
"""Convolutions, each with ReLU and batch normalization, of a block of IRM."""


class ICMIRM(CompactImage):
    """Three blocks make the compact image, five the residual of what an up-sampler makes of it.

    The order in a block is the text's: convolution, ReLU, batch normalization.

    Args:
        width: channels of all blocks.
        w1: those of ICM's first block; None is ``width`` (the text's "essentially the same" as ComCNN), 3 the
            text's "three feature maps".
        stride: of ICM's second block, see `CompactImage`.
        dilation: likewise; its padding is as large.
        upsample: between the two networks, in `lic.models.image_upsampling.IMAGE_UPSAMPLERS`.
        generator_width: channels of the generator that ``upsample="srgan"`` has; None is the paper's 64.
        generator_blocks: likewise its blocks; None is 16.
        skips: whether blocks 2, 3 and 4 add what they are given to what they make of it.
        separable: whether block 2 has depthwise and pointwise convolutions, not plain ones.
        quantise_in_training: see `CompactImage`.
        channels: of the image, 3 or 1.

    Raises:
        UserError: an option that is none of these.
    """

    def __init__(
        self,
        width: int = 64,
        w1: int | None = None,
        stride: int = 2,
        dilation: int = 1,
        upsample: str = "bicubic",
        generator_width: int | None = None,
        generator_blocks: int | None = None,
        skips: bool = True,
        separable: bool = True,
        quantise_in_training: bool = True,
        channels: int = 3,
    ):
        super().__init__(stride, channels, quantise_in_training)
        first = width if w1 is None else w1
        check_layer_width("model.width", width)
        check_layer_width("model.w1", first)
        check_flag("model.skips", skips)
        check_flag("model.separable", separable)
        if type(dilation) is not int or not 1 <= dilation <= 16:
            raise UserError(f"model.dilation must be a whole number from 1 to 16, not {dilation!r}.")
        c, w = channels, width
        self.com = nn.Sequential(
            conv(c, first, 3),
            nn.ReLU(),
            nn.Conv2d(first, w, 3, stride, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.BatchNorm2d(w),
            conv(w, c, 3),
        )
        self.up = image_upsampler(upsample, c, stride, generator_width, generator_blocks)
        self.rec = nn.Sequential(
            conv(c, w, 3),
            nn.ReLU(),
            _Block(w, skips, separable),
            _Block(w, skips),
            _Block(w, skips),
            conv(w, c, 3),
        )
        self.start()


class _Block(nn.Module):
    """ReLU(body(x) + x), or body(x) where nothing is skipped: [N, C, H, W], the same shape."""

    def __init__(self, width: int, skips: bool, separable: bool = False):
        super().__init__()
        self.skips = skips
        self.body = nn.Sequential(
            *(
                layer
                for _ in range(SUB_BLOCKS)
                for layer in (
                    _separable(width) if separable else conv(width, width, 3),
                    nn.ReLU(),
                    nn.BatchNorm2d(width),
                )
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return nn.functional.relu(y + x) if self.skips else y


def _separable(width: int) -> nn.Sequential:
    """Each channel by itself, then each pixel by itself."""
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), conv(width, width, 1))
