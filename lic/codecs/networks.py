"""The codec of files that a trained network becomes."""

from functools import singledispatch

from lic.bitstream import MAX_PIXELS
from lic.codecs import TILE
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.compact import CompactCodec
from lic.codecs.learned import LearnedCodec
from lic.errors import UserError
from lic.models import CompactImage, CompressionModel, Network


@singledispatch
def codec_of(net: Network, info: CodecInfo, *, tile: int = TILE, max_pixels: int = MAX_PIXELS) -> FileCodec:
    """The codec of a network's files; ``codec_of.register(Model)(Codec)`` gives some another `FileCodec`.

    Raises:
        UserError: the network is no codec.
    """
    use = f": {net.use}" if net.use else "; give the run or file of a codec"
    raise UserError(f"A model={info.model} codes no images to files{use}.")


codec_of.register(CompressionModel)(LearnedCodec)
codec_of.register(CompactImage)(CompactCodec)
