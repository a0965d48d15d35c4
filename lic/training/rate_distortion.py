"""Trains a codec for J = λ·D + R: every network whose rate is the likelihood of its latents."""

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lic.data import to_float, to_uint8
from lic.data.module import Batch
from lic.entropy import is_quantile, own_noise, quantile_loss, tables, update_tables
from lic.errors import UserError
from lic.layers import crop, pad
from lic.losses import DISTORTIONS, check_distortion, check_lambda, rd_cost
from lic.metrics.quality import psnr
from lic.models import CompressionModel, Forward, net_weights
from lic.training.checkpoints import kept_checkpoint

_FINAL_SHARE = 0.04  # of the steps run at the final learning rate; the paper's 80k of 2M


@dataclass(frozen=True)
class _Costs:
    """What a batch costs, each [N]: bpp of every latent and in total, distortion, R-D cost."""

    rates: dict[str, Tensor]
    bpp: Tensor
    distortion: Tensor
    rd_cost: Tensor


class TrainingDivergedError(UserError):
    """The loss or its gradient is no longer a finite number."""


class RateDistortionCodec(LightningModule):
    """Steps, optimizer and logged values. A `Batch` for training, uint8 [1, 3, H, W] for validation.

    One optimizer with two parameter groups, the net and the quantiles of the entropy bottlenecks, and one
    loss, the R-D cost plus the auxiliary loss. Neither gives the other's parameters a gradient, so the
    sum trains both as two optimizers would, and ``global_step`` counts batches.

    The noise of a patch depends on (seed, batch, place in the batch of all processes) alone: a resumed run
    continues to the same weights, and two processes train as one does with twice the batch.

    Args:
        net: the network.
        config: plain containers that describe the run. ``model``, ``lambda`` and ``distortion`` rebuild the
            codec from its checkpoint; the rest is for people.
        lr: Adam's step size, of the net; ``final_lr`` replaces it for the last 4 % of the steps.
        aux_lr: Adam's step size of the quantiles.
        clip_norm: the largest norm of the net's gradient; 0 does not clip.

    Raises:
        UserError: an impossible λ, distortion, step size or norm.
    """

    def __init__(
        self,
        net: CompressionModel,
        config: dict[str, Any],
        *,
        lr: float = 1e-4,
        final_lr: float = 1e-5,
        aux_lr: float = 1e-3,
        clip_norm: float = 1.0,
    ):
        super().__init__()
        self.save_hyperparameters({"config": config}, logger=False)
        self.net = net
        self.lmbda = check_lambda(config["lambda"])
        self.distortion = DISTORTIONS[check_distortion(config["distortion"])]
        self.seed = int(config["seed"])
        self.lr = _check_number("lr", lr)
        self.final_lr = _check_number("final_lr", final_lr)
        self.aux_lr = _check_number("aux_lr", aux_lr)
        self.clip_norm = _check_number("clip_norm", clip_norm, may_be_zero=True)
        self.validation_means = nn.ModuleDict(
            {name: MeanMetric(nan_strategy="disable") for name in ("rd_cost", "bpp", "distortion", "psnr")}
        )
        self._last_finite_loss = math.nan
        self._clock, self._images = 0.0, 0

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam over (net, quantiles); only the net's rate drops."""
        named = list(self.net.named_parameters())
        groups = [
            {"params": [p for name, p in named if not is_quantile(name)], "lr": self.lr},
            {"params": [p for name, p in named if is_quantile(name)], "lr": self.aux_lr},
        ]
        drop_at = round(self.trainer.max_steps * (1 - _FINAL_SHARE))
        factors = [lambda step: 1.0 if step < drop_at else self.final_lr / self.lr, lambda step: 1.0]
        optimizer = torch.optim.Adam(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor, _Costs]:
        """What a batch's step makes smaller, mean R-D cost plus auxiliary loss; the latter; and the costs."""
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
        self._guard(loss, "loss")
        self._last_finite_loss = loss.item()
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
        self._guard(nn.utils.clip_grad_norm_(net, self.clip_norm or math.inf), "gradient")

    def on_train_start(self) -> None:
        """Start the clock of images/s."""
        self._clock, self._images = time.perf_counter(), 0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log speed and learning rate; ask for a last validation after the last step."""
        self._images += len(batch.patches) * self.trainer.world_size
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            now = time.perf_counter()
            self.log("train/images_per_s", self._images / (now - self._clock))
            self._clock, self._images = now, 0
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        if self.global_step >= self.trainer.max_steps:
            self.trainer.should_stop = True

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the coding tables of the weights being saved (with EMA, the averaged ones)."""
        net = copy.deepcopy(self.net).cpu()  # where coding takes place
        net.load_state_dict(net_weights(checkpoint))
        update_tables(net)
        checkpoint["entropy_tables"] = tables(net)

    def _reconstruct(self, x: Tensor) -> Forward:
        """The net's pass over images or patches of any size."""
        out: Forward = self.net(pad(x, self.net.downsampling))
        return Forward(crop(out.x_hat, (x.shape[-2], x.shape[-1])).float(), out.bits)

    def _costs(self, out: Forward, x: Tensor) -> _Costs:
        rates = {latent: b / (x.shape[-2] * x.shape[-1]) for latent, b in out.bits.items()}
        bpp = torch.stack(list(rates.values())).sum(0)
        distortion = self.distortion(out.x_hat, x)
        return _Costs(rates, bpp, distortion, rd_cost(bpp, distortion, self.lmbda))

    def _guard(self, value: Tensor, name: str) -> None:
        if not value.isfinite():
            raise TrainingDivergedError(
                f"Training diverged: the {name} is {value.item()} at step {self.global_step} "
                f"(lambda={self.lmbda:g}, last finite loss {self._last_finite_loss:.6g}). "
                f"{self._kept()}; start again with a smaller optimizer.lr."
            )

    def _kept(self) -> str:
        file = kept_checkpoint(self.trainer)
        return f"The last good checkpoint is kept in {file}" if file else "No checkpoint was saved yet"


def _check_number(name: str, value: object, may_be_zero: bool = False) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (value == 0 and not may_be_zero):  # type: ignore[operator]
        raise UserError(f"optimizer.{name} must be a positive number, not {value!r}.")
    return float(value)  # type: ignore[arg-type]
