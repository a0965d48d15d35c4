"""The format of files that hold coded images: bytes only."""

from lic.bitstream.container import MAGIC, MAX_PIXELS, MAX_SIDE, Entry, Stream, checksum, describe
from lic.bitstream.fields import StreamError

__all__ = ["MAGIC", "MAX_PIXELS", "MAX_SIDE", "Entry", "Stream", "StreamError", "checksum", "describe"]
