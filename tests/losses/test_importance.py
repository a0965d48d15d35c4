import pytest
import torch
from torch.nn.functional import mse_loss

from lic.losses.importance import lambda_warning, staged_distortion


def test_the_distortion_is_the_sum_of_the_stages() -> None:
    """MSE(x, x_hat) + MSE(res, r_hat), as the paper writes it for one residual."""
    x, x_hat, r_hat = torch.rand(3, 2, 3, 5, 7)
    res = x - x_hat
    written = [mse_loss(x[i], x_hat[i]) + mse_loss(res[i], r_hat[i]) for i in (0, 1)]
    assert torch.allclose(staged_distortion([x_hat, x_hat + r_hat], x), torch.stack(written))


def test_a_lambda_far_away_is_told() -> None:
    assert lambda_warning(1e-3) is None
    for lmbda in (5.0, 1e-6):
        assert "weighs the rate" in str(lambda_warning(lmbda))


@pytest.mark.parametrize("stages", [1, 4])
def test_without_error_there_is_no_distortion(stages: int) -> None:
    x = torch.rand(2, 1, 4, 4)
    assert staged_distortion([x] * stages, x).tolist() == [0, 0]
