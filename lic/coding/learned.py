"""A trained network as a codec of files."""

import hashlib
import math
import zlib
from functools import cached_property

import torch
from torch import Tensor

from lic.bitstream import Stream, StreamError
from lic.coding.codec import CodecInfo, Encoded, FileCodec
from lic.data.images import Pixels, to_batch, to_float, to_image
from lic.entropy import tables
from lic.layers import crop, pad, padded_size
from lic.models import CompressionModel, Latents


class LearnedCodec(FileCodec):
    """Codes images with ``net``, whose weights are on the CPU and whose tables are up to date.

    Everything runs in float32 and one image at a time, the same way in encoder and decoder: the decoder's
    probabilities must equal the encoder's to the last bit. The checksum of the latents in each stream
    tells when they did not.
    """

    suffix = ".lic"

    def __init__(self, net: CompressionModel, info: CodecInfo):
        self.net = net.eval()
        self.info = info

    @cached_property
    def fingerprint(self) -> bytes:
        """The model's name in its streams."""
        return fingerprint(self.net)

    @torch.inference_mode()
    def encode(self, image: Pixels) -> Encoded:
        """See `FileCodec.encode`; a `UserError` if the network yields numbers that are not finite."""
        height, width = image.shape[:2]
        y = self.net.g_a(pad(to_float(to_batch(image)), self.net.downsampling))
        payloads, latents = self.net.encode(y)
        stream = Stream(self.fingerprint, width, height, _checksum(latents), tuple(payloads))
        return Encoded(
            stream.pack(),
            reconstruct=lambda: self._synthesize(latents, (height, width)),
            estimate_bits=lambda: self._estimate_bits(y),
        )

    @torch.inference_mode()
    def decode(self, data: bytes) -> Pixels:
        """See `FileCodec.decode`."""
        stream = Stream.unpack(data)
        if stream.fingerprint != self.fingerprint:
            raise StreamError(
                f"The stream was written by another model (fingerprint {stream.fingerprint.hex()}, this one "
                f"is {self.fingerprint.hex()}); decode it with the model that wrote it."
            )
        if len(stream.payloads) != self.net.payloads:
            raise StreamError(f"The stream has {len(stream.payloads)} payloads, not {self.net.payloads}.")
        size = (stream.height, stream.width)
        latents = self.net.decode(stream.payloads, padded_size(size, self.net.downsampling))
        if _checksum(latents) != stream.latent_checksum:
            raise StreamError(
                "The decoder found other latents than the encoder wrote: this machine computes the model's "
                "probabilities differently. Decode on the kind of machine that encoded."
            )
        return self._synthesize(latents, size)

    @torch.inference_mode()
    def _synthesize(self, latents: Latents, size: tuple[int, int]) -> Pixels:
        return to_image(crop(self.net.g_s(latents.y_hat), size))

    @torch.inference_mode()
    def _estimate_bits(self, y: Tensor) -> float:
        _, bits = self.net.bottleneck(y)
        return math.fsum(b.item() for b in bits.values())


def fingerprint(net: CompressionModel) -> bytes:
    """Four bytes of the SHA-256 of the architecture, the weights and the tables: all that a stream needs."""
    digest = hashlib.sha256(f"{net.description}\n".encode())
    for name, tensor in sorted((net.state_dict() | tables(net)).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.digest()[:4]


def _checksum(latents: Latents) -> bytes:
    symbols = latents.symbols.to("cpu", torch.int32).contiguous().numpy()
    return zlib.crc32(symbols.tobytes()).to_bytes(4, "little")[:2]
