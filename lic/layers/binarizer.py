"""Binary codes: binarisation, and delta modulation along the channels (Appl. Sci. 2020, 10, 4023).

The paper's Algorithm 1 is prose: "r is the difference between current channel and previous quantised channel;
the reconstruction z is accumulated by residual r". Its readings here are the choices of `QUANTIZERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lic.entropy.noise import uniform_like

Noise = Sequence[Tensor | None]
"""What `binarize` takes for each channel."""


def binarize(v: Tensor, uniform: Tensor | None = None) -> Tensor:
    """-1 or 1 for each value, which is clipped to ±1; the gradient is 1 within and 0 outside.

    Args:
        v: any shape.
        uniform: uniform in 0…1, of the same shape: the result is 1 with probability (1 + v) / 2 and so v on
            average (Raiko et al. 2014, Toderici et al. 2015). Without it, it is the sign, and 1 for 0.
    """
    clipped = v.clamp(-1, 1)
    positive = clipped >= 0 if uniform is None else uniform < (1 + clipped) / 2
    hard = torch.where(positive, 1.0, -1.0).to(v.dtype)
    return clipped + (hard - clipped).detach()


class Quantizer(nn.Module, ABC):
    """From channels u in (-1, 1) to bits q, -1 or 1, and from the bits that were kept to what is decoded."""

    def forward(self, u: Tensor, kept: Tensor) -> Tensor:
        """The bits, stochastic in training, and 0 where none is kept.

        Args:
            u: [N, n, h, w].
            kept: 1 where a bit is coded and 0 where not, [N, n, h, w].
        """
        uniform = uniform_like(u).unbind(1) if self.training else [None] * u.shape[1]
        return self.quantize(u, kept, uniform) * kept

    @abstractmethod
    def quantize(self, u: Tensor, kept: Tensor, noise: Noise) -> Tensor:
        """The bits, also those that are not kept."""

    @abstractmethod
    def dequantize(self, q: Tensor) -> Tensor:
        """What the decoder makes of bits [N, n, h, w], 0 where none was kept; the same shape."""

    def start(self, decoder: nn.Conv2d) -> None:
        """Change the initial values of the layer that reads `dequantize`, if that helps."""


class Accumulated(Quantizer):
    """r_i = u_i − z_{i−1}, q_i = B(r_i), z_i = z_{i−1} + d_i·q_i: delta modulation, with learned steps d.

    The default reading. z is a cumulative sum of what was received; only the encoder goes channel by channel.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.step = nn.Parameter(torch.full((channels,), 0.1))

    def quantize(self, u: Tensor, kept: Tensor, noise: Noise) -> Tensor:
        """See `Quantizer.quantize`."""
        bits: list[Tensor] = []
        z = torch.zeros_like(u[:, 0])
        for channel, mask, step, uniform in zip(u.unbind(1), kept.unbind(1), self.step, noise, strict=True):
            bits.append(binarize(channel - z, uniform))
            z = z + step * bits[-1] * mask
        return torch.stack(bits, 1)

    def dequantize(self, q: Tensor) -> Tensor:
        """See `Quantizer.dequantize`."""
        return (self.step.view(-1, 1, 1) * q).cumsum(1)

    @torch.no_grad()
    def start(self, decoder: nn.Conv2d) -> None:
        """Let it begin with the differences of z, the bits: a sum has the noise of all bits before."""
        following = nn.functional.pad(decoder.weight[:, 1:], (0, 0, 0, 0, 0, 1))
        decoder.weight.sub_(following).div_(self.step.view(-1, 1, 1))


class Previous(Quantizer):
    """r_i = u_i − q_{i−1}, q_i = B(r_i), z_i = q_i + q_{i−1}: "previous quantised channel", word for word."""

    def __init__(self, channels: int):
        super().__init__()

    def quantize(self, u: Tensor, kept: Tensor, noise: Noise) -> Tensor:
        """See `Quantizer.quantize`."""
        bits: list[Tensor] = []
        previous = torch.zeros_like(u[:, 0])
        for channel, mask, uniform in zip(u.unbind(1), kept.unbind(1), noise, strict=True):
            bits.append(binarize(channel - previous, uniform))
            previous = bits[-1] * mask
        return torch.stack(bits, 1)

    def dequantize(self, q: Tensor) -> Tensor:
        """See `Quantizer.dequantize`."""
        return q + nn.functional.pad(q, (0, 0, 0, 0, 1, 0))[:, :-1]


class Independent(Quantizer):
    """q_i = B(u_i), z = q: the ablation without residuals along the channels (the paper's Figure 10)."""

    def __init__(self, channels: int):
        super().__init__()

    def quantize(self, u: Tensor, kept: Tensor, noise: Noise) -> Tensor:
        """See `Quantizer.quantize`."""
        return torch.stack([binarize(*pair) for pair in zip(u.unbind(1), noise, strict=True)], 1)

    def dequantize(self, q: Tensor) -> Tensor:
        """See `Quantizer.dequantize`."""
        return q


QUANTIZERS: dict[str, Callable[[int], Quantizer]] = {
    "accumulated": Accumulated,
    "previous": Previous,
    "independent": Independent,
}
