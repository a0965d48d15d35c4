"""Codecs that make an image smaller and keep that small image, of 8 bits, as any codec of images would."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.data.images import Pixels
from lic.entropy.pixels import CODERS
from lic.entropy.symbols import Symbols
from lic.errors import UserError
from lic.layers import crop, eight_bits, pad, padded_size
from lic.models.base import Coded, CompressionModel, Forward, Size, check_channels, check_flag
from lic.models.inner import Inner, Stage
from lic.models.tiling import Network, Tile, keep, margin, seen_of, tiles

STRIDES = (2, 3, 4)
HUFFMAN = "huffman"
"""The inner coder of a network by itself, among those of `lic.entropy.pixels`."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Kept:
    """A compact image in a ``payload``: ``pixels`` gives what a decoder finds there.

    ``estimate_bits`` gives the entropy of what is coded, by itself; NaN for files.
    """

    payload: bytes
    pixels: Callable[[], Pixels]
    estimate_bits: Callable[[], float] = lambda: math.nan

    @classmethod
    def by(cls, coder: str, compact: Pixels) -> "Kept":
        """In a code of `lic.entropy.pixels`."""
        lossless = CODERS[coder]
        return cls(lossless.encode(compact), lambda: compact, lambda: lossless.estimate_bits(compact))


@dataclass(frozen=True)
class CompactPass(Forward):
    """A pass and what the objective needs besides. ``bits`` are empty: no term of it is a rate.

    ``compact`` [N, C, h, w] is the compact image as the decoder has it, ``enlarged`` [N, C, H, W] what the
    up-sampler makes of it: the paper's I_in, to which the decoder adds its residual.
    """

    compact: Tensor
    enlarged: Tensor


class CompactImage(CompressionModel):
    """A network before a codec of images and a network behind it.

    ::

              ┌─────┐  compact  ┌─────────────────┐   ┌────┐  I_in     ┌─────┐
        x ──▶ │ com ├────▶──────┤ 8 bits, a codec ├─▶─┤ up ├───▶───┬──▶│ rec ├──▶ + ──▶ x_hat
              └─────┘           └─────────────────┘   └────┘       └───────────▲─┘

    The compact image has the channels of the image and sides that are ``stride`` times shorter. Images are
    padded to a multiple of that. How the codec keeps it is no part of the network: see `lic.codecs.compact`.

    A subclass makes ``com``, ``up`` and ``rec``, then calls `start`.

    Args:
        stride: 2, 3 or 4.
        channels: of the image, 3 or 1.
        quantise_in_training: whether the compact image has 8 bits in training, too; else it is unbounded
            there, as in the paper.

    Raises:
        UserError: an option that is none of these.
    """

    com: nn.Sequential
    up: nn.Module
    rec: nn.Module

    def __init__(self, stride: int, channels: int, quantise_in_training: bool):
        super().__init__()
        if type(stride) is not int or stride not in STRIDES:
            raise UserError(f"model.stride must be 2, 3 or 4, not {stride!r}.")
        check_flag("model.quantise_in_training", quantise_in_training)
        self.stride = self.least_tile = stride
        self.image_channels = check_channels("model.channels", channels)
        self.quantise_in_training = quantise_in_training

    def start(self) -> None:
        """Xavier's initial values; biases are zero, but the compact image's: in the middle of 0…1.

        An up-sampler with weights keeps its own.
        """
        for layer in chain(self.com.modules(), self.rec.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        last = self.com[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, 0.5)

    def forward(self, x: Tensor) -> CompactPass:
        """See `CompressionModel.forward`."""
        size = (x.shape[-2], x.shape[-1])
        compact = self.com(pad(x, self.stride)).float()
        if self.quantise_in_training or not self.training:
            compact = eight_bits(compact)
        enlarged = self.up(compact)
        x_hat = enlarged + self.rec(enlarged)
        return CompactPass(crop(x_hat, size), {}, compact, crop(enlarged, size))

    def check(self, stream: Stream) -> None:
        """See `CompressionModel.check`. The method is the inner coder, which the codec knows."""
        super().check(replace(stream, method=self.method))

    def encode(self, image: Pixels, tile: int) -> Coded:
        """See `CompressionModel.encode`: as `encode_with` does, with a static Huffman code."""
        return self.encode_with(lambda compact: Kept.by(HUFFMAN, compact), image, tile)

    def decode(self, stream: Stream, tile: int) -> Pixels:
        """See `CompressionModel.decode`: of `encode`'s streams."""
        return self.decode_with(CODERS[HUFFMAN].decode, stream, tile)

    def encode_with(self, code: Callable[[Pixels], Kept], image: Pixels, tile: int) -> Coded:
        """Code an image, with ``code`` for its compact image, uint8 [h, w, C].

        Raises:
            UserError: see `CompressionModel.encode`; or the network yields numbers that are not finite.
        """
        size = (image.shape[0], image.shape[1])
        next(self._tiles(self._compact_size(size), tile, 1))  # what the decoder would refuse is not coded
        start = time.perf_counter()
        compact = self.shrink(image, tile)
        analysis_s = time.perf_counter() - start
        kept = code(compact)

        def stages() -> Inner:
            """Of one file: what the up-sampler alone would show, and what the decoder makes of it."""
            drawn: dict[str, Network] = {"up-sampled": self.up, "x_hat": self.expand}
            bits, small = 8 * len(kept.payload), kept.pixels()
            images = {name: self._draw(net, small, size, tile) for name, net in drawn.items()}
            return Inner(stages=tuple(Stage(name, image, bits) for name, image in images.items()))

        return Coded(
            [kept.payload],
            reconstruct=lambda: self._draw(self.expand, kept.pixels(), size, tile),
            estimate_bits=kept.estimate_bits,
            analysis_s=analysis_s,
            inner=stages,
            symbols=lambda: Symbols.of(compact),
        )

    def decode_with(self, decode: Callable[[bytes, Shape], Pixels], stream: Stream, tile: int) -> Pixels:
        """The image of a stream; ``decode`` finds the compact image of this shape [h, w, C] in its payload.

        Raises:
            StreamError: there are several payloads.
        """
        if len(stream.payloads) != 1:
            raise StreamError("The stream has another number of payloads than its model: the file is forged.")
        size = (stream.height, stream.width)
        shape = (*self._compact_size(size), self.image_channels)
        return self._draw(self.expand, decode(stream.payloads[0], shape), size, tile)

    def expand(self, compact: Tensor) -> Tensor:
        """x_hat [N, C, H, W], padding included, of compact images [N, C, h, w] in 0…1."""
        enlarged: Tensor = self.up(compact)
        return enlarged + self.rec(enlarged)

    @torch.inference_mode()
    def shrink(self, image: Pixels, tile: int) -> Pixels:
        """The compact image, uint8 [h, w, C], of an image of any size.

        Raises:
            UserError: the network yields numbers that are not finite.
        """
        size = self._compact_size((image.shape[0], image.shape[1]))
        compact = np.empty((*size, self.image_channels), np.uint8)
        for part in self._tiles(size, tile, 0):
            y = self.com(seen_of(image, part, self.stride))
            if not y.isfinite().all():
                raise UserError(
                    "The network's compact image is not finite: its training diverged. Use an earlier "
                    "checkpoint, or train again with a smaller optimizer.lr."
                )
            keep(compact, part, y, 1)
        return compact

    @torch.inference_mode()
    def _draw(self, net: Network, compact: Pixels, size: Size, tile: int) -> Pixels:
        """What ``up`` or `expand` makes of a compact image."""
        image = np.empty((*size, self.image_channels), np.uint8)
        for part in self._tiles(self._compact_size(size), tile, 1):
            keep(image, part, net(seen_of(compact, part, 1)), self.stride)
        return image

    def _compact_size(self, size: Size) -> Size:
        height, width = padded_size(size, self.stride)
        return height // self.stride, width // self.stride

    def _tiles(self, compact: Size, tile: int, side: int) -> Iterator[Tile]:
        """See `tiles`; ``side`` is 0 before the codec and 1 behind it."""
        return tiles(compact, tile, self.stride, lambda: self._margins[side])

    @cached_property
    def _margins(self) -> tuple[int | None, int | None]:
        """Of com and `expand`, in pixels of the compact image."""
        return margin(self.com, self.image_channels, self.stride), margin(self.expand, self.image_channels, 1)
