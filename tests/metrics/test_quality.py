import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

import lic  # noqa: F401 - makes torchmetrics importable
from lic.metrics.quality import MS_SSIM_MIN_SIDE, ms_ssim, ms_ssim_db, psnr

SIZES = [(161, 200), (177, 163), (181, 320)]


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [2.0, 20.0])
def test_ms_ssim_is_that_of_torchmetrics(size: tuple[int, int], sigma: float) -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure  # noqa: PLC0415

    height, width = (side // 16 * 16 + 16 for side in size)  # torchmetrics pads odd scales another way
    x, y = noisy_pair(height, width, sigma)
    # torchmetrics would average each scale over the channels before it multiplies the scales
    reference = [
        multiscale_structural_similarity_index_measure(
            x[:, [c]].double(), y[:, [c]].double(), data_range=255.0, reduction="none", normalize="relu"
        )
        for c in range(3)
    ]
    assert ms_ssim(x, y).tolist() == pytest.approx(torch.stack(reference).mean(0).tolist(), abs=1e-5)


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
