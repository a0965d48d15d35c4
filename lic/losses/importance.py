"""L = L_D + λ·L_R, the objective of Appl. Sci. 2020, 10, 4023: the only place that fixes its scales.

λ weighs the rate here, not the distortion: a larger one gives smaller files. L_D is the sum of the mean
squared errors of all stages with pixels on 0…1: MSE(x, x_hat) + MSE(res, r_hat), of which the second is the
error of the final image, is the paper's for one residual. L_R is the mean of the importance map. The paper's
λ are lost in its text ("5, 1, 5" without their powers of ten).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lic.losses.rate_distortion import is_usual

LAMBDA_RANGE = (1e-4, 1e-2)


def staged_distortion(stages: Sequence[Tensor], x: Tensor) -> Tensor:
    """L_D of each image: [N, C, H, W] in 0…1 after each stage -> [N]."""
    return torch.stack([(stage - x).square().flatten(1).mean(1) for stage in stages]).sum(0)


def lambda_warning(lmbda: float) -> str | None:
    """A sentence if λ lies more than tenfold outside its usual range, else None."""
    if is_usual(lmbda, LAMBDA_RANGE):
        return None
    low, high = LAMBDA_RANGE
    return (
        f"lambda={lmbda:g} is far outside the usual range of this training ({low:g} to {high:g}), where it "
        "weighs the rate: larger ones give smaller files."
    )
