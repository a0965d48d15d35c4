"""The options of a training: all is refused here that would otherwise be found out after hours."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from lic.codecs.classical import classical_codec
from lic.configuration import CONF
from lic.errors import UserError
from lic.precision import PRECISIONS
from lic.runs import in_sweep

_WHOLE_NUMBERS = {
    "seed": 0,
    "trainer.max_steps": 1,
    "trainer.val_check_interval": 1,
    "trainer.limit_val_batches": 1,
    "trainer.log_every_n_steps": 1,
    "trainer.accumulate_grad_batches": 1,
    "data.batch_size": 1,
    "data.patch_size": 1,
    "data.num_workers": 0,
    "data.epoch_batches": 1,
    "data.train_limit": 1,
}
_OF_DEVICES = ("gpu", "ddp")  # files of conf/trainer that say where to train, on the default schedule
_MAY_BE_NULL = {"trainer.limit_val_batches", "data.epoch_batches", "data.train_limit"}  # all there are
_INTERPOLATED = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)")
_OF_STARTS = {"upsample.weights", "upsample.freeze"}  # which lic.training.start_from reads

_NOT_FOR_TRAINER = {
    "fast_dev_run": "trainer=debug takes a few steps that touch everything",
    "logger": "choose logger=wandb, tensorboard, csv or none",
    "gradient_clip_val": "give optimizer.clip_norm",
    "gradient_clip_algorithm": "give optimizer.clip_norm",
    "max_epochs": "give trainer.max_steps",
    "barebones": "logger=none leaves out what costs time",
}


def checked_config(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, fit for a checkpoint that the safe loader reads.

    Everything is refused here that would otherwise be found out when hours have passed.

    Raises:
        UserError: a choice that is unknown or impossible.
    """
    if unknown := _unused(cfg):
        raise UserError(f"Unknown option {', '.join(unknown)}; see --help.")
    for key, low in _WHOLE_NUMBERS.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, float) and value.is_integer():  # 1e6
            value = int(value)
            OmegaConf.update(cfg, key, value)
        if value is None and key in _MAY_BE_NULL:
            continue
        if type(value) is not int or not low <= value < 2**32:
            raise UserError(f"{key} must be a whole number from {low} on, not {value!r}.")
    _check_trainer(cfg.trainer)
    _check_devices(cfg.trainer)
    _check_schedule()
    for name in cfg.classical:
        classical_codec(name)
    if cfg.trainer.precision not in PRECISIONS:
        raise UserError(
            f"trainer.precision must be {' or '.join(PRECISIONS)}, not {cfg.trainer.precision}: in 16-bit "
            "floating point the first steps overflow."
        )
    if cfg.start not in ("random", "thumbnail"):
        raise UserError(f"start must be random or thumbnail, not {cfg.start!r}.")
    minutes = cfg.checkpoint_minutes
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes > 0:
        raise UserError(f"checkpoint_minutes must be a positive number, not {minutes!r}.")
    if cfg.ema is not None and not (isinstance(cfg.ema, float) and 0 < cfg.ema < 1):
        raise UserError(f"ema must be a decay between 0 and 1 such as 0.999, or null, not {cfg.ema!r}.")
    if cfg.trainer.accelerator == "cpu" and cfg.trainer.devices in (-1, "auto"):
        raise UserError("On a CPU trainer.devices counts processes; give a number, as in trainer.devices=2.")
    is_several = cfg.trainer.devices != 1 or cfg.trainer.num_nodes != 1
    if in_sweep() and is_several and "Slurm" not in HydraConfig.get().launcher._target_:
        raise UserError(
            "A job of a sweep trains on one device, as nothing here starts more processes for it; leave out "
            "-m to train on several, or add hydra/launcher=slurm."
        )
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def _unused(cfg: DictConfig) -> list[str]:
    """Options that neither train.yaml has nor anything in the configuration takes."""
    file = OmegaConf.load(Path(CONF) / "train.yaml")
    groups = {str(name) for entry in file.defaults if OmegaConf.is_dict(entry) for name in entry}
    taken = {*map(str, file), *groups, *_OF_STARTS}
    content = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))
    taken.update(_INTERPOLATED.findall(str(content)))
    return sorted(key for key in _options(content) if taken.isdisjoint((key, key.partition(".")[0])))


def _options(content: Mapping[str, Any]) -> Iterator[str]:
    """The keys at the top, and of those that hold others theirs ("optimizer.lr")."""
    for key, inner in content.items():
        yield from (f"{key}.{name}" for name in inner) if isinstance(inner, dict) and inner else [key]


def _check_devices(trainer: DictConfig) -> None:
    """Refuse numbers of devices and machines that Lightning would not take, or in words of its own."""
    devices, nodes = trainer.devices, trainer.num_nodes
    is_number = type(devices) is int and (devices > 0 or devices == -1)
    if not (is_number or devices == "auto" or OmegaConf.is_list(devices)):
        raise UserError(f"trainer.devices must be a number from 1 on, -1 for all, or a list, not {devices}.")
    if type(nodes) is not int or nodes < 1:
        raise UserError(f"trainer.num_nodes must be a number of machines, not {nodes}.")


def _check_schedule() -> None:
    """Refuse a choice of devices that would bring another schedule than the experiment's."""
    chosen = HydraConfig.get().runtime.choices
    if chosen.get("experiment") and chosen.get("trainer") in _OF_DEVICES:
        raise UserError(
            f"trainer={chosen['trainer']} would take the place of the schedule of experiment="
            f"{chosen['experiment']}; give trainer.accelerator=gpu trainer.precision=auto, and for several "
            "devices trainer.devices=4 trainer.sync_batchnorm=true."
        )


def _check_trainer(trainer: DictConfig) -> None:
    """Refuse options of Lightning's that do not exist, that would be ignored, or that leave no codec."""
    known = set(inspect.signature(Trainer).parameters) | {"_target_"}
    if unknown := sorted(map(str, set(trainer) - known)):
        raise UserError(f"Unknown option trainer.{unknown[0]}; see --help, and lightning.Trainer for more.")
    for key, instead in _NOT_FOR_TRAINER.items():
        if trainer.get(key) not in (None, False):
            raise UserError(f"trainer.{key} has no place in a training of lic; {instead}.")
    if trainer.get("limit_train_batches") == 0:
        raise UserError("With trainer.limit_train_batches=0 there is no step to take; leave it out.")
    if trainer.get("enable_checkpointing") is False:
        raise UserError(
            "A training of lic ends in a checkpoint; leave out trainer.enable_checkpointing=false."
        )
    if trainer.val_check_interval % trainer.accumulate_grad_batches:
        raise UserError(
            f"trainer.val_check_interval={trainer.val_check_interval} counts batches, and a step has "
            f"{trainer.accumulate_grad_batches} of them; give a multiple."
        )
