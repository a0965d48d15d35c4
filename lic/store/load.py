"""Loading a codec from a run, a checkpoint or a model file."""

import os

from lic.bitstream import MAX_PIXELS
from lic.codecs import TILE
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.networks import codec_of
from lic.models import Network
from lic.store.model_file import open_model


def load_codec(path: str | os.PathLike[str], *, tile: int = TILE, max_pixels: int = MAX_PIXELS) -> FileCodec:
    """The codec, on the CPU, of a run, of a checkpoint or of a model file.

    Args:
        path: a ``.ckpt`` or ``.lic-model`` file, or the folder of a run, whose best checkpoint is meant.
        tile: see `lic.codecs.learned.LearnedCodec`.
        max_pixels: see `lic.codecs.learned.LearnedCodec`.

    Raises:
        UserError: there is no such file, it holds no model or that of no codec, or it is damaged.
    """
    return codec_of(*load_network(path), tile=tile, max_pixels=max_pixels)


def load_network(path: str | os.PathLike[str]) -> tuple[Network, CodecInfo]:
    """The network, on the CPU, of a run, of a checkpoint or of a model file, and who it is in reports.

    Raises:
        UserError: there is no such file, it holds no model, or it is damaged.
    """
    net, description = open_model(path).rebuild()
    return net, description.info(net)
