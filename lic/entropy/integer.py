"""Side networks whose outputs are the same integers on every machine.

Encoder and decoder must derive the same probabilities from z, to the last bit. Floating-point convolutions
do not do that: the order of a sum, hence its last bits, changes with the instruction set, the number of
threads, the memory layout and the library, and one scale that falls into another table ruins the rest of
an image. Here weights and activations are integers, carried in float32, and no partial sum can reach 2**24,
so that every sum is exact in whatever order it is formed. What stands between two sums, a multiplication
by a float32 constant and a rounding, IEEE 754 defines to the last bit.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.entropy.models import UNIT, EntropyBottleneck
from lic.entropy.tables import Tabled, check_shape, in_fast_layout, register_tables
from lic.errors import UserError

_LIMIT = 2**24  # float32 holds every integer up to here
_LARGEST_WEIGHT = 2**15 - 1  # tables keep weights as int16
_MARGIN = 4.0  # of a channel's range; images exceed that of random latents up to threefold
_FLOOR = 0.02  # the least range of a channel, as a share of its layer's largest

_Convolution = nn.Conv2d | nn.ConvTranspose2d


class IntegerNetwork(Tabled, nn.Module):
    """A chain of convolutions and rectifiers after ``prior``, evaluated in exact integer arithmetic.

    Every layer takes the finest steps that the bound on its sums allows, see `_Steps`. The ranges of its
    inputs are those of random latents of ``prior`` itself: no images are needed, and what lies beyond is
    clamped. docs/streams.md has what it costs in rate.

    The layers stay where they are registered; their weights are read when tables are derived.
    """

    def __init__(self, prior: EntropyBottleneck, *layers: nn.Module):
        super().__init__()
        self._prior = (prior,)  # tuples register nothing
        self._layers = tuple(_with_slopes(layers))
        self._upsampling, self._reach = _geometry(self._layers)
        self.table_types = {}
        for i in range(len(self._layers)):
            self.table_types |= {f"{name}_{i}": torch.int32 for name in ("low", "high", "bias")}
            self.table_types |= {f"multiplier_{i}": torch.float32, f"weight_{i}": torch.int16}
        self.table_types["multiplier_out"] = torch.float32
        register_tables(self, self.table_types, torch.float32)

    @torch.inference_mode()
    def forward(self, z_hat: Tensor, rows: slice) -> Tensor:
        """[N, C, h, w] -> some rows of the last layer's outputs, multiples of `UNIT`.

        They are the same bits on every machine, and however the rows are cut.
        """
        first = max(rows.start // self._upsampling - self._reach, 0)
        last = -(-rows.stop // self._upsampling) + self._reach
        with torch.autocast(z_hat.device.type, enabled=False):
            x = z_hat[:, :, first:last].float()
            for i, (layer, slope) in enumerate(self._layers):
                x = x * self._each_channel(f"multiplier_{i}")
                x = x.round_().clamp_(self._each_channel(f"low_{i}"), self._each_channel(f"high_{i}"))
                x = _convolve(layer, x, self.get_buffer(f"weight_{i}"), self.get_buffer(f"bias_{i}"))
                x = F.leaky_relu_(x, slope)
            x = x[:, :, rows.start - first * self._upsampling : rows.stop - first * self._upsampling]
            return (x * self._each_channel("multiplier_out")).round_().mul_(UNIT)

    @torch.no_grad()
    def update_tables(self) -> None:
        """Choose the steps of every layer and round its weights; the prior's tables must be up to date."""
        inputs, slope = _samples(self._prior[0]), 1.0
        step = torch.ones(1, dtype=torch.float64)  # of the sums before the layer; z_hat itself has none
        for i, (layer, next_slope) in enumerate(self._layers):
            steps = _Steps.choose(layer, inputs, slope)
            self._set(f"multiplier_{i}", step / steps.inputs)
            self._set(f"low_{i}", steps.low)
            self._set(f"high_{i}", steps.high)
            self._set(f"weight_{i}", steps.weight)
            self._set(f"bias_{i}", steps.bias)
            inputs = [F.leaky_relu(_convolve(layer, x, layer.weight, layer.bias), next_slope) for x in inputs]
            step, slope = steps.outputs, next_slope
        self._set("multiplier_out", step / UNIT)

    def check_tables(self) -> None:
        """See `Tabled.check_tables`."""
        for i, (layer, _) in enumerate(self._layers):
            c_in, c_out = layer.in_channels, layer.out_channels
            shapes = {f"weight_{i}": tuple(layer.weight.shape), f"bias_{i}": (c_out,)}
            shapes |= {f"{name}_{i}": (c_in,) for name in ("multiplier", "low", "high")}
            for name, shape in ({"multiplier_out": (c_out,)} | shapes).items():
                if name != "multiplier_out" or i + 1 == len(self._layers):
                    check_shape(name, self.get_buffer(name), shape)

    def _each_channel(self, name: str) -> Tensor:
        return self.get_buffer(name).view(1, -1, 1, 1)

    def _set(self, name: str, value: Tensor) -> None:
        setattr(self, name, in_fast_layout(value.to(self.get_buffer(name))))


@dataclass(frozen=True)
class _Steps:
    """How one layer is put on integers: real input = inputs · integer, real sum = outputs · integer.

    All but ``weight`` are vectors over channels; ``low`` and ``high`` clamp the integers of the inputs.
    """

    inputs: Tensor
    outputs: Tensor
    low: Tensor
    high: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def choose(cls, layer: _Convolution, samples: Sequence[Tensor], slope: float) -> "_Steps":
        """The finest steps for which no sum over any part of a layer's inputs reaches 2**24.

        With the inputs' ranges given, |w|·range summed over the inputs of an output bounds its step s. The
        step d of an input then balances the error that rounding it causes, d²·Σ(w/s)², against the one that
        rounding its weights does, E[x²]·n/d².
        """
        x = torch.cat([part.double().transpose(0, 1).flatten(1) for part in samples], 1)
        high, low = (_MARGIN * x.amax(1)).clamp_min(0), (_MARGIN * x.amin(1)).clamp_max(0)
        least = _FLOOR * torch.maximum(high, -low).max().clamp_min(UNIT)
        high, low = high.clamp_min(least), low.clamp_max(-slope * least)  # rectified: > -slope·x
        energy = x.square().mean(1).clamp_min((0.1 * least) ** 2)

        weight = layer.weight.double()
        bias = torch.zeros(layer.out_channels).double() if layer.bias is None else layer.bias.double()
        largest = _largest_sum(layer, weight, low, high) + bias.abs()
        outputs = largest.clamp_min(UNIT) / (0.97 * _LIMIT)
        axis_in, axis_out = (0, 1) if isinstance(layer, nn.ConvTranspose2d) else (1, 0)
        along_in, along_out = [1, 1, 1, 1], [1, 1, 1, 1]
        along_in[axis_in] = along_out[axis_out] = -1
        others = [axis for axis in range(4) if axis != axis_in]
        weights_per_input = weight.numel() / layer.in_channels
        for _ in range(100):
            sensitivity = (weight / outputs.view(along_out)).square().sum(others)
            inputs = (weights_per_input * energy / sensitivity.clamp_min(1e-12)).pow(0.25)
            integers = (weight * inputs.view(along_in) / outputs.view(along_out)).round()
            lows, highs = (low / inputs).floor(), (high / inputs).ceil()
            biases = (bias / outputs).round()
            sums = _largest_sum(layer, integers, lows, highs) + biases.abs()
            too_large = integers.abs().amax([a for a in range(4) if a != axis_out]) > _LARGEST_WEIGHT
            refused = ~(sums < _LIMIT) | too_large
            if not refused.any():
                return cls(inputs, outputs, lows, highs, integers, biases)
            outputs = torch.where(refused, 1.05 * outputs, outputs)
        raise UserError("The hyper network's weights are not finite: its training diverged.")


def _with_slopes(layers: Sequence[nn.Module]) -> Iterator[tuple[_Convolution, float]]:
    """Each convolution with the negative slope of the rectifier that follows it; 1 where none does."""
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, _Convolution):
            slope = {nn.LeakyReLU: getattr(after, "negative_slope", 1.0), nn.ReLU: 0.0}.get(type(after), 1.0)
            yield layer, slope
        else:
            assert isinstance(layer, nn.LeakyReLU | nn.ReLU), f"no integer form of {layer}"


def _geometry(layers: Sequence[tuple[_Convolution, float]]) -> tuple[int, int]:
    """Outputs along the side of an input, and how many inputs beyond its own an output may see."""
    upsampling, reach = 1, 0.0
    for layer, _ in layers:
        upsampling *= layer.stride[0]  # first, so that reach counts outputs
        reach += (layer.kernel_size[0] // 2 + layer.stride[0] - 1) / upsampling
    return upsampling, math.ceil(reach)


def _convolve(layer: _Convolution, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What ``layer`` does, with other weights."""
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, layer.stride, layer.padding, layer.output_padding)  # type: ignore[arg-type]
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def _largest_sum(layer: _Convolution, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The largest absolute value, per output channel, of any partial sum over inputs in low…high.

    Each term adds at most ``up`` and takes at most ``down``; a constant picture larger than the kernel
    shows every way in which a stride lets the kernel meet the inputs.
    """
    size = 2 * layer.kernel_size[0] + 1
    highs = high.view(1, -1, 1, 1).expand(-1, -1, size, size)
    lows = low.view(1, -1, 1, 1).expand(-1, -1, size, size)
    positive, negative = weight.clamp_min(0), weight.clamp_max(0)
    up = _convolve(layer, highs, positive, None) + _convolve(layer, lows, negative, None)
    down = _convolve(layer, lows, positive, None) + _convolve(layer, highs, negative, None)
    return torch.maximum(up, -down).amax((0, 2, 3))


def _samples(prior: EntropyBottleneck) -> list[Tensor]:
    """Random z_hat of the prior: independent, in blocks, and constant over space, as smooth images are."""
    generator = torch.Generator().manual_seed(0)
    layouts = ((2, 8, 1), (8, 2, 2), (16, 1, 2))  # images, blocks along a side, latents along a block's
    return [
        prior.sample((count, side, side), generator).repeat_interleave(block, 2).repeat_interleave(block, 3)
        for count, side, block in layouts
    ]
