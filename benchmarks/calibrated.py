"""Networks whose weights are random and whose latents are as those of trained ones, to measure speed with.

What coding costs depends on how many symbols there are and how they spread, not on what they mean. With the
default weights nearly all symbols are zero.
"""

from collections.abc import Callable
from typing import Any

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch
from torch import Tensor, nn

from lic.data import BuiltinPhotos, to_batch, to_float
from lic.entropy import update_tables
from lic.models import build_model
from lic.models.autoregressive import JointAutoregressive
from lic.models.hyperprior import HyperpriorCodec

_Y, _Z = (0.0, 0.5), (0.0, 2.0)  # means and standard deviations of the latents
_MEANS, _SCALES = (0.0, 0.1), (0.42, 0.15)  # and of what predicts y


def calibrated(name: str, **options: Any) -> HyperpriorCodec:
    """A network in evaluation mode with its tables, the same in every process.

    On photos about a quarter of its y are not zero, and each takes about 1.4 bits: some 1 bpp where y has 192
    channels at 1/16 of the resolution.

    Args:
        name: of a model with a hyperprior, see `lic.models.build_model`; scale_hyperprior, fastdic, slowdic.
        options: as there.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        net = build_model(name, **options).eval()
        assert isinstance(net, HyperpriorCodec)
        x = to_float(to_batch(BuiltinPhotos("test")[0]))  # 512x512, a multiple of what every network needs
        _fit(net.g_a, lambda: net.g_a(x), [_Y])
        y = net.g_a(x)
        _fit(net.h_a, lambda: net.hyper_analysis(y), [_Z])
        if isinstance(net, JointAutoregressive):
            _fit(
                net.entropy_parameters,
                lambda: net.bottleneck(y),
                [_SCALES] * net.latent_channels + [_MEANS] * net.latent_channels,
            )
        else:
            _fit(net.h_s, lambda: net.bottleneck(y), [_SCALES])
    update_tables(net)
    return net


def _fit(part: nn.Module, run: Callable[[], object], wanted: list[tuple[float, float]]) -> None:
    """Give the last convolution of a part outputs of these means and deviations, per channel or for all."""
    last = [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)][-1]
    outputs: list[Tensor] = []
    hook = last.register_forward_hook(lambda layer, inputs, output: outputs.append(output))
    run()
    hook.remove()
    assert last.bias is not None
    mean, deviation = torch.tensor(wanted).T
    gain = deviation / outputs[0].std((0, 2, 3))
    last.bias.copy_((last.bias - outputs[0].mean((0, 2, 3))) * gain + mean)
    last.weight.mul_(gain.view(-1, 1, 1, 1))
