"""Checkpoints, for coding and for continuing a training. Nothing found in one is executed."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lic.errors import UserError, naming_file
from lic.foreign import check_archive, inside
from lic.models import Network, net_weights
from lic.store.description import Description
from lic.store.objective import Objective
from lic.store.rebuild import rebuild_net

_log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"


def find_model(path: str | os.PathLike[str]) -> Path:
    """The file that holds the model: ``path`` itself, or a run's best checkpoint, the last one without it.

    Whoever reads the file finds out whether it is a checkpoint or a model file.

    Raises:
        UserError: there is none, or it is a link out of the run.
    """
    given = Path(path)
    if given.is_file():
        return given
    if not given.exists():
        raise UserError(f"{given} does not exist; give the folder of a run, a checkpoint or a model file.")
    if found := checkpoints_of(given, "best", "last"):
        return found[0]
    runs = sorted(p.parent.parent.name for p in given.glob(f"*/{CHECKPOINTS}/best.ckpt"))
    hint = f"give one of its runs: {', '.join(runs)}" if runs else "give the folder of a run that has one"
    raise UserError(f"{given} has no {CHECKPOINTS}/best.ckpt; {hint}.")


def checkpoints_of(run: Path, *names: str) -> list[Path]:
    """Those of a run's checkpoints of these names that are there.

    Raises:
        UserError: one is a link out of the run, or no file: another one would be taken for it.
    """
    there = [run / CHECKPOINTS / f"{name}.ckpt" for name in names]
    there = [file for file in there if os.path.lexists(file)]
    for file in there:
        if not inside(run, CHECKPOINTS, file.name):
            raise UserError(f"{file} is a link out of its run, or no file; give the file that it should be.")
    return there


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain containers, by the safe loader, on the CPU.

    Raises:
        UserError: the file is not a checkpoint of lic.
    """
    try:
        check_archive(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(checkpoint, dict):
            raise TypeError("no dictionary")
        config, _ = checkpoint["hyper_parameters"]["config"], net_weights(checkpoint)
        if "objective" not in checkpoint and "distortion" in config:  # from before there were other trainings
            before = Objective.rate_distortion(config["lambda"], config["distortion"])
            checkpoint["objective"] = before.plain()
    except Exception as error:  # the safe loader raises whatever its input provokes
        raise UserError(
            f"{path} is not a readable checkpoint of lic; give a .ckpt file of a run, or a .lic-model."
        ) from error
    with naming_file(path):
        Description.parse(config, checkpoint.get("objective"))
    return checkpoint


def net_of(file: Path, checkpoint: Mapping[str, Any]) -> tuple[Network, Description]:
    """The network, on the CPU, that ``file`` with the content ``checkpoint`` holds, and what it is.

    Raises:
        UserError: the parts do not fit each other.
    """
    with naming_file(file):
        description = Description.parse(checkpoint["hyper_parameters"]["config"], checkpoint["objective"])
        weights, tables = net_weights(checkpoint), checkpoint.get("entropy_tables", {})
        return rebuild_net(description, weights, tables, file.stat().st_size), description


def setting(config: Any, key: str) -> Any:
    """The value at a dotted key of a configuration, None where it has none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def first_readable(files: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """The first of ``files`` that can be read and its content; a warning names those before it.

    Raises:
        UserError: none can.
    """
    *earlier, last = files
    for file in earlier:
        try:
            return file, read_checkpoint(file)
        except UserError as error:
            _log.warning("%s", error)
    return last, read_checkpoint(last)
