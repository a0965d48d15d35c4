"""Networks that share nothing with the families of lic but the contract."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.data import Pixels
from lic.entropy import EntropyBottleneck
from lic.layers import conv, tconv
from lic.models import Coded, CompressionModel, Forward
from lic.models.factorized import FactorizedPrior

from .saved import save_run
from .stranger.stranger import Half

SIDE = 8


class Thumbnail(CompressionModel):
    """Of each 8x8 pixels the first one, as it is: no weights, no latents, no rate."""

    def forward(self, x: Tensor) -> Forward:
        small = x[..., ::SIDE, ::SIDE].repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3)
        return Forward(small[..., : x.shape[2], : x.shape[3]], {})

    def encode(self, image: Pixels, tile: int) -> Coded:
        small = np.ascontiguousarray(image[::SIDE, ::SIDE])
        height, width, _ = image.shape
        return Coded([small.tobytes()], lambda: enlarged(small, SIDE, height, width))

    def decode(self, stream: Stream, tile: int) -> Pixels:
        small = np.frombuffer(stream.payloads[0], np.uint8)
        size = -(-stream.height // SIDE), -(-stream.width // SIDE), self.image_channels
        if len(stream.payloads) != 1 or small.size != np.prod(size):
            raise StreamError("The stream has other pixels than its size asks for: the file is forged.")
        return enlarged(small.reshape(size), SIDE, stream.height, stream.width)


class GrayThumbnail(Thumbnail):
    image_channels = 1


class Gray(FactorizedPrior):
    """A transform coding of gray images."""

    image_channels = 1
    downsampling = stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.latent_channels = 6
        self.g_a = nn.Sequential(conv(1, 4, 3, stride=2), nn.ReLU(), conv(4, 6, 3, stride=2))
        self.g_s = nn.Sequential(tconv(6, 4, 3), nn.ReLU(), tconv(4, 1, 3))
        self.entropy_bottleneck = EntropyBottleneck(6)


def image(height: int, width: int, channels: int = 3) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(rows / (9 + c)) * np.cos(columns / (13 - c)) for c in range(channels)]
    return np.stack(waves, -1).astype(np.uint8)


def enlarged(small: Pixels, factor: int, height: int, width: int) -> Pixels:
    return small.repeat(factor, 0).repeat(factor, 1)[:height, :width]


@torch.no_grad()
def save_half(folder: Path) -> None:
    """A run of the stranger's network that repeats pixels: the better its JPEG file, the better the image."""
    net = Half()
    for parameter in net.parameters():
        parameter.zero_()
    net.get_parameter("enlarge.0.weight")[:, :, 1, 1] = torch.eye(3).repeat_interleave(4, 0)
    save_run(folder, net, {"name": "half"})
