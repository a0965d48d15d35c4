"""A trained network as a codec of files."""

import hashlib
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from lic.bitstream import MAX_PIXELS, MAX_SIDE, Stream, StreamError
from lic.codecs import TILE
from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.data.images import Pixels
from lic.entropy import tables
from lic.errors import UserError
from lic.metrics.complexity import macs_per_pixel
from lic.models import Coded, CompressionModel, Network
from lic.models.inner import Inner


class LearnedCodec(FileCodec):
    """Codes images with ``net``, whose weights are on the CPU and whose tables are up to date.

    A gray image is repeated for a network of colour images, and comes back gray: each pixel is the mean of
    red, green and blue, which of all grays is the nearest to what the network gave, and less noisy than one
    of them. It is computed in integers.

    A codec whose files hold those of another codec derives from this one, overrides `code` and `restore`,
    and perhaps `FileCodec.settings`; `lic.codecs.networks.codec_of` is told of it.

    Args:
        net: the network; it is put in evaluation mode.
        info: who the codec is in reports.
        tile: images of more than tile² pixels are processed in parts of at most that side, where the
            network can be; sets the peak memory.
        max_pixels: streams that claim more are refused.

    Raises:
        UserError: ``tile`` is less than the network needs.
    """

    suffix = ".lic"

    def __init__(
        self, net: CompressionModel, info: CodecInfo, *, tile: int = TILE, max_pixels: int = MAX_PIXELS
    ):
        if not isinstance(tile, int) or tile < net.least_tile:
            raise UserError(f"A tile must have at least {net.least_tile} pixels along a side, not {tile!r}.")
        self.net = net.eval()
        self.info = info
        self.image_channels = net.image_channels
        self.tile, self.max_pixels = tile, max_pixels

    @cached_property
    def fingerprint(self) -> bytes:
        """The model's name in its streams."""
        return fingerprint(self.net)

    def macs(self) -> int:
        """See `FileCodec.macs`."""
        return macs_per_pixel(self.net, channels=self.net.image_channels)

    def code(self, image: Pixels) -> Coded:
        """The parts of the stream of an image that has the network's channels."""
        return self.net.encode(image, self.tile)

    def restore(self, stream: Stream) -> Pixels:
        """The image of a stream that passed `CompressionModel.check`, with the network's channels.

        Raises:
            StreamError: the stream is forged.
        """
        return self.net.decode(stream, self.tile)

    @torch.inference_mode()
    def encode(self, image: Pixels) -> Encoded:
        """See `FileCodec.encode`.

        Raises:
            UserError: a side or the whole is too large for the format, the image is stored in colour
                and the network sees gray ones alone, or the network yields numbers that are not finite.
        """
        height, width, channels = image.shape
        if max(height, width) > MAX_SIDE or height * width > self.max_pixels:
            raise UserError(
                f"The image has {width}x{height} pixels; a side may have {MAX_SIDE:,}, and all together "
                f"{self.max_pixels:,} unless --max-pixels (max_pixels in Python) allows more."
            )
        if channels > self.net.image_channels:
            raise UserError(
                "The image is stored in colour and the model codes gray ones; convert it to gray."
            )
        coded = self.code(np.broadcast_to(image, (height, width, self.net.image_channels)))
        lazily = torch.inference_mode()
        stream = Stream(
            self.fingerprint,
            width,
            height,
            coded.latent_checksum,
            tuple(coded.payloads),
            channels,
            self.net.method if coded.method is None else coded.method,
            coded.options,
        )
        self.net.check(stream)  # a part that the network forgot is found now, not in the file
        data = stream.pack()
        around = 8 * (len(data) - sum(map(len, coded.payloads)))
        return Encoded(
            data,
            reconstruct=lazily(lambda: as_stored(coded.reconstruct(), channels)),
            estimate_bits=lazily(coded.estimate_bits),
            analysis_s=coded.analysis_s,
            inner=lazily(lambda: _in_a_file(coded.inner(), channels, around)),
            symbols=coded.symbols,
        )

    @torch.inference_mode()
    def decode(self, data: bytes) -> Pixels:
        """See `FileCodec.decode`."""
        stream = Stream.unpack(data, self.max_pixels)
        if stream.fingerprint != self.fingerprint:
            raise StreamError(
                f"The stream was written by another model (fingerprint {stream.fingerprint.hex()}, this one "
                f"is {self.fingerprint.hex()}); decode it with the model that wrote it."
            )
        if stream.channels > self.net.image_channels:
            raise StreamError("The stream has colours that its model does not code: the file is forged.")
        self.net.check(stream)
        return as_stored(self.restore(stream), stream.channels)


def fingerprint(net: Network) -> bytes:
    """Four bytes of the SHA-256 of the architecture, the weights and the tables: all that a stream needs."""
    digest = hashlib.sha256(f"{net.architecture}\n".encode())
    for name, tensor in sorted((net.state_dict() | tables(net)).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.digest()[:4]


def _in_a_file(inner: Inner | None, channels: int, bits: int) -> Inner | None:
    """Stages with the image's channels, and with the bits of a file around its payloads."""
    if inner is None:
        return None
    stages = (
        replace(stage, image=as_stored(stage.image, channels), bits=stage.bits + bits)
        for stage in inner.stages
    )
    return replace(inner, stages=tuple(stages))


def as_stored(image: Pixels, channels: int) -> Pixels:
    """What a network of colour images made of an image of so many channels, see `LearnedCodec`."""
    if image.shape[2] == channels:
        return image
    sums = image.sum(axis=2, dtype=np.uint16, keepdims=True)
    return ((sums + 1) // 3).astype(np.uint8)
