"""Attacks on the reader of streams."""

import dataclasses
import random
import zlib
from typing import Any

import numpy as np
import torch

from checks.fuzz.forging import EXTREMES, mutate, net_and_description
from lic.bitstream import MAX_PIXELS, Stream, checksum
from lic.bitstream.container import FIELDS, MAGIC, VERSION
from lic.bitstream.fields import Choice, Field, Varint
from lic.codecs.learned import LearnedCodec
from lic.codecs.networks import codec_of
from lic.errors import UserError
from lic.layers import padded_size
from lic.models import TransformCoding

SIZES = ((1, 1), (16, 16), (30, 50), (64, 64))
LARGEST = 100 * 100  # pixels that most attacked decoders allow: larger images take longer, no other way


class Streams:
    """Decodes forged streams of one family."""

    def __init__(self, name: str, max_pixels: int = LARGEST):
        net, description = net_and_description(name)
        codec = codec_of(net, description.info(net), max_pixels=max_pixels)
        assert isinstance(codec, LearnedCodec)
        self.codec = codec
        noise = np.random.default_rng(0)
        images = [noise.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
        self.valid = [one.encode(image).data for one in codec.settings.values() for image in images]

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        if rng.random() < 0.5:
            return _with_checksum(mutate(rng, rng.choice(self.valid), rng.choice(self.valid)), rng)
        stream = Stream.unpack(rng.choice(self.valid))
        payloads = list(stream.payloads)
        other = rng.choice(Stream.unpack(rng.choice(self.valid)).payloads)
        for _ in range(rng.randrange(3)):
            place = rng.randrange(len(payloads) + 1)
            payloads[place : place + rng.randrange(2)] = (
                [] if rng.random() < 0.1 else [mutate(rng, other, other)]
            )
        changes: dict[str, Any] = {"payloads": tuple(payloads or [b""])}
        for name in ("width", "height"):
            if rng.random() < 0.3:
                changes[name] = rng.randrange(1, 100)
        stream = dataclasses.replace(stream, **changes)
        if rng.random() < 0.3:
            stream = self._with_latent_checksum(stream)
        values = stream.header
        if rng.random() < 0.2:
            field = rng.choice(FIELDS)
            if field.name == "payload_lengths":
                values[field.name] = tuple(rng.choice(EXTREMES) for _ in range(rng.choice((0, 1, 2, 5000))))
            elif field.name == "options":
                values[field.name] = bytes(rng.choice((1, 127, 255, 300)))
            elif field.name == "latent_checksum":
                values[field.name] = rng.choice((b"", b"\x80\0", b"\xff\xff"))
            elif field.name != "fingerprint":
                values[field.name] = rng.choice(EXTREMES)
        return _pack(values, stream.payloads)

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.codec.decode(data)
        return "a picture"

    def _with_latent_checksum(self, stream: Stream) -> Stream:
        """What a patient attacker finds by trying all values."""
        net = self.codec.net
        if not isinstance(net, TransformCoding):
            return stream  # such streams have none
        size = padded_size((stream.height, stream.width), net.downsampling)
        try:
            with torch.inference_mode():
                y_hat = net.decode_latents(iter(stream.payloads), size)
        except (UserError, StopIteration, RuntimeError):
            return stream  # `read` will say what is wrong
        return dataclasses.replace(stream, latent_checksum=checksum(y_hat.numpy().data))


class LargeStreams(Streams):
    """Decodes streams with forged sizes, with the decoder's own limit."""

    def __init__(self, name: str):
        super().__init__(name, MAX_PIXELS)

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        stream = Stream.unpack(rng.choice(self.valid))
        size = {name: int(2 ** rng.uniform(0, 20)) for name in ("width", "height")}
        payloads = stream.payloads * rng.choice((1, 1, 100, 1000))
        return _pack(stream.header | size, payloads[:4000])


def _with_checksum(data: bytes, rng: random.Random) -> bytes:
    return data if rng.random() < 0.2 else data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def _pack(header: dict[str, Any], payloads: tuple[bytes, ...]) -> bytes:
    """`Stream.pack` without its checks of ranges."""
    fields = b"".join(_boundless(field).write(header[field.name]) for field in FIELDS)
    body = MAGIC + bytes([VERSION]) + fields + b"".join(payloads)
    return body + zlib.crc32(body).to_bytes(4, "little")


def _boundless(field: Field) -> Field:
    if isinstance(field, Choice):
        return Varint(field.name, field.meaning, 0, 2**70)
    limits: dict[str, Any] = {"low": 0, "high": 2**70, "count": 2**70}
    return dataclasses.replace(field, **{k: v for k, v in limits.items() if hasattr(field, k)})
