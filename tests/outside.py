"""Networks and a codec that share nothing with the families of lic but the contract."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.classical import PillowCodec
from lic.codecs.learned import LearnedCodec, codec_of
from lic.data import Pixels
from lic.entropy import EntropyBottleneck, update_tables
from lic.layers import conv, tconv
from lic.models import Coded, CompressionModel, Forward, build_model
from lic.models.factorized import FactorizedPrior

from .saved import save_run

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


class Compact(Thumbnail):
    """A thumbnail in JPEG, by the codec below."""

    method = 1

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))


class CompactInJpeg(LearnedCodec):
    """Every other pixel in a JPEG file, whose pixels another libjpeg may decode otherwise: no checksum."""

    def __init__(self, net: CompressionModel, info: CodecInfo, *, quality: int = 60, **options: Any):
        super().__init__(net, replace(info, setting=f"quality {quality}"), **options)
        self.inner = PillowCodec("jpeg", quality)

    @cached_property
    def settings(self) -> Mapping[str, FileCodec]:
        return {
            f"jpeg-{quality}": CompactInJpeg(
                self.net, self.info, quality=quality, tile=self.tile, max_pixels=self.max_pixels
            )
            for quality in (30, 60, 90)
        }

    def code(self, image: Pixels) -> Coded:
        inner = self.inner.encode(np.ascontiguousarray(image[::2, ::2]))
        height, width, _ = image.shape
        return Coded(
            [inner.data], lambda: enlarged(inner.reconstruct(), 2, height, width), method=self.net.method
        )

    def restore(self, stream: Stream) -> Pixels:
        return enlarged(self.inner.decode(stream.payloads[0]), 2, stream.height, stream.width)


codec_of.register(Compact)(CompactInJpeg)


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


def enlarged(small: Pixels, factor: int, height: int, width: int) -> Pixels:
    return small.repeat(factor, 0).repeat(factor, 1)[:height, :width]


def save_checkpoint(folder: Path, name: str, **options: Any) -> CompressionModel:
    """A new network of the models' table, as a training leaves it in its run's folder."""
    net = build_model(name, **options)
    update_tables(net)
    save_run(folder, net, {"name": name, **options})
    return net
