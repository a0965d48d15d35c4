"""Image quality of 8-bit images, one value per image: PSNR, SSIM and MS-SSIM.

Nothing here averages over images: a mean of per-image values is the evaluation's business, and pooling
the errors of several images before the logarithm would be another measure. `lic.metrics.measures` says which
of these are measured and shown.
"""

import math

import torch
import torch.nn.functional as F
from pytorch_msssim import SSIM

# One scale's SSIM and contrast per channel; no public function gives them. pyproject.toml bounds the version.
from pytorch_msssim.ssim import _ssim
from torch import Tensor

PEAK = 255
SSIM_MIN_SIDE = 11
"""The window lies inside the image."""
MS_SSIM_MIN_SIDE = 161
"""Four halvings, rounded up, must leave the window's 11 pixels: a side above (11 - 1) · 2⁴."""
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
_GAUSSIAN = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(SSIM_MIN_SIDE)]
_WINDOW = [weight / math.fsum(_GAUSSIAN) for weight in _GAUSSIAN]
# The library's, of the same Gaussian, is rounded to float32. The losses of trainings rest on these bits.
_MS_SSIM_WINDOW = SSIM(channel=1).win.flatten().tolist()


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


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity, the mean over channels (Wang et al., 2004).

    A Gaussian window of 11x11 pixels, σ = 1.5, inside the image, K = 0.01 and 0.03, no correction for small
    samples: the value of scikit-image's ``structural_similarity`` with ``gaussian_weights=True`` and
    ``use_sample_covariance=False``. In double precision.

    Args:
        x: uint8 ``[N, C, H, W]``.
        y: The same shape and type.

    Returns:
        float64 ``[N]`` within -1…1; NaN when a side is below ``SSIM_MIN_SIDE``.
    """
    _check(x, y)
    if min(x.shape[-2:]) < SSIM_MIN_SIDE:
        return _undefined(x)
    return _ssim(x.double(), y.double(), PEAK, _per_channel(_WINDOW, x.double()))[0].mean(1)


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
        return _undefined(x)
    return multiscale_ssim(x.double(), y.double(), PEAK)


def multiscale_ssim(x: Tensor, y: Tensor, peak: float) -> Tensor:
    """MS-SSIM in floating point, with a gradient: the one definition, of the metric and of the loss.

    Between two scales, 2x2 pixels are averaged. Of an odd side the last row or column is repeated, as in the
    authors' MATLAB code; ``pytorch_msssim.ms_ssim`` puts zeros around the image instead.

    Args:
        x: ``[N, C, H, W]`` within 0…``peak``, no side below ``MS_SSIM_MIN_SIDE``.
        y: The same shape and type.
        peak: The largest value of a pixel.

    Returns:
        ``[N]`` within 0…1, of the type of ``x``.
    """
    window = _per_channel(_MS_SSIM_WINDOW, x)
    factors = []
    for scale in range(len(_MS_SSIM_WEIGHTS)):
        if scale:  # at the border ceil_mode averages what there is: the same as repeating it
            x, y = (F.avg_pool2d(image, 2, ceil_mode=True) for image in (x, y))
        similarity, contrast = _ssim(x, y, peak, window)
        factors.append(contrast)
    factors[-1] = similarity  # luminance counts at the coarsest scale alone
    weights = x.new_tensor(_MS_SSIM_WEIGHTS).view(-1, 1, 1)
    return (torch.stack(factors).relu() ** weights).prod(0).mean(1)


def ms_ssim_db(value: Tensor) -> Tensor:
    """MS-SSIM on the logarithmic scale of R-D plots, -10 log10(1 - value), in dB; inf at 1."""
    return -10 * torch.log10(1 - value)


def _per_channel(window: list[float], x: Tensor) -> Tensor:
    """A window for each channel of ``x``: ``[C, 1, 1, 11]`` of its type, on its device."""
    return x.new_tensor(window).repeat(x.shape[1], 1, 1, 1)


def _undefined(x: Tensor) -> Tensor:
    return torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)


def _check(x: Tensor, y: Tensor) -> None:
    assert x.shape == y.shape and x.ndim == 4, f"not two batches of one shape: {x.shape}, {y.shape}"
    assert x.dtype == y.dtype == torch.uint8, f"qualities compare 8-bit pixels, not {x.dtype} and {y.dtype}"
