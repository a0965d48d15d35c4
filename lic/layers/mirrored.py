"""Initial values with which leaky rectifiers cancel out.

Channels begin as pairs v, −v, of which lrelu(v) − lrelu(−v) = (1 + slope)·v is linear: nothing of the input
is lost on the way through a deep network, and the first steps need not find it again (Balduzzi et al. 2017,
"The Shattered Gradients Problem").
"""

import torch
from torch import Tensor, nn

_BOTH_SLOPES = 1 + nn.LeakyReLU().negative_slope


@torch.no_grad()
def start_mirrored(
    layer: nn.Conv2d, *, from_pairs: bool = True, to_pairs: bool = True, copies: int = 1, gain: float = 1.0
) -> None:
    """Give a convolution an orthogonal map of pairs to pairs at its center, and no bias.

    What is around the center keeps a tenth of its random values.

    Args:
        layer: its inputs and outputs are even in number where they are pairs.
        from_pairs: whether the inputs are pairs: the first half of them, and their negatives.
        to_pairs: whether the outputs are to be such.
        copies: each output so many times, as depth-to-space wants them to begin with equal pixels (Aitken et
            al. 2017, "Checkerboard artifact free sub-pixel convolution").
        gain: of the deviation of the outputs over that of the inputs.
    """
    outputs, inputs = layer.out_channels // copies // (1 + to_pairs), layer.in_channels // (1 + from_pairs)
    values = nn.init.orthogonal_(torch.empty(outputs, inputs)) * gain * max(1.0, outputs / inputs) ** 0.5
    if from_pairs:
        values = torch.cat([values, -values], 1) / _BOTH_SLOPES
    if to_pairs:
        values = torch.cat([values, -values], 0)
    layer.weight.mul_(0.1)
    center(layer).copy_(values.repeat_interleave(copies, 0))
    if layer.bias is not None:
        layer.bias.zero_()


def center(layer: nn.Conv2d) -> Tensor:
    """The weights of a convolution's middle, [outputs, inputs]."""
    return layer.weight[:, :, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2]
