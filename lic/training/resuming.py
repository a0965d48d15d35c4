"""Where a training begins: with its first step, or with what a checkpoint holds."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import to_absolute_path
from omegaconf import DictConfig

from lic.errors import UserError
from lic.runs import in_sweep, run_folder
from lic.store.checkpoint import CHECKPOINTS, check_resumable, checkpoints_of, first_readable
from lic.store.objective import Objective

_log = logging.getLogger(__name__)


def checkpoint_to_resume(cfg: DictConfig, config: Mapping[str, Any], objective: Objective) -> str | None:
    """The checkpoint that ``ckpt_path`` means; in a sweep, an unfinished job continues by itself.

    Of a run it is the last one, or the best one where the last cannot be read.

    Raises:
        UserError: there is no such checkpoint, or it belongs to another model or objective.
    """
    folder, by_itself = run_folder(), cfg.ckpt_path is None
    if by_itself and not in_sweep():
        return None
    given = folder if by_itself or cfg.ckpt_path == "last" else Path(to_absolute_path(cfg.ckpt_path))
    files = [given] if given.is_file() else checkpoints_of(given, "last", "best")
    if not files:
        if by_itself:
            return None
        raise UserError(
            f"{given} has no {CHECKPOINTS}/last.ckpt to continue; give hydra.run.dir=FOLDER of the run "
            "to continue, or ckpt_path=FOLDER to start a new run from its last checkpoint."
        )
    try:
        file, checkpoint = first_readable(files)
    except UserError as error:
        if not by_itself:
            raise
        _log.warning("%s The job begins anew.", error)
        return None
    check_resumable(file, checkpoint, config, objective)
    done = checkpoint["global_step"]
    if file.parent.parent != folder and done >= config["trainer"]["max_steps"]:
        raise UserError(f"{file} has run its {done} steps; give a larger trainer.max_steps to continue it.")
    _log.info("Continuing from %s, step %d.", file, done)
    return str(file)
