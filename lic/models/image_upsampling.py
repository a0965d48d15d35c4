"""The up-samplers of images that ``upsample=`` chooses from: interpolation, and super-resolution."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers.upsample import Bicubic, bicubic, chosen
from lic.models.base import check_layer_width
from lic.models.srgan import SRResNet


class GeneratorUpsampler(nn.Module):
    """SRGAN's generator, four times, then interpolation to ``factor`` times: [N, C, h, w] -> [N, C, H, W].

    All weights are the generator's: what a training of it leaves fits there. It takes images of three
    channels: a gray one is repeated, and comes back as the mean of the three.

    Args:
        channels: of the image, 3 or 1.
        factor: 2, 3 or 4; at 4 nothing is interpolated.
        options: of the `SRResNet`.
    """

    def __init__(self, channels: int, factor: int, **options: Any):
        super().__init__()
        self.generator = SRResNet(**options)
        self.channels, self.factor = channels, factor

    def forward(self, x: Tensor) -> Tensor:
        """In float32, whatever the precision of training: a residual is added to what comes out."""
        with torch.autocast(x.device.type, enabled=False):
            large: Tensor = self.generator(x.float().expand(-1, 3, -1, -1))
            if self.channels == 1:
                large = large.mean(1, keepdim=True)
            size = (self.factor * x.shape[2], self.factor * x.shape[3])
            return large if large.shape[2:] == size else bicubic(large, size)


IMAGE_UPSAMPLERS: dict[str, Callable[..., nn.Module]] = {"bicubic": Bicubic, "srgan": GeneratorUpsampler}


def image_upsampler(
    name: str, channels: int, factor: int, width: int | None = None, blocks: int | None = None
) -> nn.Module:
    """The up-sampler called ``name``: [N, channels, h, w] -> [N, channels, factor · h, factor · w].

    Args:
        name: one of `IMAGE_UPSAMPLERS`.
        channels: of the image, 3 or 1.
        factor: 2, 3 or 4.
        width: of the generator, if it has one; None is its default.
        blocks: likewise.

    Raises:
        UserError: an unknown name, a number that is none, or one for an up-sampler without a generator.
    """
    given = {"generator_width": width, "generator_blocks": blocks}
    options = {key: value for key, value in given.items() if value is not None}
    for key, value in options.items():
        check_layer_width(f"model.{key}", value)
    kind = chosen(IMAGE_UPSAMPLERS, name)
    if options and kind is not GeneratorUpsampler:
        raise UserError(
            f"model.{next(iter(options))} is of upsample=srgan; leave it out with upsample={name}."
        )
    return kind(channels, factor, **{key.removeprefix("generator_"): value for key, value in options.items()})
