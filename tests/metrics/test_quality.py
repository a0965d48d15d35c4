import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

import lic  # noqa: F401 - makes torchmetrics importable
from lic.metrics.quality import MS_SSIM_MIN_SIDE, ms_ssim, ms_ssim_db, psnr

SIZES = [(176, 176), (176, 208), (320, 192)]  # halve evenly: libraries pad odd scales in ways of their own


def noisy_pair(height: int, width: int, sigma: float, images: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(images, 3, height // 8 + 1, width // 8 + 1, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.randn(smooth.shape, generator=generator) * sigma
    return smooth.round().byte(), (smooth + noise).round().clamp(0, 255).byte()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 47), *SIZES])
@pytest.mark.parametrize("sigma", [1.0, 30.0])
def test_psnr_is_that_of_scikit_image(size: tuple[int, int], sigma: float) -> None:
    x, y = noisy_pair(*size, sigma)
    y[:, 0, 0, 0] = 255 - x[:, 0, 0, 0]  # the smallest ones differ, too
    reference = [peak_signal_noise_ratio(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y).tolist() == pytest.approx(reference, rel=1e-12)


def test_psnr_is_per_image_and_inf_for_equal_images() -> None:
    x = torch.zeros(3, 3, 4, 4, dtype=torch.uint8)
    y = x.clone()
    y[1] = 1
    y[2] = 255
    assert psnr(x, y).tolist() == pytest.approx([math.inf, 20 * math.log10(255), 0])


def ms_ssim_by_the_paper(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Equation 7 of Wang et al. (2003) for one channel, the Gaussian window inside the image only."""

    def blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mu_x, mu_y = blur(x), blur(y)
        variances = blur(x * x) - mu_x**2 + blur(y * y) - mu_y**2
        similarity = (2 * (blur(x * y) - mu_x * mu_y) + 7.65**2) / (variances + 7.65**2)
        if scale == 4:
            similarity *= (2 * mu_x * mu_y + 2.55**2) / (mu_x**2 + mu_y**2 + 2.55**2)
        product *= similarity.mean() ** weight
        x, y = (
            image.reshape(len(image) // 2, 2, -1, 2).mean((1, 3)) if scale < 4 else image for image in (x, y)
        )
    return product


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [2.0, 20.0])
def test_ms_ssim_is_that_of_the_paper(size: tuple[int, int], sigma: float) -> None:
    x, y = noisy_pair(*size, sigma)
    per_channel = [
        ms_ssim_by_the_paper(a, b)
        for a, b in zip(x.flatten(0, 1).double().numpy(), y.flatten(0, 1).double().numpy(), strict=True)
    ]
    reference = np.reshape(per_channel, (2, 3)).mean(1).tolist()
    assert ms_ssim(x, y).tolist() == pytest.approx(reference, abs=2e-5)


def test_ms_ssim_is_that_of_torchmetrics_up_to_its_borders() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    x, y = noisy_pair(176, 208, 20.0)
    reference = multiscale_structural_similarity_index_measure(
        x.double(), y.double(), data_range=255.0, reduction="none", normalize="relu"
    )
    assert ms_ssim(x, y).tolist() == pytest.approx(reference.tolist(), abs=2e-3)


def test_ms_ssim_ranks_resolves_and_knows_its_smallest_image() -> None:
    x, slightly = noisy_pair(170, 161, 0.3)
    _, badly = noisy_pair(170, 161, 25)
    assert torch.all(ms_ssim(x, badly) < ms_ssim(x, slightly))
    assert torch.all(ms_ssim_db(ms_ssim(x, slightly)).isfinite())
    assert ms_ssim(x, x).tolist() == pytest.approx([1, 1])
    small = x[..., : MS_SSIM_MIN_SIDE - 1]
    assert ms_ssim(small, small).isnan().tolist() == [True, True]


def test_ms_ssim_db() -> None:
    values = ms_ssim_db(torch.tensor([0.0, 0.9, 0.99, 1.0, math.nan], dtype=torch.float64))
    assert values[:4].tolist() == pytest.approx([0, 10, 20, math.inf])
    assert values[4].isnan()


def test_other_types_and_shapes_are_our_fault() -> None:
    x = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(AssertionError, match="8-bit"):
        psnr(x, x.float())
    with pytest.raises(AssertionError, match="shape"):
        ms_ssim(x, x[..., :4])
