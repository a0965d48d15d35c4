"""From a training run to a codec of files. Nothing found in a checkpoint is executed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lic.coding.codec import CodecInfo
from lic.coding.learned import LearnedCodec
from lic.entropy import load_tables
from lic.errors import UserError
from lic.models import CompressionModel, build_model, describe_model, net_weights

CHECKPOINTS = "checkpoints"
_KEPT = ("model", "lambda", "distortion", "optimizer", "ema", "seed", "trainer.precision")


def find_checkpoint(path: str | os.PathLike[str], names: tuple[str, ...] = ("best", "last")) -> Path:
    """The checkpoint file meant by a run folder or a file.

    Raises:
        UserError: there is none.
    """
    given = Path(path)
    if given.is_file():
        return given
    if not given.exists():
        raise UserError(f"{given} does not exist; give the folder of a run or a checkpoint file.")
    for name in names:
        if (candidate := given / CHECKPOINTS / f"{name}.ckpt").is_file():
            return candidate
    runs = sorted(p.parent.parent.name for p in given.glob(f"*/{CHECKPOINTS}/{names[0]}.ckpt"))
    hint = f"give one of its runs: {', '.join(runs)}" if runs else "give the folder of a run that has one"
    raise UserError(f"{given} has no {CHECKPOINTS}/{names[0]}.ckpt; {hint}.")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain containers, by the safe loader, on the CPU.

    Raises:
        UserError: the file is not a checkpoint of lic.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        config = checkpoint["hyper_parameters"]["config"]
        described = {"model", "lambda", "distortion"} <= config.keys() and "name" in model_options(config)
        if described and "state_dict" in checkpoint:
            return checkpoint
    except Exception as error:  # the safe loader raises whatever its input provokes
        raise UserError(f"{path} is not a readable checkpoint of lic; give a .ckpt file of a run.") from error
    raise UserError(f"{path} is not a checkpoint of lic: it does not describe its model.")


def load_codec(path: str | os.PathLike[str]) -> LearnedCodec:
    """The codec, on the CPU, of a run folder (its best checkpoint) or of a checkpoint file.

    Raises:
        UserError: no such file, not a checkpoint, or one that does not fit its own description.
    """
    file = find_checkpoint(path)
    checkpoint = read_checkpoint(file)
    config = checkpoint["hyper_parameters"]["config"]
    net = build_model(**model_options(config))
    try:
        net.load_state_dict(net_weights(checkpoint))
        load_tables(net, checkpoint["entropy_tables"])
    except (UserError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} does not fit the model it names, {config['model']}.") from error
    return LearnedCodec(net, describe_run(config, net))


def model_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `lic.models.build_model` in a run's configuration."""
    return {key: value for key, value in config["model"].items() if key != "_target_"}


def describe_run(config: Mapping[str, Any], net: CompressionModel) -> CodecInfo:
    """What reports call the codec of a run."""
    options = model_options(config)
    variant = config.get("variant")  # what else a sweep varies makes another curve
    return CodecInfo(
        curve=f"{describe_model(**options)} ({config['distortion']}{', ' + variant if variant else ''})",
        setting=f"λ = {config['lambda']:g}",
        learned=True,
        model=options["name"],
        upsample=options.get("upsample"),
        lmbda=float(config["lambda"]),
        distortion=config["distortion"],
        parameters=sum(p.numel() for p in net.parameters()),
    )


def check_resumable(file: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint, if ``config`` may continue it: the run's own settings but for its length and data.

    Raises:
        UserError: ``file`` is no checkpoint, or one of another run.
    """
    checkpoint = read_checkpoint(file)
    saved = checkpoint["hyper_parameters"]["config"]
    for key in _KEPT:
        was, now = _words(saved, key), _words(config, key)
        if was != now:
            raise UserError(
                f"{file} was trained with {key} = {was}, not {now}; continue it with its own settings or "
                "start a new run without ckpt_path."
            )
    return checkpoint


def _words(config: Mapping[str, Any], key: str) -> str:
    """A setting of a run as people write it."""
    if key == "model":
        return describe_model(**model_options(config))
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)
