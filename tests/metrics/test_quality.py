import io
import math
from typing import Any

import numpy as np
import pytest
import pytorch_msssim
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_msssim.ssim import _ssim
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

import lic  # noqa: F401 - makes torchmetrics importable
from lic.data.images import to_batch
from lic.metrics.quality import (
    MS_SSIM_MIN_SIDE,
    SSIM_MIN_SIDE,
    ms_ssim,
    ms_ssim_db,
    multiscale_ssim,
    psnr,
    ssim,
)

EVEN = [(176, 176), (176, 208), (320, 192)]  # at every scale
ODD = [(161, 161), (161, 176), (162, 175), (184, 169), (191, 223)]  # 184 is odd at the fourth scale alone
SIZES = EVEN + ODD


def noisy_pair(
    height: int, width: int, sigma: float, images: int = 2, channels: int = 3
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(images, channels, height // 8 + 1, width // 8 + 1, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.randn(smooth.shape, generator=generator) * sigma
    return smooth.round().byte(), (smooth + noise).round().clamp(0, 255).byte()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 47), *SIZES])
@pytest.mark.parametrize(("sigma", "channels"), [(1.0, 3), (30.0, 3), (30.0, 1)])
def test_psnr_is_that_of_scikit_image(size: tuple[int, int], sigma: float, channels: int) -> None:
    x, y = noisy_pair(*size, sigma, channels=channels)
    y[:, 0, 0, 0] = 255 - x[:, 0, 0, 0]  # the smallest ones differ, too
    reference = [peak_signal_noise_ratio(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y).tolist() == pytest.approx(reference, rel=1e-12)


def test_psnr_is_per_image_and_inf_for_equal_images() -> None:
    x = torch.zeros(3, 3, 4, 4, dtype=torch.uint8)
    y = x.clone()
    y[1] = 1
    y[2] = 255
    assert psnr(x, y).tolist() == pytest.approx([math.inf, 20 * math.log10(255), 0])


def ssim_by_scikit_image(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> float:
    """Of two images [H, W] or [H, W, C], in double precision."""
    value = structural_similarity(
        x.astype(float), y.astype(float), data_range=255, channel_axis=2 if x.ndim == 3 else None,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return float(value)


def as_jpeg(photo: NDArray[np.uint8], grade: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=grade)
    return np.array(Image.open(file))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("grade", [3, 40, 95])
def test_ssim_is_that_of_scikit_image_on_photos(name: str, grade: int) -> None:
    photo = getattr(skimage.data, name)()[:233, :311]
    back = as_jpeg(photo, grade)
    value = ssim(to_batch(photo), to_batch(back)).item()
    assert value == pytest.approx(ssim_by_scikit_image(photo, back), abs=1e-12) and 0.1 < value < 0.999


@pytest.mark.parametrize("name", ["camera", "coins", "moon"])
def test_ssim_of_gray_photos(name: str) -> None:
    photo = getattr(skimage.data, name)()[:200, :150]
    back = as_jpeg(photo, 10)
    x, y = (torch.from_numpy(image)[None, None] for image in (photo, back))
    assert ssim(x, y).item() == pytest.approx(ssim_by_scikit_image(photo, back), abs=1e-12)


@pytest.mark.parametrize("size", [(11, 11), (11, 64), (12, 17), (64, 47), (161, 163)])
@pytest.mark.parametrize("sigma", [1.0, 30.0])
def test_ssim_is_that_of_scikit_image_at_every_size(size: tuple[int, int], sigma: float) -> None:
    x, y = noisy_pair(*size, sigma)
    pairs = zip(x.permute(0, 2, 3, 1).numpy(), y.permute(0, 2, 3, 1).numpy(), strict=True)
    assert ssim(x, y).tolist() == pytest.approx([ssim_by_scikit_image(a, b) for a, b in pairs], abs=1e-12)


def test_ssim_needs_room_for_its_window() -> None:
    x, y = noisy_pair(SSIM_MIN_SIDE, 40, 3.0)
    assert ssim(x, y).isfinite().all() and ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-15)
    assert ssim(x[..., 1:, :], y[..., 1:, :]).isnan().tolist() == [True, True]


def test_ms_ssim_does_no_work_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four halvings of both images lead to five scales; the window is not made anew; its bits are the old."""
    x, y = (image.float() / 255 for image in noisy_pair(184, 169, 20.0))
    window, factors, (a, b) = pytorch_msssim.SSIM(channel=3).win, [], (x, y)
    for _ in range(5):
        value, contrast = _ssim(a, b, 1.0, window)
        factors.append(contrast)
        a, b = (torch.nn.functional.avg_pool2d(image, 2, ceil_mode=True) for image in (a, b))
    factors[-1] = value
    weights = x.new_tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]).view(-1, 1, 1)
    expected = (torch.stack(factors).relu() ** weights).prod(0).mean(1)

    pools: list[torch.Size] = []
    pool = torch.nn.functional.avg_pool2d

    def counted(image: Tensor, *args: Any, **options: Any) -> Tensor:
        pools.append(image.shape)
        return pool(image, *args, **options)

    def refused(*args: object, **options: object) -> None:
        raise AssertionError("a module is made for every call")

    monkeypatch.setattr(torch.nn.functional, "avg_pool2d", counted)
    monkeypatch.setattr(torch.nn.Module, "__init__", refused)
    assert torch.equal(multiscale_ssim(x, y, 1.0), expected)
    assert len(pools) == 2 * 4


def ms_ssim_by_the_paper(x: NDArray[np.float64], y: NDArray[np.float64], peak: float = 255) -> float:
    """Equation 7 of Wang et al. (2003) for one channel, the Gaussian window inside the image only.

    Scales are made as by the authors' msssim.m: a 2x2 mean with replicated borders, of which every other
    value is taken.
    """

    def blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    c_1, c_2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mu_x, mu_y = blur(x), blur(y)
        variances = blur(x * x) - mu_x**2 + blur(y * y) - mu_y**2
        similarity = (2 * (blur(x * y) - mu_x * mu_y) + c_2) / (variances + c_2)
        if scale == 4:
            similarity *= (2 * mu_x * mu_y + c_1) / (mu_x**2 + mu_y**2 + c_1)
        product *= similarity.mean() ** weight
        x, y = (uniform_filter(image, 2, mode="nearest", origin=-1)[::2, ::2] for image in (x, y))
    return product


def mean_over_channels(x: Tensor, y: Tensor, peak: float = 255) -> list[float]:
    channels = zip(x.double().flatten(0, 1).numpy(), y.double().flatten(0, 1).numpy(), strict=True)
    per_channel = [ms_ssim_by_the_paper(a, b, peak) for a, b in channels]
    return np.reshape(per_channel, x.shape[:2]).mean(1).tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("sigma", "channels"), [(2.0, 3), (20.0, 3), (20.0, 1)])
def test_ms_ssim_is_that_of_the_paper(size: tuple[int, int], sigma: float, channels: int) -> None:
    x, y = noisy_pair(*size, sigma, channels=channels)
    assert ms_ssim(x, y).tolist() == pytest.approx(mean_over_channels(x, y), abs=2e-5)


@pytest.mark.parametrize("size", EVEN)
def test_ms_ssim_is_that_of_pytorch_msssim_where_all_sides_are_even(size: tuple[int, int]) -> None:
    x, y = noisy_pair(*size, 20.0)
    reference = pytorch_msssim.ms_ssim(x.double(), y.double(), data_range=255, size_average=False)
    assert ms_ssim(x, y).tolist() == pytest.approx(reference.tolist(), abs=1e-12)


def test_ms_ssim_of_a_photo_with_odd_sides() -> None:
    """pytorch_msssim.ms_ssim, with zeros around the scales, says 0.9329."""
    photo = skimage.data.astronaut()[:511, :475]
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=8)
    x, y = to_batch(photo), to_batch(np.array(Image.open(file)))
    assert ms_ssim(x, y).item() == pytest.approx(0.9237, abs=5e-5)
    assert ms_ssim(x, y).tolist() == pytest.approx(mean_over_channels(x, y), abs=2e-5)


@pytest.mark.parametrize("size", [(176, 176), (169, 163)])
def test_ms_ssim_has_the_papers_gradient(size: tuple[int, int]) -> None:
    """The slope along a random direction, against a difference quotient of the reference."""
    x, y = (image.double() / 255 for image in noisy_pair(*size, 20.0, images=1))
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    direction[..., -1, :] *= 30  # the last row and column above all, which are repeated
    direction[..., -1] *= 30
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(multiscale_ssim(x, y, 1.0).sum(), y)
    step = 1e-5 * direction
    (above,), (below,) = (mean_over_channels(x, y.detach() + h, 1.0) for h in (step, -step))
    assert (gradient * direction).sum().item() == pytest.approx((above - below) / 2e-5, rel=1e-3)


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
