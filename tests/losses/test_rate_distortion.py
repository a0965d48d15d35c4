import io
import math

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from lic.data.images import to_batch, to_float
from lic.errors import UserError
from lic.losses import DISTORTIONS, check_distortion, check_lambda, lambda_warning, rd_cost


def _images(side: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two smooth pictures and noisy versions of them, the second twice as noisy as the first."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    x = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    amount = noise * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    return x + amount * torch.randn(x.shape, generator=generator), x


def test_mse_is_on_the_scale_of_8_bits() -> None:
    x_hat, x = _images(16, 0.05)
    difference = 255 * x_hat.double().numpy() - 255 * x.double().numpy()
    expected = np.mean(difference**2, axis=(1, 2, 3))
    np.testing.assert_allclose(DISTORTIONS["mse"](x_hat, x).numpy(), expected, rtol=1e-5)
    one_step = DISTORTIONS["mse"](torch.full((1, 3, 4, 4), 11 / 255), torch.full((1, 3, 4, 4), 10 / 255))
    assert one_step.item() == pytest.approx(1, rel=1e-4)


def test_ms_ssim_is_that_of_torchmetrics() -> None:
    """torchmetrics convolves a padded image and crops it, so borders differ in the last digits."""
    x_hat, x = _images(192, 0.05)
    expected = multiscale_structural_similarity_index_measure(
        x_hat, x, data_range=1.0, reduction="none", kernel_size=11, sigma=1.5
    )
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(DISTORTIONS["ms_ssim"](x_hat, x), 1 - expected, atol=2e-3, rtol=0)


def test_ms_ssim_is_per_image_and_linear() -> None:
    x_hat, x = _images(192, 0.05)
    both = DISTORTIONS["ms_ssim"](x_hat, x)
    assert both.shape == (2,) and 0 < both[0] < both[1] < 1
    torch.testing.assert_close(DISTORTIONS["ms_ssim"](x_hat[1:], x[1:]), both[1:])
    torch.testing.assert_close(DISTORTIONS["ms_ssim"](x, x), torch.zeros(2), atol=1e-6, rtol=0)


def test_ms_ssim_of_odd_sides_is_the_metrics() -> None:
    """The figure that tests/metrics derives from the paper."""
    photo = skimage.data.astronaut()[:511, :475]
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=8)
    x, x_hat = (to_float(to_batch(np.array(image))) for image in (photo, Image.open(file)))
    assert DISTORTIONS["ms_ssim"](x_hat, x).item() == pytest.approx(1 - 0.9237, abs=5e-5)


@pytest.mark.parametrize("size", [(160, 300), (300, 160)])
def test_ms_ssim_refuses_images_that_are_too_small(size: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *size)
    with pytest.raises(UserError, match=f"at least 161 .* not {size[1]}x{size[0]}; .*distortion=mse"):
        DISTORTIONS["ms_ssim"](x, x)
    x = torch.rand(1, 3, 161, 161)
    DISTORTIONS["ms_ssim"](x, x)


def test_rd_cost_is_the_papers_equation() -> None:
    bpp, distortion = torch.tensor([0.5, 0.25]), torch.tensor([30.0, 10.0])
    torch.testing.assert_close(rd_cost(bpp, distortion, 0.015), torch.tensor([0.95, 0.4]))


@pytest.mark.parametrize(
    ("distortion", "lmbda", "cheap", "dear"),
    [
        # (bpp, distortion) of neighbouring λ of published models on Kodak: 0.478 bpp and 32.84 dB is
        # λ = 0.0130, 0.669 bpp and 34.5 dB is 0.0250; 0.167 bpp and 0.9551 is 4.58, 0.248 and 0.9707 is 8.73.
        ("mse", 0.0130, (0.478, 255**2 / 10**3.284), (0.669, 255**2 / 10**3.45)),
        ("ms_ssim", 4.58, (0.167, 1 - 0.9551), (0.248, 1 - 0.9707)),
    ],
)
def test_scales_fit_published_models(
    distortion: str, lmbda: float, cheap: tuple[float, float], dear: tuple[float, float]
) -> None:
    """On the right scale a model is the best of its family at its own λ, and the next one at the next.

    With the distortion on another scale (MSE of pixels in 0…1, MS-SSIM in dB) one of them wins at both.
    """

    def cost(point: tuple[float, float], at: float) -> float:
        return rd_cost(torch.tensor(point[0]), torch.tensor(point[1]), at).item()

    next_lmbda = {"mse": 0.0250, "ms_ssim": 8.73}[distortion]
    assert cost(cheap, lmbda) < cost(dear, lmbda)
    assert cost(dear, next_lmbda) < cost(cheap, next_lmbda)
    assert lambda_warning(lmbda, distortion) is None


@pytest.mark.parametrize("value", [5, 0.015, 1e-9, 10**6])
def test_positive_numbers_are_lambdas(value: float) -> None:
    assert check_lambda(value) == value
    assert isinstance(check_lambda(value), float)


@pytest.mark.parametrize("value", ["abc", "5", -1, 0, 0.0, math.nan, math.inf, -math.inf, True, None, [5]])
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="lambda must be a positive number") as caught:
        check_lambda(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("lmbda", [0.0001, 0.001, 0.015, 0.1, 1])
def test_usual_lambdas_of_mse(lmbda: float) -> None:
    assert lambda_warning(lmbda, "mse") is None


@pytest.mark.parametrize("lmbda", [0.1, 1, 5, 10, 60, 600])
def test_usual_lambdas_of_ms_ssim(lmbda: float) -> None:
    assert lambda_warning(lmbda, "ms_ssim") is None


@pytest.mark.parametrize(
    ("lmbda", "distortion"), [(10, "mse"), (5e-5, "mse"), (0.015, "ms_ssim"), (700, "ms_ssim")]
)
def test_a_lambda_of_the_other_distortion_draws_a_warning_that_names_both_ranges(
    lmbda: float, distortion: str
) -> None:
    warning = lambda_warning(lmbda, distortion)
    assert warning is not None
    assert f"{lmbda:g}" in warning and "mse: 0.001 to 0.1" in warning and "ms_ssim: 1 to 60" in warning


def test_distortions_are_known_by_name() -> None:
    assert [check_distortion(name) for name in ("mse", "ms_ssim")] == ["mse", "ms_ssim"]
    with pytest.raises(UserError, match=r"'lpips'.*mse.*ms_ssim"):
        check_distortion("lpips")
