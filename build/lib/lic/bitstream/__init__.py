"""The format of files that hold coded images: bytes only."""

from lic.bitstream.container import Stream
from lic.bitstream.fields import StreamError

__all__ = ["Stream", "StreamError"]
