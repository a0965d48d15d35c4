"""Trains a codec for J = λ·D + R: every network whose rate is the likelihood of its latents."""

import logging
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from lic.data.module import ImageData
from lic.entropy import is_quantile, quantile_loss
from lic.errors import UserError
from lic.losses import DISTORTIONS, check_distortion, check_lambda, lambda_warning, rd_cost
from lic.metrics.quality import MS_SSIM_MIN_SIDE
from lic.models import CompressionModel, Forward, Network
from lic.store.objective import Objective
from lic.training.base import check_number, check_share, falling
from lic.training.one_loss import OneLoss

_log = logging.getLogger(__name__)


class RateDistortion(OneLoss):
    """The R-D cost, and the auxiliary loss of the entropy bottlenecks.

    One optimizer with two parameter groups, the net and the quantiles of the entropy bottlenecks, and one
    loss, the R-D cost plus the auxiliary loss. Neither gives the other's parameters a gradient, so the
    sum trains both as two optimizers would, and ``global_step`` counts batches.

    Args:
        net: the network.
        config: see `Training`.
        lmbda: λ, the weight of the distortion.
        distortion: ``mse`` or ``ms_ssim``, see `lic.losses`.
        seed: of the noise.
        lr: Adam's step size, of the net.
        final_lr: what replaces it for the last steps.
        final_share: their share of all steps, 0…1. The paper's is 4 %: 80k of 2M.
        aux_lr: Adam's step size of the quantiles.
        clip_norm: the largest norm of the net's gradient; 0 does not clip.

    Raises:
        UserError: the network is no codec; or an impossible λ, distortion, step size, share or norm.
    """

    def __init__(
        self,
        net: Network,
        config: dict[str, Any],
        *,
        lmbda: float,
        distortion: str = "ms_ssim",
        seed: int = 0,
        lr: float = 1e-4,
        final_lr: float = 1e-5,
        final_share: float = 0.04,
        aux_lr: float = 1e-3,
        clip_norm: float = 1.0,
    ):
        if not isinstance(net, CompressionModel):
            raise UserError(
                "training=rate_distortion is of codecs, and the model is none; choose another training=."
            )
        super().__init__(
            net, config, seed=seed, clip_norm=clip_norm, validated=("rd_cost", "bpp", "distortion")
        )
        self.lmbda = check_lambda(lmbda)
        self.distortion_name = check_distortion(distortion)
        self.distortion = DISTORTIONS[distortion]
        self.lr = check_number("optimizer.lr", lr)
        self.final_lr = check_number("optimizer.final_lr", final_lr)
        self.final_share = check_share("optimizer.final_share", final_share)
        self.aux_lr = check_number("optimizer.aux_lr", aux_lr)
        if warning := lambda_warning(self.lmbda, distortion):
            _log.warning(warning)

    @property
    def objective(self) -> Objective:
        """See `Training.objective`."""
        return Objective.rate_distortion(self.lmbda, self.distortion_name)

    def check_data(self, data: ImageData) -> None:
        """See `Training.check_data`."""
        least = MS_SSIM_MIN_SIDE if self.distortion_name == "ms_ssim" else 1
        if data.patch_size < least:
            raise UserError(
                f"MS-SSIM needs patches of at least {MS_SSIM_MIN_SIDE} pixels a side, not {data.patch_size}; "
                "give a larger data.patch_size or distortion=mse."
            )
        data.look_through(least, "for MS-SSIM (with distortion=mse any will do)")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam over (net, quantiles); only the net's rate drops."""
        named = list(self.net.named_parameters())
        groups = [
            {"params": [p for name, p in named if not is_quantile(name)], "lr": self.lr},
            {"params": [p for name, p in named if is_quantile(name)], "lr": self.aux_lr},
        ]
        fall = falling(self.trainer.max_steps, self.lr, self.final_lr, self.final_share)
        factors = [fall, lambda step: 1.0]
        optimizer = torch.optim.Adam(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def costs(self, out: Forward, x: Tensor) -> dict[str, Tensor]:
        """See `OneLoss.costs`: bpp of every latent and in total, distortion, R-D cost."""
        if not out.bits:
            raise UserError("The model has no rate to weigh; choose another training= for it.")
        rates = {f"bpp_{latent}": bits / (x.shape[-2] * x.shape[-1]) for latent, bits in out.bits.items()}
        bpp = torch.stack(list(rates.values())).sum(0)
        distortion = self.distortion(out.x_hat, x)
        cost = rd_cost(bpp, distortion, self.lmbda)
        return {"rd_cost": cost, "bpp": bpp, "distortion": distortion, **rates}

    def auxiliary_loss(self) -> Tensor:
        """See `OneLoss.auxiliary_loss`."""
        return quantile_loss(self.net)
