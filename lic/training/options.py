"""What a training is asked for: everything is refused here that would otherwise be found out after hours."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from lic.codecs.classical import classical_codecs
from lic.data.module import ImageData, checked_data
from lic.errors import UserError
from lic.layers import padded_size
from lic.losses import check_distortion, check_lambda, lambda_warning
from lic.metrics.quality import MS_SSIM_MIN_SIDE
from lic.models import CompressionModel
from lic.models.thumbnail import start_as_thumbnail
from lic.precision import PRECISIONS
from lic.runs import in_sweep
from lic.store.description import Description
from lic.training.rate_distortion import RateDistortionCodec

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
_KEYS = {
    *("model", "upsample", "data", "trainer", "optimizer", "logger", "lambda", "distortion"),
    *("seed", "ema", "ckpt_path", "checkpoint_minutes", "classical", "start", "variant"),
}

_NOT_FOR_TRAINER = {
    "fast_dev_run": "trainer=debug takes a few steps that touch everything",
    "logger": "choose logger=wandb, tensorboard, csv or none",
    "gradient_clip_val": "give optimizer.clip_norm",
    "gradient_clip_algorithm": "give optimizer.clip_norm",
    "barebones": "logger=none leaves out what costs time",
}

_log = logging.getLogger(__name__)


def checked_config(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, fit for a checkpoint that the safe loader reads.

    Everything is refused here that would otherwise be found out when hours have passed.

    Raises:
        UserError: a choice that is unknown or impossible.
    """
    step_sizes = set(inspect.signature(RateDistortionCodec).parameters)
    if unknown := set(cfg) - _KEYS | {f"optimizer.{key}" for key in set(cfg.optimizer) - step_sizes}:
        raise UserError(f"Unknown option {', '.join(map(str, sorted(unknown)))}; see --help.")
    for key, low in _WHOLE_NUMBERS.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, float) and value.is_integer():  # 1e6
            value = int(value)
            OmegaConf.update(cfg, key, value)
        if value is not None and (type(value) is not int or not low <= value < 2**32):
            raise UserError(f"{key} must be a whole number from {low} on, not {value!r}.")
    _check_trainer(cfg.trainer)
    lmbda, distortion = check_lambda(cfg["lambda"]), check_distortion(cfg.distortion)
    if warning := lambda_warning(lmbda, distortion):
        _log.warning(warning)
    if distortion == "ms_ssim" and cfg.data.patch_size < MS_SSIM_MIN_SIDE:
        raise UserError(
            f"MS-SSIM needs patches of at least {MS_SSIM_MIN_SIDE} pixels a side, not {cfg.data.patch_size}; "
            "give a larger data.patch_size or distortion=mse."
        )
    for name in cfg.classical:
        classical_codecs(name)
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
    if in_sweep() and cfg.trainer.devices != 1 and "Basic" in HydraConfig.get().launcher._target_:
        raise UserError(
            "The jobs of a sweep run one after another in one process, on one device each; leave out -m to "
            "train on several."
        )
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def _check_trainer(trainer: DictConfig) -> None:
    """Refuse options of Lightning's that do not exist, that would be ignored, or that leave no codec."""
    known = set(inspect.signature(Trainer).parameters) | {"_target_"}
    if unknown := sorted(map(str, set(trainer) - known)):
        raise UserError(f"Unknown option trainer.{unknown[0]}; see --help, and lightning.Trainer for more.")
    for key, instead in _NOT_FOR_TRAINER.items():
        if trainer.get(key) not in (None, False):
            raise UserError(f"trainer.{key} has no place in a training of lic; {instead}.")
    if trainer.val_check_interval % trainer.accumulate_grad_batches:
        raise UserError(
            f"trainer.val_check_interval={trainer.val_check_interval} counts batches, and a step has "
            f"{trainer.accumulate_grad_batches} of them; give a multiple."
        )


def build_data(cfg: DictConfig) -> ImageData:
    """The data module, with test images.

    Raises:
        UserError: it is something else, or has none.
    """
    data = checked_data(instantiate(cfg.data))
    _ = data.test_set  # a missing test set is found out before the training, not after
    return data


def build_net(cfg: DictConfig, config: Mapping[str, Any]) -> CompressionModel:
    """The network, of which a checkpoint can name what rebuilds it.

    Raises:
        UserError: it is not one of lic's, or patches do not fit it.
    """
    net = instantiate(cfg.model)
    if not isinstance(net, CompressionModel) or not net.architecture:
        raise UserError(
            f"model._target_={cfg.model.get('_target_')} makes a {type(net).__name__}, which a checkpoint of "
            "lic could not describe; add it to lic.models.MODELS and let lic.models.build_model make it."
        )
    Description.parse(config)
    _check_patches(net, cfg.data.patch_size)
    if cfg.start == "thumbnail":
        start_as_thumbnail(net)
    return net


def _check_patches(net: CompressionModel, patch_size: int) -> None:
    """Refuse patches that a net with ``pixel_unshuffle`` would pad: it would learn to code the padding.

    A family's own multiple is not asked for: the images of CIFAR-10 are smaller.
    """
    multiple = net.downsampling
    if multiple > type(net).downsampling and patch_size % multiple:
        fitting = padded_size((patch_size, patch_size), multiple)[0]
        raise UserError(
            f"With its model.pixel_unshuffle, the model codes squares of {multiple} pixels, and patches of "
            f"{patch_size} are no multiple of that; give data.patch_size={fitting} or a smaller "
            "model.pixel_unshuffle."
        )
