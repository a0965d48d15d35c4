"""Trains SRResNet of Ledig et al. (2017): the pixels of the enlargement are to be those of the image."""

from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from lic.models import Forward
from lic.models.srgan import SRResNet
from lic.store.objective import Objective
from lic.training.base import check_number, check_share, falling
from lic.training.enlarging import Enlarging
from lic.training.one_loss import OneLoss


class SuperResolution(Enlarging, OneLoss):
    """MSE between an image and what the network makes of its small one, on pixels of 0…1.

    Of validation images it chooses best.ckpt. Paper: Adam, β₁ 0.9, a step size of 1e-4 for 1e6 batches of 16
    crops of 96x96.

    Args:
        net: the network.
        config: see `Training`.
        seed: of the noise, of which there is none here.
        lr: Adam's step size.
        final_lr: what replaces it for the last steps.
        final_share: their share of all steps, 0…1.
        clip_norm: the largest norm of the gradient; 0 does not clip.

    Raises:
        UserError: another network than `SRResNet`, or an impossible option.
    """

    monitor = "val/mse"
    net: SRResNet

    def __init__(
        self,
        net: SRResNet,
        config: dict[str, Any],
        *,
        seed: int = 0,
        lr: float = 1e-4,
        final_lr: float = 1e-4,
        final_share: float = 0.5,
        clip_norm: float = 1.0,
    ):
        self.check_net(net, "super_resolution")
        super().__init__(net, config, seed=seed, clip_norm=clip_norm, validated=())
        self.lr = check_number("optimizer.lr", lr)
        self.final_lr = check_number("optimizer.final_lr", final_lr)
        self.final_share = check_share("optimizer.final_share", final_share)

    @property
    def objective(self) -> Objective:
        """See `Training.objective`."""
        return Objective({"distortion": "mse"}, "MSE")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, whose step size falls once."""
        optimizer = torch.optim.Adam([p for p in self.net.parameters() if p.requires_grad], self.lr)
        fall = falling(self.trainer.max_steps, self.lr, self.final_lr, self.final_share)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, fall)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def costs(self, out: Forward, x: Tensor) -> dict[str, Tensor]:
        """See `OneLoss.costs`: the MSE alone."""
        return {"mse": (out.x_hat - x).square().flatten(1).mean(1)}

    def _reconstruct(self, x: Tensor) -> Forward:
        return Forward(self.enlarged(x), {})
