"""Which checkpoint to resume from, and whether it may be resumed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import to_absolute_path
from omegaconf import DictConfig

from lic.errors import UserError, naming_file
from lic.models import describe_model, full_options, net_weights
from lic.runs import in_sweep, run_folder
from lic.store.checkpoint import CHECKPOINTS, checkpoints_of, first_readable, setting
from lic.store.description import model_options
from lic.store.objective import Objective
from lic.store.rebuild import check_tensors

_log = logging.getLogger(__name__)
_KEPT = (
    *("model", "training", "start_from", "upsample.weights", "upsample.freeze"),
    *("ema", "seed", "trainer.precision"),
)


def checkpoint_to_resume(cfg: DictConfig, config: Mapping[str, Any], objective: Objective) -> str | None:
    """The checkpoint that ``ckpt_path`` means; in a sweep, an unfinished job continues by itself.

    Of a run it is the last one, or the best one where the last cannot be read.

    Raises:
        UserError: there is no such checkpoint, it belongs to another model or objective, or it lacks what a
            training needs to go on.
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
    check_state(file, checkpoint)
    done = checkpoint["global_step"]
    if file.parent.parent != folder and done >= config["trainer"]["max_steps"]:
        raise UserError(f"{file} has run its {done} steps; give a larger trainer.max_steps to continue it.")
    _log.info("Continuing from %s, step %d.", file, done)
    return str(file)


def check_resumable(
    file: Path, checkpoint: Mapping[str, Any], config: Mapping[str, Any], objective: Objective
) -> None:
    """Refuse to continue the checkpoint in ``file`` with other settings, but for its length and data.

    Raises:
        UserError: a setting differs.
    """
    saved, trained_for = checkpoint["hyper_parameters"]["config"], Objective.parse(checkpoint["objective"])
    if trained_for.values != objective.values:
        raise UserError(
            f"{file} was trained for {trained_for}, not {objective}; continue it with its own settings or "
            "start a new run without ckpt_path."
        )
    for key in _KEPT:
        if key.partition(".")[0] not in saved:  # an older lic had no such choice
            continue
        if _kept(saved, key) != _kept(config, key):
            was, now = _words(saved, key), _words(config, key)
            raise UserError(
                f"{file} was trained with {key} = {was}, not {now}; continue it with its own settings or "
                "start a new run without ckpt_path."
            )


def _kept(config: Mapping[str, Any], key: str) -> Any:
    """A setting of a run as a value; a model has all its options, as an older lic may have known fewer."""
    return full_options(**model_options(config)) if key == "model" else setting(config, key)


def _words(config: Mapping[str, Any], key: str) -> str:
    """A setting of a run as people write it."""
    if key == "model":
        return describe_model(**model_options(config))
    value = setting(config, key)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)


def check_state(file: Path, checkpoint: Mapping[str, Any]) -> None:
    """Refuse the checkpoint in ``file`` where Lightning would fail to restore the state of a training.

    Raises:
        UserError: something is missing, or of another type than a training saves; or weights are no numbers.
    """
    with naming_file(file):
        check_tensors(net_weights(checkpoint).values(), file.stat().st_size)
    counted, kept = setting(checkpoint, "loops.fit_loop"), setting(checkpoint, "callbacks")
    best = setting(kept, "Checkpoints.best_cost")
    sound = {
        "global_step": _is_count(checkpoint.get("global_step")),
        "epoch": _is_count(checkpoint.get("epoch")),
        "loops": isinstance(counted, Mapping),
        "callbacks": isinstance(kept, Mapping) and all(isinstance(one, Mapping) for one in kept.values()),
        "best_cost": best is None or isinstance(best, float),
        "optimizer_states": _are_tables(checkpoint.get("optimizer_states")),
        "lr_schedulers": _are_tables(checkpoint.get("lr_schedulers")),
    }
    if odd := [name for name, is_sound in sound.items() if not is_sound]:
        raise UserError(
            f"{file} cannot be continued: its {odd[0]} is missing, or not what a training saves; start a new "
            "run from its weights with start_from=…."
        )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
