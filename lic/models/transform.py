"""Transform coding: an image becomes latents, the latents become bytes, and back, in tiles of any image."""

import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError, checksum
from lic.data.images import Pixels
from lic.entropy import total_bits
from lic.layers import crop, pad, padded_size
from lic.models.base import Coded, CompressionModel, Forward, Size, check_block, check_channels
from lic.models.inner import HeatMap, Inner
from lic.models.tiling import Tile, keep, margin, seen_of, tiles


class TransformCoding(CompressionModel):
    """A network of an analysis ``g_a``, a synthesis ``g_s``, and an entropy model of the latents between.

    ::

              ┌─────┐  y   ┌────────────┐  y_hat  ┌─────┐
        x ──▶ │ g_a ├───▶──┤ bottleneck ├────▶────┤ g_s ├──▶ x_hat
              └─────┘      └────────────┘         └─────┘

    The decoder finds the encoder's y_hat on every machine, see `lic.entropy.integer`; the checksum of y_hat
    in each stream holds it to that. The transforms are in floating point: between machines, decoded pixels
    may differ by a level where a value lies at the border of two.

    Args:
        pixel_unshuffle: the side of the blocks of pixels that take the place of pixels, in front of all
            stages that the family has: y and z have as many times fewer rows and columns.
        channels: of the image: 3 (colour, also of gray images), or 1 (gray images alone); by default those
            that the class says.

    Raises:
        UserError: a block other than 1, 2 or 4, or channels other than 1 or 3.
    """

    downsampling: int  # of all of the net: padded sides are multiples of it
    stride: int = 16  # of g_a: x's sides are those of y times this
    latent_channels: int  # of y
    has_checksum = True  # of y_hat
    g_a: nn.Module
    g_s: nn.Module

    def __init__(self, pixel_unshuffle: int = 1, channels: int | None = None):
        super().__init__()
        check_block("model.pixel_unshuffle", pixel_unshuffle)
        if channels is not None:
            self.image_channels = check_channels("model.channels", channels)
        self.downsampling = type(self).downsampling * pixel_unshuffle
        self.stride = self.least_tile = type(self).stride * pixel_unshuffle

    @abstractmethod
    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Noisy (training) or rounded (evaluation) ``y_hat``, and each latent's likelihoods, of its shape."""

    def likelihoods(self, y: Tensor, y_hat: Tensor) -> dict[str, Tensor]:
        """Each latent's likelihoods [N, C, h, w] for y, when it is coded as ``y_hat``."""
        return self.bottleneck(y)[1]

    @abstractmethod
    def encode_latents(self, y: Tensor) -> tuple[list[bytes], Tensor]:
        """Code y = g_a(x) of one image: the payloads of a stream, and y_hat, float32."""

    @abstractmethod
    def decode_latents(self, payloads: Iterator[bytes], size: Size) -> Tensor:
        """y_hat from the next of ``payloads``; ``size`` is the padded image's (height, width).

        Raises:
            StopIteration: there are too few payloads.
            StreamError: they are not those of `encode_latents`.
        """

    def forward(self, x: Tensor) -> Forward:
        """See `CompressionModel.forward`."""
        y = self.g_a(pad(x, self.downsampling))
        y_hat, likelihoods = self.bottleneck(y)
        x_hat = self.g_s(y_hat)
        return Forward(crop(x_hat, (x.shape[-2], x.shape[-1])), _bits(likelihoods))

    def encode(self, image: Pixels, tile: int) -> Coded:
        """See `CompressionModel.encode`."""
        size = (image.shape[0], image.shape[1])
        next(self._tiles(self._latents_of(size), tile, 1))  # what the decoder would refuse is not coded
        start = time.perf_counter()
        y = self.analyze(image, tile)
        analysis_s = time.perf_counter() - start
        payloads, y_hat = self.encode_latents(y)
        return Coded(
            payloads,
            reconstruct=lambda: self.synthesize(y_hat, size, tile),
            estimate_bits=lambda: _sum(_bits(self.likelihoods(y, y_hat))),
            inner=lambda: Inner(tuple(self._bits_spent(y, y_hat, size))),
            latent_checksum=checksum(y_hat.numpy().data),
            analysis_s=analysis_s,
        )

    def decode(self, stream: Stream, tile: int) -> Pixels:
        """See `CompressionModel.decode`."""
        return self.synthesize(self.latents(stream), (stream.height, stream.width), tile)

    def latents(self, stream: Stream) -> Tensor:
        """The y_hat of a stream, exactly the encoder's.

        Raises:
            StreamError: the stream is forged.
        """
        payloads = iter(stream.payloads)
        size = padded_size((stream.height, stream.width), self.downsampling)
        try:
            y_hat = self.decode_latents(payloads, size)
        except StopIteration:
            raise StreamError("The stream has too few payloads: the file is forged.") from None
        if next(payloads, None) is not None:
            raise StreamError("The stream has payloads left over: the file is forged.")
        if checksum(y_hat.numpy().data) != stream.latent_checksum:
            raise StreamError(
                "The decoder found other latents than the encoder wrote: the file is forged, or this machine "
                "does not compute as IEEE 754 prescribes; decode it on another machine."
            )
        return y_hat

    @torch.inference_mode()
    def analyze(self, image: Pixels, tile: int) -> Tensor:
        """The image's y [1, C, h, w], float32; the image is padded by repeating its last row and column."""
        size = (image.shape[0], image.shape[1])
        latents = self._latents_of(size)
        y = torch.empty(1, self.latent_channels, *latents, dtype=torch.float32)
        for part in self._tiles(latents, tile, 0):
            y[:, :, *part.place] = self.g_a(seen_of(image, part, self.stride))[:, :, *part.kept]
        return y

    @torch.inference_mode()
    def synthesize(self, y_hat: Tensor, size: Size, tile: int) -> Pixels:
        """The image (height, width) of its latents."""
        image = np.empty((*size, self.image_channels), np.uint8)
        for part in self._tiles((y_hat.shape[2], y_hat.shape[3]), tile, 1):
            keep(image, part, self.g_s(y_hat[:, :, *part.seen]), self.stride)
        return image

    def _bits_spent(self, y: Tensor, y_hat: Tensor, size: Size) -> Iterator[HeatMap]:
        """At each position of each latent, all of its channels together."""
        height = padded_size(size, self.downsampling)[0]
        for name, p in self.likelihoods(y, y_hat).items():
            bits = -p[0].log2().sum(0).double().numpy()
            yield HeatMap(f"bits of {name}", "bits at a position", bits, height // p.shape[2], bits.max())

    def _latents_of(self, size: Size) -> Size:
        """The (height, width) of the y of an image."""
        height, width = padded_size(size, self.downsampling)
        return height // self.stride, width // self.stride

    def _tiles(self, latents: Size, tile: int, transform: int) -> Iterator[Tile]:
        """See `tiles`; ``transform`` is 0 for g_a and 1 for g_s."""
        return tiles(latents, tile, self.stride, lambda: self._margins[transform])

    @cached_property
    def _margins(self) -> tuple[int | None, int | None]:
        """Of g_a and g_s, in latents."""
        analysis = margin(self.g_a, self.image_channels, self.stride)
        return analysis, margin(self.g_s, self.latent_channels, 1)


def _bits(likelihoods: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of each latent, [N]."""
    return {name: total_bits(p) for name, p in likelihoods.items()}


def _sum(bits: dict[str, Tensor]) -> float:
    """All bits of one image; NaN where the family knows none."""
    return math.fsum(latent.item() for latent in bits.values()) if bits else math.nan
