"""The content losses of SRGAN (Ledig et al. 2017): of pixels, and of features of a VGG19 trained elsewhere.

The weights of the paper's sum, content + 1e-3 · adversarial, rest on the scales here: images are in -1…1, and
the features are divided by 12.75, which weighs their squares with about 0.006.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lic.errors import UserError
from lic.foreign import check_archive
from lic.layers import conv

FEATURE_WEIGHT = 0.006
_NUMBERS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_PEAK_TO_PEAK = 2  # of the paper's -1…1, against 0…1
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as VGG19 was trained
_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, and how many convolutions


def pixel_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """MSE of each image [N]: the paper's "SRGAN-MSE". [N, C, H, W] in 0…1, the error as of -1…1."""
    return (_PEAK_TO_PEAK * (x_hat - x)).square().flatten(1).mean(1)


def vgg19_features() -> nn.Sequential:
    """VGG19 as far as φ_5,4: the fourth convolution and ReLU before the fifth pooling; torchvision's numbers.

    [N, 3, H, W], normalized as ImageNet's, -> [N, 512, H/16, W/16].
    """
    layers: list[nn.Module] = []
    c_in = 3
    for channels, count in _BLOCKS:
        for _ in range(count):
            layers += [conv(c_in, channels, 3), nn.ReLU()]
            c_in = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


class FeatureLoss:
    """MSE of φ_5,4 of each image [N], times `FEATURE_WEIGHT`. The VGG19 is frozen, and in no checkpoint.

    Args:
        file: the state dict of a VGG19 in torchvision's names (``features.0.weight`` …), such as
            ``vgg19-dcbb9e9d.pth``; what follows φ_5,4 may be missing.

    Raises:
        UserError: it holds something else; nothing in it is executed.
    """

    def __init__(self, file: str | os.PathLike[str]):
        self.net = vgg19_features().eval().requires_grad_(False)
        _load(self.net, file)

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Of [N, 3, H, W] in 0…1."""
        self.net.to(x.device)
        difference = self._features(x_hat) - self._features(x)
        return FEATURE_WEIGHT * difference.square().flatten(1).mean(1)

    def _features(self, x: Tensor) -> Tensor:
        mean, deviation = (x.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
        features: Tensor = self.net((x - mean) / deviation)
        return features.float()


def _load(net: nn.Module, file: str | os.PathLike[str]) -> None:
    wanted = {f"features.{name}": value for name, value in net.state_dict().items()}
    try:
        if not Path(file).is_file():
            raise ValueError("no file")
        if zipfile.is_zipfile(file):  # older ones are none
            check_archive(Path(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(found, Mapping):
            raise TypeError("no mapping")
    except Exception as error:  # the safe loader raises whatever its input provokes
        raise UserError(
            f"content.weights={file} cannot be read; give the state dict of a VGG19, as torchvision has it."
        ) from error
    for name, value in wanted.items():
        if not _fits(found.get(name), value):
            raise UserError(
                f"content.weights={file} is no VGG19 in torchvision's names: {name} is missing, no tensor of "
                f"finite numbers, or not of the shape {list(value.shape)}."
            )
    net.load_state_dict({name.removeprefix("features."): found[name] for name in wanted})


def _fits(found: Any, wanted: Tensor) -> bool:
    """A pickle can also make sparse, nested and placeless tensors, or of numbers that none can compare."""
    if not isinstance(found, Tensor) or found.is_nested or found.device.type != "cpu":
        return False
    ordinary = found.layout == torch.strided and found.dtype in _NUMBERS
    return ordinary and found.shape == wanted.shape and bool(found.isfinite().all())
