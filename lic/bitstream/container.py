"""The file that holds one coded image: a declared header, the payloads, and a checksum over both.

======================  =================================================================
magic                   3 bytes, ``lic``
version                 1 byte, 1
fingerprint             4 bytes that name the model (see `lic.coding.fingerprint`)
width, height           varints, of the original image
latent checksum         2 bytes, of the integers that the decoder must find
payload lengths         their number, then one varint each
payloads
checksum                4 bytes, CRC-32 of everything before it
======================  =================================================================

A 768x512 photo with two payloads has 23 bytes of overhead, above 0.33 bpp 24. Bytes only; no torch.
"""

import zlib
from dataclasses import dataclass

from lic.bitstream.fields import Field, Raw, Reader, StreamError, Varint, Varints

MAGIC = b"lic"
VERSION = 1
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 28  # what a forged header can make a decoder allocate for
_PREAMBLE = len(MAGIC) + 1
_CRC_BYTES = 4

_FIELDS: tuple[Field, ...] = (
    Raw("fingerprint", 4),
    Varint("width", 1, MAX_SIDE),
    Varint("height", 1, MAX_SIDE),
    Raw("latent_checksum", 2),
    Varints("payload_lengths", 16, 1 << 40),
)


@dataclass(frozen=True)
class Stream:
    """One coded image as it lies in a file."""

    fingerprint: bytes
    width: int
    height: int
    latent_checksum: bytes
    payloads: tuple[bytes, ...]

    def pack(self) -> bytes:
        """The whole file."""
        values = vars(self) | {"payload_lengths": tuple(map(len, self.payloads))}
        header = b"".join(field.write(values[field.name]) for field in _FIELDS)
        body = MAGIC + bytes([VERSION]) + header + b"".join(self.payloads)
        return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes) -> "Stream":
        """Read `pack`'s bytes.

        Raises:
            StreamError: not a stream of this format and version, cut off, damaged, or with bytes left over.
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
        values = {field.name: field.read(reader) for field in _FIELDS}
        payloads = tuple(reader.take(length) for length in values.pop("payload_lengths"))
        if values["width"] * values["height"] > MAX_PIXELS:
            raise StreamError(f"The stream claims more than {MAX_PIXELS:,} pixels: the file is damaged.")
        if reader.position != len(reader.data):
            raise StreamError("The stream has bytes left over: the file is damaged.")
        return cls(**values, payloads=payloads)
