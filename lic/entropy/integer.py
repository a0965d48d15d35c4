"""Side networks whose outputs are the same integers on every machine.

Encoder and decoder must derive the same probabilities from z, to the last bit. Floating-point convolutions
do not do that: the order of a sum, hence its last bits, changes with the instruction set, the number of
threads, the memory layout and the library, and one scale that falls into another table ruins the rest of
an image. Here weights and activations are integers, carried in float32, and no partial sum can reach 2**24,
so that every sum is exact in whatever order it is formed. What stands between two sums, multiplications by
float32 constants and a rounding, IEEE 754 defines to the last bit.

This needs convolutions that add products in full float32, which torch's are for one image on a CPU unless
somebody switches reduced precision on. That is checked once in each process.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.entropy.context import NEIGHBOURS, CausalConv
from lic.entropy.models import UNIT
from lic.entropy.tables import Tabled, TableError, check_shape, in_fast_layout, register_tables
from lic.errors import UserError

_LIMIT = 2**24  # float32 holds every integer up to here
_LARGEST_WEIGHT = 2**15 - 1  # tables keep weights as int16
_MARGIN = 4.0  # of a channel's range; images exceed that of random latents up to threefold
_FLOOR = 0.02  # the least range of a channel, as a share of its layer's largest
_TINY = 1e-4  # in place of the ranges and sums of a layer without any

_Convolution = nn.Conv2d | nn.ConvTranspose2d


class IntegerNetwork(Tabled, nn.Module):
    """A chain of convolutions and rectifiers, evaluated in exact integer arithmetic.

    Every layer takes the finest steps that the bound on its sums allows, see `_Steps`. The ranges of its
    inputs are those of ``samples()``, typical inputs that the model itself makes up: no images are needed,
    and what lies beyond is clamped. docs/streams.md has what it costs in rate.

    The layers stay where they are registered; their weights are read when tables are derived. A
    `CausalConv` takes the 12·C channels of a position's neighbours when it is evaluated, see `Scan`, and
    ordinary samples with C channels.
    """

    def __init__(self, samples: Callable[[], Sequence[Tensor]], *layers: nn.Module):
        super().__init__()
        self._samples = samples
        self._layers = tuple(_with_slopes(layers))
        self._upsampling, self._reach = _geometry(self._layers)
        self.table_types = {}
        for i in range(len(self._layers)):
            self.table_types |= {f"{name}_{i}": torch.int32 for name in ("low", "high", "bias")}
            self.table_types |= {f"multiplier_{i}": torch.float32, f"weight_{i}": torch.int16}
        self.table_types["multiplier_out"] = torch.float32
        register_tables(self, self.table_types, torch.float32)

    @torch.inference_mode()
    def forward(self, x: Tensor, rows: slice | None = None) -> Tensor:
        """[1, C, h, w] -> the last layer's outputs, or some rows of them, multiples of `UNIT`.

        They are the same bits on every machine, and however the rows are cut. One image at a time and on the
        CPU: for batches, and on GPUs, libraries may choose algorithms that do not just add products.

        Raises:
            UserError: this process computes in reduced precision.
        """
        assert x.shape[0] == 1 and x.device.type == "cpu"
        _check_arithmetic()
        if rows:
            first = max(rows.start // self._upsampling - self._reach, 0)
            last = -(-rows.stop // self._upsampling) + self._reach
            start = first * self._upsampling
            return self(x[:, :, first:last])[:, :, rows.start - start : rows.stop - start]
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            for i, (layer, slope) in enumerate(self._layers):
                x = x * self._each_channel(f"multiplier_{i}")
                x = x.round_().clamp_(self._each_channel(f"low_{i}"), self._each_channel(f"high_{i}"))
                x = _convolve(layer, x, getattr(self, f"weight_{i}"), getattr(self, f"bias_{i}"))
                x = F.leaky_relu_(x, slope)
            return x.mul_(self._each_channel("multiplier_out")).round_().mul_(UNIT)

    @torch.no_grad()
    def update_tables(self) -> None:
        """Choose the steps of every layer and round its weights; ``samples`` may need tables of others."""
        inputs, slope = self._samples(), 1.0
        step = torch.ones(1, dtype=torch.float64)  # of the sums before the layer; the input itself has none
        for i, (layer, next_slope) in enumerate(self._layers):
            steps = _Steps.choose(layer, inputs, slope)
            self._set(f"multiplier_{i}", step / steps.inputs)
            for name in ("low", "high", "weight", "bias"):
                self._set(f"{name}_{i}", getattr(steps, name))
            if i + 1 < len(self._layers):
                inputs = [F.leaky_relu(layer(x), next_slope) for x in inputs]
            step, slope = steps.outputs, next_slope
        self._set("multiplier_out", step / UNIT)

    def check_tables(self, tables: Mapping[str, Tensor]) -> None:
        """See `Tabled.check_tables`: shapes, and the bound on all sums."""
        for i, (layer, _) in enumerate(self._layers):
            weight, bias, low, high = (tables[f"{name}_{i}"] for name in ("weight", "bias", "low", "high"))
            shape = _weight(layer).shape
            check_shape(f"weight_{i}", weight, tuple(shape))
            check_shape(f"bias_{i}", bias, (layer.out_channels,))
            for name in ("low", "high", "multiplier"):
                check_shape(f"{name}_{i}", tables[f"{name}_{i}"], (shape[_input_axis(layer)],))
            sums = _largest_sum(layer, weight.double(), low.double(), high.double()) + bias.double().abs()
            multiplier = tables[f"multiplier_{i}"]
            if not (multiplier.isfinite() & (multiplier > 0)).all():
                raise TableError(f"The multipliers of layer {i} are not positive numbers.")
            if (low > 0).any() or (high < 0).any() or (sums >= _LIMIT).any():
                raise TableError(f"The integers of layer {i} do not keep its sums exact.")
        check_shape("multiplier_out", tables["multiplier_out"], (self._layers[-1][0].out_channels,))
        if not tables["multiplier_out"].isfinite().all():
            raise TableError("The multipliers of the outputs are not numbers.")

    def _each_channel(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name)).view(1, -1, 1, 1)

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
        least = _FLOOR * torch.maximum(high, -low).max().clamp_min(_TINY)
        high, low = high.clamp_min(least), low.clamp_max(-slope * least)  # rectified: > -slope·x
        energy = x.square().mean(1).clamp_min((0.1 * least) ** 2)
        if isinstance(layer, CausalConv):
            low, high, energy = (statistic.repeat(NEIGHBOURS) for statistic in (low, high, energy))

        weight = _weight(layer).double()
        bias = torch.zeros(layer.out_channels).double() if layer.bias is None else layer.bias.double()
        largest = _largest_sum(layer, weight, low, high) + bias.abs()
        outputs = largest.clamp_min(_TINY) / (0.97 * _LIMIT)
        axis_in = _input_axis(layer)
        axis_out = 1 - axis_in
        along_in, along_out = [1, 1, 1, 1], [1, 1, 1, 1]
        along_in[axis_in] = along_out[axis_out] = -1
        others = [axis for axis in range(4) if axis != axis_in]
        weights_per_input = weight.numel() / weight.shape[axis_in]
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
        raise UserError(
            "The hyper network has weights that are not finite, or beyond all bounds: its training diverged. "
            "Use an earlier checkpoint, or train again with a smaller optimizer.lr."
        )


def _with_slopes(layers: Sequence[nn.Module]) -> Iterator[tuple[_Convolution, float]]:
    """Each convolution with the negative slope of the rectifier that follows it; 1 where none does."""
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if type(layer) in (nn.Conv2d, nn.ConvTranspose2d, CausalConv):
            assert isinstance(layer, _Convolution) and layer.groups == 1 and layer.dilation == (1, 1)
            assert layer.padding_mode == "zeros"
            assert isinstance(layer, nn.ConvTranspose2d) or layer.stride == (1, 1), "it enlarges or keeps"
            slope = {nn.LeakyReLU: getattr(after, "negative_slope", 1.0), nn.ReLU: 0.0}.get(type(after), 1.0)
            yield layer, slope
        else:
            assert isinstance(layer, nn.LeakyReLU | nn.ReLU), f"no integer form of {layer}"


def _geometry(layers: Sequence[tuple[_Convolution, float]]) -> tuple[int, int]:
    """Outputs along the side of an input, and how many inputs beyond its own an output may see."""
    upsampling, reach = 1, 0.0
    for layer, _ in layers:
        upsampling *= layer.stride[0]  # first, so that reach counts outputs
        if not isinstance(layer, CausalConv):
            reach += (layer.kernel_size[0] // 2 + layer.stride[0] - 1) / upsampling
    return upsampling, math.ceil(reach)


def _weight(layer: _Convolution) -> Tensor:
    """The weights that take part, as a convolution of what `IntegerNetwork` takes."""
    return layer.pointwise_weight() if isinstance(layer, CausalConv) else layer.weight


def _input_axis(layer: _Convolution) -> int:
    return 0 if isinstance(layer, nn.ConvTranspose2d) else 1


def _convolve(layer: _Convolution, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply ``layer`` with other weights."""
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, layer.stride, layer.padding, layer.output_padding)  # type: ignore[arg-type]
    if isinstance(layer, CausalConv):
        return F.conv2d(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def _largest_sum(layer: _Convolution, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The largest absolute value, per output channel, of any partial sum over inputs in low…high.

    Each term adds at most ``up`` and takes at most ``down``. A transposed convolution of stride s lets an
    output meet every s-th tap only.
    """
    if isinstance(layer, nn.ConvTranspose2d):
        weight, step = weight.transpose(0, 1), layer.stride[0]
    else:
        step = 1
    ranges = torch.stack([low, high])[:, None, :, None, None] * weight  # [2, out, in, k, k]
    up, down = ranges.amax(0).clamp_min(0), ranges.amin(0).clamp_max(0)
    phases = [(slice(None), slice(None), slice(a, None, step), slice(b, None, step))
              for a in range(step) for b in range(step)]  # fmt: skip
    sums = [torch.maximum(up[p].sum((1, 2, 3)), -down[p].sum((1, 2, 3))) for p in phases]
    return torch.stack(sums).amax(0)


@cache
def _check_arithmetic() -> None:
    """Refuse a process whose convolutions do not add float32 integers exactly.

    Raises:
        UserError: reduced precision is switched on, or a library computes sums in a roundabout way.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-4095, 4096, (1, 64, 8, 8), generator=generator).float()  # more bits than TF32 has
    with torch.autocast("cpu", enabled=False):
        for kernel_size in (1, 3, 5):
            weight = torch.randint(-2, 3, (64, 64, kernel_size, kernel_size), generator=generator).float()
            for convolve in (F.conv2d, F.conv_transpose2d):
                if not torch.equal(convolve(x, weight), convolve(x.double(), weight.double()).float()):
                    raise UserError(
                        "This process computes convolutions in reduced precision: streams would not decode "
                        "elsewhere; unset ONEDNN_DEFAULT_FPMATH_MODE, leave torch's fp32_precision as it is."
                    )
