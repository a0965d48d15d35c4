"""An image of 8 bits within a network, with a gradient that training can use."""

from typing import Any

import torch
from torch import Tensor


def eight_bits(v: Tensor) -> Tensor:
    """The nearest of the 256 levels 0, 1/255, … 1 to each value of any shape.

    The gradient passes as if nothing had been rounded. Outside of 0…1 it passes where a step against it leads
    back; a plain clamp would leave a value that has once left where it is.
    """
    return _EightBits.apply(v)


class _EightBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (255 * v.clamp(0, 1)).round() / 255

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        leads_away = ((v < 0) & (gradient > 0)) | ((v > 1) & (gradient < 0))
        return gradient.masked_fill(leads_away, 0)
