"""Whatever people have that holds a model -> a codec of files."""

import os
from pathlib import Path

from lic.bitstream import MAX_PIXELS
from lic.coding.checkpoint import find_checkpoint, net_of, read_checkpoint
from lic.coding.learned import TILE, LearnedCodec
from lic.coding.model_file import SUFFIX, is_model_file, read_model
from lic.errors import UserError


def load_codec(
    path: str | os.PathLike[str], *, tile: int = TILE, max_pixels: int = MAX_PIXELS
) -> LearnedCodec:
    """The codec, on the CPU, of a run, of a checkpoint or of a model file.

    Args:
        path: a ``.ckpt`` or ``.lic-model`` file; or the folder of a run, whose best checkpoint is meant, or
            of one model file.
        tile: see `LearnedCodec`.
        max_pixels: see `LearnedCodec`.

    Raises:
        UserError: there is no such file, it holds no model, or it is damaged.
    """
    file = _find(path)
    if is_model_file(file):
        net, description = read_model(file)
    else:
        net, description = net_of(file, read_checkpoint(file))
    return LearnedCodec(net, description.info(net), tile=tile, max_pixels=max_pixels)


def _find(path: str | os.PathLike[str]) -> Path:
    try:
        return find_checkpoint(path)
    except UserError:
        models = sorted(Path(path).glob(f"*{SUFFIX}"))
        if len(models) > 1:
            names = ", ".join(model.name for model in models)
            raise UserError(f"{path} holds several models; give one of them: {names}.") from None
        if models:
            return models[0]
        raise
