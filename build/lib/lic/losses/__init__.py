"""Training objectives: pure functions, per image."""

from lic.losses.rate_distortion import (
    DISTORTIONS,
    check_distortion,
    check_lambda,
    lambda_warning,
    rd_cost,
)

__all__ = ["DISTORTIONS", "check_distortion", "check_lambda", "lambda_warning", "rd_cost"]
