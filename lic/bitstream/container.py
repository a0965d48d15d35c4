"""The file that holds one coded image: a header declared field by field, the payloads, a checksum.

====================  ===================================================================================
magic, version        ``lic`` and one byte, 3
the fields below      see `FIELDS`: the reader, the writer and ``lic info`` know no other list
payloads              one or more; the last one ends where the checksum begins
checksum              4 bytes, CRC-32 of everything before it
====================  ===================================================================================

A 768x512 photo coded by a hyperprior has 24 bytes of overhead. Bytes only; no torch.
"""

import zlib
from dataclasses import dataclass
from typing import Any

from lic.bitstream.fields import Checksum, Choice, Counted, Field, Raw, Reader, StreamError, Varint, Varints

MAGIC = b"lic"
VERSION = 3
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 27
"""What a decoder allocates for unless it is told otherwise: a forged header can claim anything."""

_PREAMBLE = len(MAGIC) + 1
_CRC_BYTES = 4

FIELDS: tuple[Field, ...] = (
    Raw("fingerprint", "the model that wrote the stream and can read it", 4),
    Varint("width", "of the image, in pixels", 1, MAX_SIDE),
    Varint("height", "of the image, in pixels", 1, MAX_SIDE),
    Choice("channels", "of the image: 3 are red, green, blue, 1 is gray", (1, 3)),
    Varint("method", "how the model coded: see docs/streams.md for those of its family", 0, 127),
    Checksum("latent_checksum", "of the latents that the decoder must find"),
    Counted("options", "of the model's family, in hexadecimal", 255),
    Varints("payload_lengths", "bytes of every payload but the last, which takes the rest", 1 << 12, 1 << 40),
)


def checksum(latents: bytes | memoryview) -> bytes:
    """The checksum of latents as the header holds it: 15 bits of their CRC-32, after a bit that is one."""
    low, high = zlib.crc32(latents).to_bytes(_CRC_BYTES, "little")[:2]
    return bytes([low | 0x80, high])


@dataclass(frozen=True)
class Stream:
    """One coded image as it lies in a file.

    ``latent_checksum`` is what `checksum` gives, or empty.
    """

    fingerprint: bytes
    width: int
    height: int
    latent_checksum: bytes
    payloads: tuple[bytes, ...]
    channels: int = 3
    method: int = 0
    options: bytes = b""

    @property
    def header(self) -> dict[str, Any]:
        """The value of each of `FIELDS`."""
        return vars(self) | {"payload_lengths": tuple(map(len, self.payloads[:-1]))}

    def pack(self) -> bytes:
        """The whole file."""
        assert self.payloads
        header = self.header
        fields = b"".join(field.write(header[field.name]) for field in FIELDS)
        body = MAGIC + bytes([VERSION]) + fields + b"".join(self.payloads)
        return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes, max_pixels: int = MAX_PIXELS) -> "Stream":
        """Read `pack`'s bytes; nothing larger than ``data`` is allocated.

        Raises:
            StreamError: not a stream of this format and version, cut off, damaged, or of an image that has
                more than ``max_pixels``.
        """
        if data[: len(MAGIC)] != MAGIC:
            raise StreamError("This is not a lic stream: its first bytes are not 'lic'.")
        if len(data) < _PREAMBLE + _CRC_BYTES:
            raise StreamError("The stream ends too early: the file is cut off or damaged.")
        if (version := data[len(MAGIC)]) != VERSION:
            raise StreamError(f"The stream has format version {version}; this lic reads version {VERSION}.")
        body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
        if zlib.crc32(body).to_bytes(_CRC_BYTES, "little") != crc:
            raise StreamError("The stream's checksum does not match: the file is cut off or damaged.")
        reader = Reader(body[_PREAMBLE:])
        values = {field.name: field.read(reader) for field in FIELDS}
        if (pixels := values["width"] * values["height"]) > max_pixels:
            raise StreamError(
                f"The stream claims {values['width']}x{values['height']} = {pixels:,} pixels, more than the "
                f"{max_pixels:,} allowed; if you trust the file, allow more with --max-pixels."
            )
        payloads = [reader.take(length) for length in values.pop("payload_lengths")]
        return cls(**values, payloads=(*payloads, reader.rest()))


@dataclass(frozen=True)
class Entry:
    """One thing that is said of a file, for people and for JSON."""

    name: str
    meaning: str
    value: int | float | str | list[int]


def describe(data: bytes) -> list[Entry]:
    """What a stream of any size says, field by field, and what it costs; a `StreamError` if it is none."""
    stream = Stream.unpack(data, max_pixels=MAX_SIDE**2)
    header, pixels = stream.header, stream.width * stream.height
    return [
        Entry("version", "of the format", VERSION),
        *(Entry(field.name, field.meaning, _printable(header[field.name])) for field in FIELDS),
        Entry("checksum", "CRC-32 of all that stands before it", data[-_CRC_BYTES:].hex()),
        Entry("bytes", "of the whole file", len(data)),
        Entry("overhead", "bytes that are header and checksum", len(data) - sum(map(len, stream.payloads))),
        Entry("bpp", "bits of the whole file per pixel", round(8 * len(data) / pixels, 4)),
    ]


def _printable(value: Any) -> int | str | list[int]:
    """The value of a field as people and JSON take it."""
    if isinstance(value, bytes):
        return value.hex() or "none"
    return list(value) if isinstance(value, tuple) else value
