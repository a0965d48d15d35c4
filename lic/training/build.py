"""The parts of a training, made from its configuration: data, network, the training itself, the trainer."""

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object, instantiate
from lightning import Callback, Trainer
from omegaconf import DictConfig

from lic.data.module import ImageData, checked_data
from lic.errors import UserError
from lic.layers import padded_size
from lic.models import Network, TransformCoding
from lic.models.thumbnail import start_as_thumbnail
from lic.precision import precision
from lic.store.description import Description
from lic.training.base import SeveralOptimizers, Training
from lic.training.processes import SyncBatchNorm


def build_data(cfg: DictConfig) -> ImageData:
    """The data module, with test images.

    Raises:
        UserError: it is something else, or has none.
    """
    data = checked_data(instantiate(cfg.data))
    _ = data.test_set  # a missing test set is found out before the training, not after
    return data


def build_net(cfg: DictConfig, config: Mapping[str, Any]) -> Network:
    """The network, of which a checkpoint can name what rebuilds it.

    Raises:
        UserError: it is not one of lic's, or patches do not fit it.
    """
    net = instantiate(cfg.model)
    if not isinstance(net, Network) or not net.architecture:
        raise UserError(
            f"model._target_={cfg.model.get('_target_')} makes a {type(net).__name__}, which a checkpoint of "
            "lic could not describe; add it to lic.models.MODELS and let lic.models.build_model make it."
        )
    Description.parse(config, {})
    _check_patches(net, cfg.data.patch_size)
    if cfg.start == "thumbnail":
        start_as_thumbnail(net)
    return net


def _check_patches(net: Network, patch_size: int) -> None:
    """Refuse patches that a net with ``pixel_unshuffle`` would pad: it would learn to code the padding.

    A family's own multiple is not asked for: the images of CIFAR-10 are smaller.
    """
    if not isinstance(net, TransformCoding):
        return
    multiple = net.downsampling
    if multiple > type(net).downsampling and patch_size % multiple:
        fitting = padded_size((patch_size, patch_size), multiple)[0]
        raise UserError(
            f"With its model.pixel_unshuffle, the model codes squares of {multiple} pixels, and patches of "
            f"{patch_size} are no multiple of that; give data.patch_size={fitting} or a smaller "
            "model.pixel_unshuffle."
        )


def build_training(cfg: DictConfig, config: dict[str, Any], net: Network, data: ImageData) -> Training:
    """The way of training that the configuration chooses, about to train ``net`` on ``data``.

    Raises:
        UserError: it is something else, an option is impossible, or the data do not suit it or the net.
    """
    if net.image_channels != data.channels:
        raise UserError(
            f"The model codes images with image_channels={net.image_channels} (1 is gray, 3 is colour), and "
            f"data.channels={data.channels}; give data.channels={net.image_channels}, or "
            f"model.channels={data.channels} if the model has this option."
        )
    step = cfg.trainer.accumulate_grad_batches
    if data.epoch_batches and data.epoch_batches % step:  # the last step of an epoch would have fewer
        raise UserError(
            f"data.epoch_batches={data.epoch_batches} counts batches, and a step has {step} of them; give a "
            "multiple."
        )
    target = cfg.training.get("_target_")
    options = {str(key): None for key in cfg.training if key != "_target_"}
    try:
        signature = inspect.signature(get_object(target))
    except Exception as error:  # an import may raise anything
        raise UserError(
            f"training._target_={target} cannot be looked up: {' '.join(str(error).split())}; name a class "
            "derived from lic.training.base.Training."
        ) from error
    try:
        signature.bind(net, config, **options)
    except TypeError as error:
        raise UserError(
            f"training cannot be made of its options: {error}; see its file in conf/training/."
        ) from error
    made = instantiate(cfg.training, _partial_=True)(net, config)
    if not isinstance(made, Training):
        raise UserError(
            f"training._target_={target} makes a {type(made).__name__}, which is no "
            "lic.training.base.Training."
        )
    made.check_data(data)
    return made


def build_trainer(cfg: DictConfig, training: Training, callbacks: list[Callback]) -> Trainer:
    """Lightning's trainer, which steps as the training asks."""
    options: dict[str, Any] = {"precision": precision(cfg.trainer.precision, cfg.trainer.accelerator)}
    if isinstance(training, SeveralOptimizers):  # Lightning refuses to accumulate for these
        training.accumulate = cfg.trainer.accumulate_grad_batches
        options["accumulate_grad_batches"] = 1
    if cfg.trainer.sync_batchnorm:
        options["plugins"] = [*(cfg.trainer.get("plugins") or ()), SyncBatchNorm()]
    trainer: Trainer = instantiate(cfg.trainer, **options, logger=False, callbacks=callbacks)
    return trainer
