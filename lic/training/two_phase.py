"""Trains a codec of binary codes (Appl. Sci. 2020, 10, 4023): its distortion first, then its rate, too."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from lic.data import to_uint8
from lic.errors import UserError
from lic.foreign import Plain
from lic.losses import check_lambda
from lic.losses.importance import lambda_warning, staged_distortion
from lic.metrics.quality import psnr
from lic.models.residual import ResidualGN, Stages
from lic.store.objective import Objective
from lic.training.base import check_number, check_share
from lic.training.one_loss import OneLoss

_log = logging.getLogger(__name__)


class TwoPhase(OneLoss):
    """L_D alone for a share of the steps, then L_D + λ·L_R, see `lic.losses.importance`.

    The first phase knows no λ. To share it among several, it is trained by itself (``distortion_share`` 1
    and no λ), and the others start from it (``start_from``, ``distortion_share`` 0). The best checkpoint is
    chosen in the second phase, if there is one.

    Args:
        net: the network.
        config: see `Training`.
        lmbda: λ, the weight of the rate; None if there is no second phase.
        distortion_share: the share of the steps in the first phase, 0…1.
        seed: of the noise.
        lr: Adam's step size.
        milestones: shares of the steps, rising, after each of which the step size is multiplied with
            ``factor``.
        factor: see ``milestones``.
        clip_norm: the largest norm of the gradient; 0 does not clip.

    Raises:
        UserError: another network than `ResidualGN`, or an impossible option.
    """

    monitor = "val/cost"
    net: ResidualGN

    def __init__(
        self,
        net: ResidualGN,
        config: dict[str, Any],
        *,
        lmbda: float | None,
        distortion_share: float = 0.5,
        seed: int = 0,
        lr: float = 2e-4,
        milestones: Sequence[float] = (0.6, 0.8, 0.9),
        factor: float = 0.5,
        clip_norm: float = 1.0,
    ):
        if not isinstance(net, ResidualGN):
            raise UserError("training=two_phase is of model=residual_gn; choose another training=.")
        stages = 1 + len(net.residual) + (net.post is not None)
        named = ("cost", "bpp", "distortion", "rate", *(f"psnr_{k}" for k in range(stages)))
        super().__init__(net, config, seed=seed, clip_norm=clip_norm, validated=named)
        self.distortion_share = check_share("distortion_share", distortion_share)
        if (lmbda is None) != (self.distortion_share == 1):
            raise UserError(
                "lambda weighs the rate, which distortion_share=1 leaves out: give lambda=null with it, and "
                "a number without."
            )
        if lmbda is not None and not net.importance:
            raise UserError(
                "model.importance=false keeps all bits, so that there is no rate for lambda to weigh; give "
                "lambda=null distortion_share=1."
            )
        self.lmbda = None if lmbda is None else check_lambda(lmbda, "0.001 is usual here")
        self.lr = check_number("optimizer.lr", lr)
        if not isinstance(milestones, Sequence):
            raise UserError(f"optimizer.milestones must be rising shares of the steps, not {milestones}.")
        self.milestones = [check_share("optimizer.milestones", share) for share in milestones]
        if self.milestones != sorted(self.milestones):
            raise UserError(f"optimizer.milestones must be rising shares of the steps, not {milestones}.")
        self.factor = check_number("optimizer.factor", factor)
        if self.lmbda and (warning := lambda_warning(self.lmbda)):
            _log.warning(warning)
        if self.distortion_share == 0 and not config.get("start_from"):
            _log.warning(
                "The rate is charged from the first step, of random weights: start_from names no run."
            )

    @property
    def objective(self) -> Objective:
        """See `Training.objective`."""
        values: dict[str, Plain] = {"distortion": "mse", "distortion_share": self.distortion_share}
        if self.lmbda is None:
            return Objective(values, "no λ", "mse")
        setting = f"λ = {self.lmbda:g}"
        if self.net.target_ratio:
            setting += f", ratio {self.net.target_ratio:g}"
        return Objective({"lambda": self.lmbda, **values}, setting, "mse", ["lambda", "target_ratio"])

    @property
    def in_last_phase(self) -> bool:
        """See `Training.in_last_phase`."""
        return self.lmbda is None or self.global_step > self._switch

    @property
    def _switch(self) -> int:
        """The first step of the second phase."""
        return round(self.distortion_share * self.trainer.max_steps)

    def setup(self, stage: str) -> None:
        """Refuse a second phase without a step."""
        if stage == "fit" and self.lmbda is not None and self._switch >= self.trainer.max_steps:
            raise UserError(
                f"With distortion_share={self.distortion_share:g} none of {self.trainer.max_steps} steps is "
                "left for the phase with the rate; give a smaller one, or distortion_share=1 lambda=null."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `Training.on_save_checkpoint`: the first step of the second phase, too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["second_phase"] = self._switch

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go back to the first phase, as a longer run would."""
        began = checkpoint.get("second_phase")
        if isinstance(began, int) and began < checkpoint["global_step"] < self._switch:
            raise UserError(
                f"The checkpoint is in its second phase, which with trainer.max_steps="
                f"{self.trainer.max_steps} begins at step {self._switch} only; continue it with its own "
                "trainer.max_steps, or start_from it with distortion_share=0."
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, with a step size that falls at the milestones."""
        optimizer = torch.optim.Adam([p for p in self.net.parameters() if p.requires_grad], self.lr)
        falls = [round(share * self.trainer.max_steps) for share in self.milestones]
        # a function of the step: MultiStepLR would bring the old steps back where a longer run is resumed
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.factor ** sum(step >= fall for fall in falls)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def costs(self, out: Stages, x: Tensor) -> dict[str, Tensor]:
        """See `OneLoss.costs`: bpp by the paper's formula, and the PSNR after each stage."""
        distortion = staged_distortion(out.stages, x)
        charged = self.lmbda is not None and (self.global_step >= self._switch)
        cost = distortion + self.lmbda * out.rate if charged and self.lmbda else distortion
        bpp = torch.stack(list(out.bits.values())).sum(0) / (x.shape[-2] * x.shape[-1])
        with torch.no_grad():
            levels = [psnr(to_uint8(stage), to_uint8(x)) for stage in out.stages]
        named = {f"psnr_{k}": level for k, level in enumerate(levels)}
        return {"cost": cost, "bpp": bpp, "distortion": distortion, "rate": out.rate, **named}
