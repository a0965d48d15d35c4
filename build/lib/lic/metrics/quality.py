"""Image quality of 8-bit images, one value per image: PSNR and MS-SSIM.

Nothing here averages over images: a mean of per-image values is the evaluation's business, and pooling
the errors of several images before the logarithm would be another measure.
"""

import pytorch_msssim
import torch
from torch import Tensor

PEAK = 255
MS_SSIM_MIN_SIDE = 161
"""Four halvings must leave room for the window of 11 pixels: a side above (11 - 1) · 2⁴."""


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over the pixels and channels of each image, in dB.

    Args:
        x: uint8 ``[N, C, H, W]``.
        y: The same shape and type.

    Returns:
        float64 ``[N]``; inf where the two images are equal.
    """
    _check(x, y)
    mse = (x.double() - y.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(PEAK**2 / mse)


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity, five scales, the mean over channels (Wang et al., 2003).

    Computed in double precision: near 1, where ``ms_ssim_db`` looks, float32 cannot resolve a high-quality
    image any more.

    Args:
        x: uint8 ``[N, C, H, W]``.
        y: The same shape and type.

    Returns:
        float64 ``[N]`` within 0…1; NaN when a side is below ``MS_SSIM_MIN_SIDE``.
    """
    _check(x, y)
    if min(x.shape[-2:]) < MS_SSIM_MIN_SIDE:
        return torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
    value: Tensor = pytorch_msssim.ms_ssim(x.double(), y.double(), data_range=PEAK, size_average=False)
    return value


def ms_ssim_db(value: Tensor) -> Tensor:
    """MS-SSIM on the logarithmic scale of R-D plots, -10 log10(1 - value), in dB; inf at 1."""
    return -10 * torch.log10(1 - value)


def _check(x: Tensor, y: Tensor) -> None:
    assert x.shape == y.shape and x.ndim == 4, f"not two batches of one shape: {x.shape}, {y.shape}"
    assert x.dtype == y.dtype == torch.uint8, f"qualities compare 8-bit pixels, not {x.dtype} and {y.dtype}"
