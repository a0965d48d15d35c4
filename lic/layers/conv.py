"""Convolutions as the papers write them: `k`×`k`, padding k//2, strides that halve or double a side."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv(c_in: int, c_out: int, kernel_size: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """`conv k s`: [N, c_in, H, W] -> [N, c_out, H/stride, W/stride]."""
    return nn.Conv2d(c_in, c_out, kernel_size, stride, padding=kernel_size // 2, bias=bias)


def tconv(c_in: int, c_out: int, kernel_size: int) -> nn.ConvTranspose2d:
    """`tconv k s2`, the upsampler ``tconv``: [N, c_in, H, W] -> [N, c_out, 2H, 2W]."""
    if kernel_size == 1:
        return TransposedPointwise(c_in, c_out)
    return nn.ConvTranspose2d(c_in, c_out, kernel_size, stride=2, padding=kernel_size // 2, output_padding=1)


class SubPixelConv(nn.Sequential):
    """`subpel k`, the upsampler ``subpixel``: [N, c_in, H, W] -> [N, c_out, 2H, 2W].

    A convolution to 4·c_out channels, then depth-to-space (Shi et al. 2016).
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int):
        super().__init__(conv(c_in, 4 * c_out, kernel_size), nn.PixelShuffle(2))


class StridedPointwise(nn.Conv2d):
    """`conv 1x1 s2`, computed as a 1x1 convolution of every second pixel.

    The same values as the strided convolution. torch 2.13 corrupts the heap in the backward pass of a
    strided 1x1 convolution, plain or transposed, over channels-last tensors on the CPU; this form and
    `TransposedPointwise` never call it.
    """

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out, kernel_size=1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H/2, W/2]."""
        return F.conv2d(x[:, :, ::2, ::2], self.weight, self.bias)


class TransposedPointwise(nn.ConvTranspose2d):
    """`tconv 1x1 s2`, computed as a 1x1 convolution whose output is every second pixel.

    The same values as the transposed convolution: three of four pixels are the bias alone.
    """

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out, kernel_size=1, stride=2, output_padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, 2H, 2W]."""
        y = F.conv2d(x, self.weight.transpose(0, 1))
        count, channels, height, width = y.shape
        spread = y.new_zeros(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)  # channels-last
        spread[:, :, ::2, ::2] = y
        assert self.bias is not None
        return spread + self.bias.to(y.dtype).view(1, -1, 1, 1)
