"""A trained network as a codec of files."""

import hashlib
import math
import time
import zlib
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lic.bitstream import MAX_PIXELS, MAX_SIDE, Stream, StreamError
from lic.codecs import TILE
from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.codecs.tiling import margin, scaled, tiles
from lic.data.images import Pixels, to_batch, to_float, to_image
from lic.entropy import tables
from lic.errors import UserError
from lic.layers import padded_size
from lic.models import CompressionModel, Size


class LearnedCodec(FileCodec):
    """Codes images with ``net``, whose weights are on the CPU and whose tables are up to date.

    The decoder finds the encoder's latents on every machine, see `lic.entropy.integer`; the checksum of
    the latents in each stream holds it to that. The transforms g_a and g_s are in floating point: between
    machines, decoded pixels may differ by a level where a value lies at the border of two.

    Args:
        net: the network; it is put in evaluation mode.
        info: who the codec is in reports.
        tile: images of more than tile² pixels are processed in parts of at most that side; sets the peak
            memory.
        max_pixels: streams that claim more are refused.

    Raises:
        UserError: ``tile`` is less than a latent.
    """

    suffix = ".lic"

    def __init__(
        self, net: CompressionModel, info: CodecInfo, *, tile: int = TILE, max_pixels: int = MAX_PIXELS
    ):
        if not isinstance(tile, int) or tile < net.stride:
            raise UserError(f"A tile must have at least {net.stride} pixels along a side, not {tile!r}.")
        self.net = net.eval()
        self.info = info
        self.tile, self.max_pixels = tile, max_pixels

    @cached_property
    def fingerprint(self) -> bytes:
        """The model's name in its streams."""
        return fingerprint(self.net)

    @torch.inference_mode()
    def encode(self, image: Pixels) -> Encoded:
        """See `FileCodec.encode`.

        Raises:
            UserError: a side or the whole is too large for the format, or the network yields numbers that
                are not finite.
        """
        height, width = image.shape[:2]
        if max(height, width) > MAX_SIDE or height * width > self.max_pixels:
            raise UserError(
                f"The image has {width}x{height} pixels; a side may have {MAX_SIDE:,}, and all together "
                f"{self.max_pixels:,} unless --max-pixels (max_pixels in Python) allows more."
            )
        start = time.perf_counter()
        y = self.analyze(image)
        analysis_s = time.perf_counter() - start
        payloads, y_hat = self.net.encode(y)
        stream = Stream(
            self.fingerprint, width, height, _checksum(y_hat), tuple(payloads), mode=self.net.mode
        )
        return Encoded(
            stream.pack(),
            reconstruct=lambda: self._synthesize(y_hat, (height, width)),
            estimate_bits=lambda: self._estimate_bits(y, y_hat),
            analysis_s=analysis_s,
        )

    @torch.inference_mode()
    def decode(self, data: bytes) -> Pixels:
        """See `FileCodec.decode`."""
        stream = Stream.unpack(data, self.max_pixels)
        return self._synthesize(self.decode_latents(stream), (stream.height, stream.width))

    @torch.inference_mode()
    def decode_latents(self, stream: Stream) -> Tensor:
        """The y_hat of a stream, exactly the encoder's.

        Raises:
            StreamError: the stream is another model's, or forged.
        """
        if stream.fingerprint != self.fingerprint:
            raise StreamError(
                f"The stream was written by another model (fingerprint {stream.fingerprint.hex()}, this one "
                f"is {self.fingerprint.hex()}); decode it with the model that wrote it."
            )
        if stream.mode != self.net.mode:
            raise StreamError("The stream has another order of latents than its model: the file is forged.")
        payloads = iter(stream.payloads)
        try:
            size = padded_size((stream.height, stream.width), self.net.downsampling)
            y_hat = self.net.decode(payloads, size)
        except StopIteration:
            raise StreamError("The stream has too few payloads: the file is forged.") from None
        if next(payloads, None) is not None:
            raise StreamError("The stream has payloads left over: the file is forged.")
        if _checksum(y_hat) != stream.latent_checksum:
            raise StreamError(
                "The decoder found other latents than the encoder wrote: the file is forged, or this machine "
                "does not compute as IEEE 754 prescribes; decode it on another machine."
            )
        return y_hat

    @torch.inference_mode()
    def analyze(self, image: Pixels) -> Tensor:
        """The image's y [1, C, h, w], float32; the image is padded by repeating its last row and column."""
        net, size = self.net, (image.shape[0], image.shape[1])
        height, width = (side // net.stride for side in padded_size(size, net.downsampling))
        y = torch.empty(1, net.channels, height, width, dtype=torch.float32)
        for tile in tiles((height, width), self.tile // net.stride, lambda: self._margins[0]):
            window = scaled(tile.seen, net.stride)
            rows, columns = (
                np.arange(part.start, part.stop).clip(max=side - 1)
                for part, side in zip(window, size, strict=True)
            )
            x = to_float(to_batch(image[np.ix_(rows, columns)]))
            y[:, :, *tile.place] = net.g_a(x)[:, :, *tile.kept]
        return y

    @torch.inference_mode()
    def _synthesize(self, y_hat: Tensor, size: Size) -> Pixels:
        net = self.net
        image = np.empty((*size, 3), np.uint8)
        for tile in tiles(
            (y_hat.shape[2], y_hat.shape[3]), self.tile // net.stride, lambda: self._margins[1]
        ):
            x_hat = net.g_s(y_hat[:, :, *tile.seen])[:, :, *scaled(tile.kept, net.stride)]
            place = image[scaled(tile.place, net.stride)]
            place[:] = to_image(x_hat)[: place.shape[0], : place.shape[1]]
        return image

    @cached_property
    def _margins(self) -> tuple[int, int]:
        """Of g_a and g_s, in latents."""
        net = self.net
        return margin(net.g_a, 3, net.stride), margin(net.g_s, net.channels, 1)

    @torch.inference_mode()
    def _estimate_bits(self, y: Tensor, y_hat: Tensor) -> float:
        return math.fsum(bits.item() for bits in self.net.coded_bits(y, y_hat).values())


def fingerprint(net: CompressionModel) -> bytes:
    """Four bytes of the SHA-256 of the architecture, the weights and the tables: all that a stream needs."""
    digest = hashlib.sha256(f"{net.architecture}\n".encode())
    for name, tensor in sorted((net.state_dict() | tables(net)).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.digest()[:4]


def _checksum(y_hat: Tensor) -> bytes:
    return zlib.crc32(y_hat.numpy().data).to_bytes(4, "little")[:2]
