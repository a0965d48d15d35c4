"""The format of files that hold coded images: bytes only."""

from lic.bitstream.container import MAX_PIXELS, Entry, Stream, describe
from lic.bitstream.fields import StreamError

__all__ = ["MAX_PIXELS", "Entry", "Stream", "StreamError", "describe"]
