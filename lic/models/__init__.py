"""The codec families, one file each: plain networks that know neither Lightning nor Hydra."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lic import plugins
from lic.errors import UserError
from lic.models.autoregressive import JointAutoregressive
from lic.models.base import Coded, CompressionModel, Forward, Network, Size
from lic.models.comcnn_reccnn import ComCNNRecCNN
from lic.models.compact import CompactImage
from lic.models.factorized import Baseline
from lic.models.hyperprior import Hyperprior
from lic.models.icm_irm import ICMIRM
from lic.models.residual import ResidualGN
from lic.models.resnet3x3 import ResNet3x3Four, ResNet3x3Three
from lic.models.srgan import SRResNet
from lic.models.subpixel import FastDIC, ScaleHyperprior
from lic.models.transform import TransformCoding

MODELS: dict[str, type[Network]] = {
    "baseline": Baseline,
    "hyperprior": Hyperprior,
    "resnet3x3_3": ResNet3x3Three,
    "resnet3x3_4": ResNet3x3Four,
    "scale_hyperprior": ScaleHyperprior,
    "fastdic": FastDIC,
    "slowdic": JointAutoregressive,
    "residual_gn": ResidualGN,
    "comcnn_reccnn": ComCNNRecCNN,
    "icm_irm": ICMIRM,
    "srgan": SRResNet,
}

_GROUP = "lic.models"  # of entry points


def build_model(name: str, **options: Any) -> Network:
    """The network called ``name``, in `MODELS` or by an installed package, made of its keywords.

    Names, not import paths, so that a description found in a checkpoint runs nothing else.
    The weights are channels-last: the convolutions then are as fast in float32 and much faster in
    bfloat16, in training and coding alike. The one operation that is unsafe in this layout has
    layers of its own, `lic.layers.StridedPointwise` and `TransposedPointwise`.

    Raises:
        UserError: an unknown name or option, or torch's defaults are not float32 and the CPU.
    """
    family = _family(name)
    if torch.get_default_dtype() != torch.float32 or torch.get_default_device().type != "cpu":
        raise UserError(
            "The networks are made as float32 on the CPU; reset torch's default dtype and default device."
        )
    try:
        net = family(**options)
    except TypeError as error:
        raise UserError(f"The model {name!r} cannot be built with {_words(options)}: {error}.") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise UserError(
            f"There is not enough memory for the model {name!r} with {_words(options)}; choose smaller sizes."
        ) from error
    nn.Module.to(net, memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.architecture = json.dumps({"name": name, **options}, sort_keys=True)
    return net


def _words(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def full_options(name: str, **options: Any) -> dict[str, Any]:
    """All keywords of `build_model` with their values: equal ones build the same network."""
    return {"name": name, **_defaults(name), **options}


def describe_model(name: str, **options: Any) -> str:
    """The model's name and every option that is not its default: what reports call it."""
    defaults = _defaults(name)
    if "width" in defaults and defaults.get("bottleneck") == defaults["width"]:
        # configurations let it follow the width
        options.setdefault("bottleneck", defaults["bottleneck"])
        defaults["bottleneck"] = options.get("width", defaults["width"])
    parts = [name]
    for key, value in options.items():
        if isinstance(value, str):
            parts.append(value)  # a choice such as the upsampler is always said
        elif key not in defaults or value != defaults[key]:
            parts.append(f"{key} {value}")
    return " · ".join(parts)


def net_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The network's state dict in a training checkpoint, where it is the LightningModule's ``net``."""
    return {
        name.removeprefix("net."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("net.")
    }


def _defaults(name: str) -> dict[str, Any]:
    return {key: p.default for key, p in inspect.signature(_family(name)).parameters.items()}


def _family(name: str) -> type[Network]:
    if name in MODELS:
        return MODELS[name]
    if name in (others := plugins.names(_GROUP)):
        family = plugins.load(_GROUP, name)
        if isinstance(family, type) and issubclass(family, Network):
            return family
        raise UserError(f"{name}, which an installed package offers in {_GROUP}, is no lic.models.Network.")
    raise UserError(f"Unknown model {name!r}; choose one of {', '.join([*MODELS, *others])}.")


__all__ = [
    "ICMIRM",
    "MODELS",
    "Baseline",
    "Coded",
    "ComCNNRecCNN",
    "CompactImage",
    "CompressionModel",
    "FastDIC",
    "Forward",
    "Hyperprior",
    "JointAutoregressive",
    "Network",
    "ResNet3x3Four",
    "ResNet3x3Three",
    "ResidualGN",
    "SRResNet",
    "ScaleHyperprior",
    "Size",
    "TransformCoding",
    "build_model",
    "describe_model",
    "full_options",
    "net_weights",
]
