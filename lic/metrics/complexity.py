"""Parameters, FLOPs by the rule of Cheng et al. 2019, and real multiply-accumulates of a live network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from compressai.layers import MaskedConv2d
from torch import Tensor, nn

from lic.entropy import EntropyBottleneck
from lic.layers import GDN, SubPixelConv

_Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class LayerCost:
    """One row of the paper's Table 8.

    ``output`` is (height, width) of the layer's own output. ``flops`` follows the paper's equation 3,
    parameters x output pixels, GDN and priors not counted. ``macs`` are the multiply-accumulates that the
    weights really take: a transposed convolution of stride 2 multiplies per *input* pixel, which equation 3
    over-counts fourfold.
    """

    name: str
    kind: str
    kernel_size: int
    c_in: int
    c_out: int
    output: tuple[int, int]
    parameters: int
    flops: int
    macs: int

    @property
    def consistent_flops(self) -> int:
        """Equation 3 at the resolution where the layer runs, also for the last sub-pixel convolution."""
        return self.parameters * self.output[0] * self.output[1]


@dataclass(frozen=True)
class Totals:
    """Of all layers."""

    parameters: int
    flops: int
    consistent_flops: int
    macs: int

    @classmethod
    def of(cls, costs: Sequence[LayerCost]) -> "Totals":
        """The sums of costs."""
        return cls(
            parameters=sum(c.parameters for c in costs),
            flops=sum(c.flops for c in costs),
            consistent_flops=sum(c.consistent_flops for c in costs),
            macs=sum(c.macs for c in costs),
        )


def layer_costs(net: nn.Module, side: int = 256, channels: int = 3) -> list[LayerCost]:
    """The cost of every layer with parameters, in the order of the signal, for a square image.

    A sub-pixel convolution is counted at the resolution where it runs, except one that yields the image
    itself: the paper's SubPixel totals come out only if that last one is counted after depth-to-space.

    Args:
        net: a network that takes [1, channels, side, side].
        side: the image's side in pixels; the paper's tables are for 256.
        channels: of the image.
    """
    shuffled = {m[0] for m in net.modules() if isinstance(m, SubPixelConv)}
    costs: list[LayerCost] = []

    def record(name: str, layer: _Convolution, x: Tensor, y: Tensor) -> None:
        height, width = y.shape[-2:]
        counted = 4 if layer in shuffled and 2 * height == side else 1
        parameters = _parameters(layer)
        costs.append(
            LayerCost(
                name=name,
                kind="tconv" if isinstance(layer, nn.ConvTranspose2d) else "conv",
                kernel_size=layer.kernel_size[0],
                c_in=layer.in_channels,
                c_out=layer.out_channels,
                output=(height, width),
                parameters=parameters,
                flops=parameters * height * width * counted,
                macs=_macs(layer, x, y),
            )
        )

    _observe(net, torch.zeros(1, channels, side, side), _Convolution, record)
    return [*costs, *_uncounted(net)]


def macs_per_pixel(net: nn.Module, side: int = 256, channels: int = 3) -> int:
    """The multiply-accumulates of encoding and decoding together per pixel of the image.

    Those of `LayerCost` and, unlike there, of GDN, which is a 1x1 convolution. What a causal mask hides is
    not counted. Priors, biases and activations are not.

    Args:
        net: a network that takes [1, channels, side, side].
        side: of the square image in pixels; any multiple of the network's downsampling gives the same.
        channels: of the image.
    """
    macs = 0

    def record(_: str, layer: _Convolution | GDN, x: Tensor, y: Tensor) -> None:
        nonlocal macs
        macs += _macs(layer, x, y)

    _observe(net, torch.zeros(1, channels, side, side), _Convolution | GDN, record)
    return round(macs / side**2)


def _observe(
    net: nn.Module, image: Tensor, kind: Any, record: Callable[[str, Any, Tensor, Tensor], None]
) -> None:
    """Pass an image through the network: each layer of a kind records (name, layer, input, output)."""
    hooks = [
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: record(name, layer, inputs[0], output)
        )
        for name, layer in net.named_modules()
        if isinstance(layer, kind)
    ]
    place = next(net.parameters(), image).device
    was_training = net.training
    try:
        with torch.inference_mode():
            net.eval()(image.to(place))
    finally:
        net.train(was_training)
        for hook in hooks:
            hook.remove()


def _macs(layer: _Convolution | GDN, x: Tensor, y: Tensor) -> int:
    """Of one image: each weight once per place, which is of the input where a convolution is transposed."""
    if isinstance(layer, GDN):
        return layer.gamma.numel() * x.shape[-2:].numel()
    weights = layer.mask.count_nonzero().item() if isinstance(layer, MaskedConv2d) else layer.weight.numel()
    places = x if isinstance(layer, nn.ConvTranspose2d) else y
    return int(weights) * places.shape[-2:].numel()


def _uncounted(net: nn.Module) -> list[LayerCost]:
    """The rows that have parameters but no FLOPs; the first and the third are Table 8's."""
    kinds: dict[str, Any] = {
        "GDN/IGDN": GDN,
        "normalization": nn.GroupNorm | nn.BatchNorm2d,
        "factorized prior": EntropyBottleneck,
    }
    counts = {
        name: sum(_parameters(m) for m in net.modules() if isinstance(m, kind))
        for name, kind in kinds.items()
    }
    layers = sum(_parameters(m) for m in net.modules() if isinstance(m, _Convolution))
    counts["others"] = _parameters(net) - layers - sum(counts.values())
    return [LayerCost(name, "", 0, 0, 0, (0, 0), count, 0, 0) for name, count in counts.items() if count]


def _parameters(module: nn.Module) -> int:
    return sum(cast(Tensor, p).numel() for p in module.parameters())
