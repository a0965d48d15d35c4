"""J = λ·D + R, equation 1 of Cheng et al. 2019: the only place that fixes the scales of λ and D.

R is in bits per pixel. D is the MSE on the 0…255 scale (``distortion=mse``) or 1 − MS-SSIM, linear, not
in dB (``distortion=ms_ssim``). With these scales the paper's λ reproduce its rates: 0.015 for MSE, 5 and
10 for MS-SSIM.
"""

import math
from collections.abc import Callable

from torch import Tensor

from lic.errors import UserError
from lic.metrics.quality import MS_SSIM_MIN_SIDE, multiscale_ssim


def mse(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared error on the 0…255 scale: [N, 3, H, W] in [0, 1] twice -> [N]."""
    return (x_hat - x).square().flatten(1).mean(1) * 255**2


def ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """1 − MS-SSIM: [N, 3, H, W] in [0, 1] twice -> [N].

    Raises:
        UserError: a side is too short for the five scales.
    """
    if min(x.shape[-2:]) < MS_SSIM_MIN_SIDE:
        raise UserError(
            f"MS-SSIM needs images of at least {MS_SSIM_MIN_SIDE} pixels a side, not "
            f"{x.shape[-1]}x{x.shape[-2]}; use larger patches or images, or distortion=mse."
        )
    return 1 - multiscale_ssim(x_hat, x, 1.0)


DISTORTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "ms_ssim": ms_ssim}
LAMBDA_RANGES = {"mse": (0.001, 0.1), "ms_ssim": (1.0, 60.0)}


def rd_cost(bpp: Tensor, distortion: Tensor, lmbda: float) -> Tensor:
    """J of each image: [N], [N] -> [N]."""
    return lmbda * distortion + bpp


def check_distortion(name: str) -> str:
    """``name`` if it is a distortion; a `UserError` lists them otherwise."""
    if name not in DISTORTIONS:
        raise UserError(
            f"Unknown distortion {name!r}; choose distortion={' or distortion='.join(DISTORTIONS)}."
        )
    return name


def check_lambda(value: object, usual: str = "the paper uses 5, 10 or 0.015") -> float:
    """λ as a positive finite number.

    Raises:
        UserError: anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise UserError(f"lambda must be a positive number, not {value!r}; {usual}.")


def is_usual(lmbda: float, usual: tuple[float, float]) -> bool:
    """Whether λ lies at most tenfold outside a range."""
    low, high = usual
    return low / 10 <= lmbda <= high * 10


def lambda_warning(lmbda: float, distortion: str) -> str | None:
    """A sentence if λ lies more than tenfold outside its distortion's usual range, else None."""
    if is_usual(lmbda, LAMBDA_RANGES[distortion]):
        return None
    ranges = "; ".join(f"{name}: {a:g} to {b:g}" for name, (a, b) in LAMBDA_RANGES.items())
    return f"lambda={lmbda:g} is far outside the usual range of distortion={distortion} ({ranges})."
