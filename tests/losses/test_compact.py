"""Equation 2 by hand."""

import numpy as np
import pytest
import torch

from lic.losses.compact import lambda_warning, terms


@pytest.fixture
def images() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    x, x_hat, enlarged = torch.rand(3, 2, 3, 6, 4, generator=rng)
    return {"x": x, "x_hat": x_hat, "enlarged": enlarged, "compact": torch.rand(2, 3, 3, 2, generator=rng)}


@pytest.mark.parametrize("compared", ["final", "residual"])
def test_the_terms_are_means_over_the_pixels_of_each_image(
    images: dict[str, torch.Tensor], compared: str
) -> None:
    found = terms(**images, compared=compared)
    assert list(found) == ["distortion", "shift", "variance"]
    for i in range(2):
        x, x_hat, i_in, compact = (value[i].numpy().astype(float) for value in images.values())
        i_out = x_hat if compared == "final" else x_hat - i_in
        assert found["distortion"][i].item() == pytest.approx(np.mean((x - x_hat) ** 2))
        assert found["shift"][i].item() == pytest.approx(np.mean(np.abs(i_in - i_out)))
        assert found["variance"][i].item() == pytest.approx(np.var(compact))


def test_the_readings_differ(images: dict[str, torch.Tensor]) -> None:
    """With no residual the final image is I_in; the residual is as far from it as black."""
    images["x_hat"] = images["enlarged"]
    assert terms(**images, compared="final")["shift"].tolist() == [0.0, 0.0]
    residual = terms(**images, compared="residual")["shift"]
    assert torch.allclose(residual, images["enlarged"].flatten(1).mean(1))


@pytest.mark.parametrize("lmbda", [1e-5, 0.01, 1.0])
def test_a_usual_lambda_draws_no_warning(lmbda: float) -> None:
    assert lambda_warning(lmbda) is None


@pytest.mark.parametrize("lmbda", [9e-6, 5.0])
def test_a_lambda_far_away_does(lmbda: float) -> None:
    warning = lambda_warning(lmbda)
    assert warning and "weighs the variance of the compact image" in warning
