"""Trains a codec for J = λ·D + R: every network whose rate is the likelihood of its latents."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lic.data import to_float, to_uint8
from lic.data.loading import Batch
from lic.data.module import ImageData
from lic.entropy import is_quantile, own_noise, quantile_loss
from lic.errors import UserError
from lic.losses import DISTORTIONS, check_distortion, check_lambda, lambda_warning, rd_cost
from lic.metrics.quality import MS_SSIM_MIN_SIDE, psnr
from lic.models import CompressionModel, Forward
from lic.store.objective import Objective
from lic.training.base import Training, check_number

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Costs:
    """The costs of a batch, each [N]: bpp of every latent and in total, distortion, R-D cost."""

    rates: dict[str, Tensor]
    bpp: Tensor
    distortion: Tensor
    rd_cost: Tensor


class RateDistortion(Training):
    """Steps, optimizer and logged values. A `Batch` for training, uint8 [1, C, H, W] for validation.

    One optimizer with two parameter groups, the net and the quantiles of the entropy bottlenecks, and one
    loss, the R-D cost plus the auxiliary loss. Neither gives the other's parameters a gradient, so the
    sum trains both as two optimizers would, and ``global_step`` counts batches.

    The noise of a patch depends on (seed, batch, place in the batch of all processes) alone: a resumed run
    continues to the same weights, and two processes train as one does with twice the batch.

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
        UserError: an impossible λ, distortion, step size, share or norm.
    """

    net: CompressionModel

    def __init__(
        self,
        net: CompressionModel,
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
        super().__init__(net, config)
        self.lmbda = check_lambda(lmbda)
        self.distortion_name = check_distortion(distortion)
        self.distortion = DISTORTIONS[distortion]
        self.seed = int(seed)
        self.lr = check_number("optimizer.lr", lr)
        self.final_lr = check_number("optimizer.final_lr", final_lr)
        self.final_share = check_number("optimizer.final_share", final_share, may_be_zero=True)
        if self.final_share > 1:
            raise UserError(
                f"optimizer.final_share must be a share of the steps from 0 to 1, not {final_share}."
            )
        self.aux_lr = check_number("optimizer.aux_lr", aux_lr)
        self.clip_norm = check_number("optimizer.clip_norm", clip_norm, may_be_zero=True)
        self.validation_means = nn.ModuleDict(
            {name: MeanMetric(nan_strategy="disable") for name in ("rd_cost", "bpp", "distortion", "psnr")}
        )
        self._clock, self._images = 0.0, 0
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

    def rehearse(self, batch: Batch) -> None:
        """See `Training.rehearse`."""
        self.loss(batch)[0].backward()
        self.zero_grad()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam over (net, quantiles); only the net's rate drops."""
        named = list(self.net.named_parameters())
        groups = [
            {"params": [p for name, p in named if not is_quantile(name)], "lr": self.lr},
            {"params": [p for name, p in named if is_quantile(name)], "lr": self.aux_lr},
        ]
        drop_at = round(self.trainer.max_steps * (1 - self.final_share))
        factors = [lambda step: 1.0 if step < drop_at else self.final_lr / self.lr, lambda step: 1.0]
        optimizer = torch.optim.Adam(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor, _Costs]:
        """A batch's loss, the mean R-D cost plus the auxiliary loss; the latter; and the costs."""
        x = to_float(batch.patches)
        items = range(self.global_rank * len(x), (self.global_rank + 1) * len(x))
        with own_noise((self.seed, batch.number), items, x.device):
            out = self._reconstruct(x)
        with torch.autocast(x.device.type, enabled=False):
            costs, aux = self._costs(out, x), quantile_loss(self.net)
            return costs.rd_cost.mean() + aux, aux, costs

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of one batch."""
        loss, aux, costs = self.loss(batch)
        rd_cost = costs.rd_cost.mean()
        self.guard(loss, "loss")
        values = {"loss": rd_cost, "aux_loss": aux, "bpp": costs.bpp, "distortion": costs.distortion}
        values |= {f"bpp_{latent}": rate for latent, rate in costs.rates.items()}
        self.log_dict({f"train/{name}": value.detach().mean() for name, value in values.items()})
        self.log("loss", rd_cost.detach(), prog_bar=True, logger=False)
        return loss

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any
    ) -> None:
        """Clip the net's gradient, never the quantiles'."""
        net = optimizer.param_groups[0]["params"]
        self.guard(nn.utils.clip_grad_norm_(net, self.clip_norm or math.inf), "gradient")

    def on_train_start(self) -> None:
        """Start the clock of images/s."""
        self._clock, self._images = time.perf_counter(), 0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log speed and learning rate."""
        super().on_train_batch_end(outputs, batch, batch_index)
        self._images += len(batch.patches) * self.trainer.world_size
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            now = time.perf_counter()
            self.log("train/images_per_s", self._images / (now - self._clock))
            self._clock, self._images = now, 0
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Estimate one whole image's R-D cost; the rate counts its original pixels."""
        x = to_float(batch)
        out = self._reconstruct(x)
        with torch.autocast(x.device.type, enabled=False):
            costs = self._costs(out, x)
        values = {"rd_cost": costs.rd_cost, "bpp": costs.bpp, "distortion": costs.distortion}
        values["psnr"] = psnr(to_uint8(out.x_hat), batch)
        for name, value in values.items():
            metric = self.validation_means[name]
            metric.update(value)  # type: ignore[operator]
            self.log(f"val/{name}", metric, on_epoch=True, prog_bar=name in ("bpp", "psnr"))  # type: ignore[arg-type]

    def on_validation_start(self) -> None:
        """Stop the clock of images/s."""
        self._clock -= time.perf_counter()

    def on_validation_end(self) -> None:
        """Start it again."""
        self._clock += time.perf_counter()

    def _reconstruct(self, x: Tensor) -> Forward:
        """The net's pass over images or patches of any size."""
        out: Forward = self.net(x)
        return Forward(out.x_hat.float(), out.bits)

    def _costs(self, out: Forward, x: Tensor) -> _Costs:
        if not out.bits:
            raise UserError("The model has no rate to weigh; choose another training= for it.")
        rates = {latent: b / (x.shape[-2] * x.shape[-1]) for latent, b in out.bits.items()}
        bpp = torch.stack(list(rates.values())).sum(0)
        distortion = self.distortion(out.x_hat, x)
        return _Costs(rates, bpp, distortion, rd_cost(bpp, distortion, self.lmbda))
