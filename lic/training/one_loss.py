"""A training that makes one mean over images smaller, with one optimizer."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lic.data import to_float, to_uint8
from lic.data.loading import Batch
from lic.entropy import own_noise
from lic.metrics.quality import psnr
from lic.models import Forward, Network
from lic.training.base import Training, check_number
from lic.training.processes import means_of_all


class OneLoss(Training):
    """Steps and logged values. A `Batch` for training, uint8 [1, C, H, W] for validation.

    The noise of a patch depends on (seed, batch, place in the batch of all processes) alone: a resumed run
    continues to the same weights, and two processes train as one does with twice the batch.

    Args:
        net: the network.
        config: see `Training`.
        seed: of the noise.
        clip_norm: the largest norm of the gradient of the optimizer's first group; 0 does not clip.
        validated: which of `costs` are logged in validation, beside the PSNR.

    Raises:
        UserError: an impossible norm.
    """

    net: Network

    def __init__(
        self,
        net: Network,
        config: dict[str, Any],
        *,
        seed: int,
        clip_norm: float,
        validated: Sequence[str],
    ):
        super().__init__(net, config)
        self.seed = int(seed)
        self.clip_norm = check_number("optimizer.clip_norm", clip_norm, may_be_zero=True)
        self.validation_means = nn.ModuleDict(
            {name: MeanMetric(nan_strategy="disable") for name in (*validated, "psnr")}
        )

    @abstractmethod
    def costs(self, out: Any, x: Tensor) -> dict[str, Tensor]:
        """Values of each image [N] by the names in the logs; the first is what is made smaller.

        Args:
            out: the net's pass, its x_hat in float32.
            x: the images, [N, C, H, W] in 0…1.
        """

    def auxiliary_loss(self) -> Tensor | None:
        """What is made smaller beside it, of the net alone, if there is such a thing."""
        return None

    def rehearse(self, batch: Batch) -> None:
        """See `Training.rehearse`."""
        self.loss(batch)[0].backward()
        self.zero_grad()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch's loss, and the means that are logged."""
        x = to_float(batch.patches)
        items = range(self.global_rank * len(x), (self.global_rank + 1) * len(x))
        with own_noise((self.seed, batch.number), items, x.device):
            out = self._reconstruct(x)
        with torch.autocast(x.device.type, enabled=False):
            (_, cost), *others = self.costs(out, x).items()
            auxiliary = self.auxiliary_loss()
            loss = cost.mean()
            logged = {"loss": loss, **{name: value.mean() for name, value in others}}
            if auxiliary is not None:
                loss, logged["aux_loss"] = loss + auxiliary, auxiliary
            return loss, logged

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of one batch."""
        loss, own = self.loss(batch)
        logged = means_of_all(self.trainer, {"total": loss, **own})
        self.guard(logged.pop("total"), "loss")
        self.log_dict({f"train/{name}": value for name, value in logged.items()})
        self.log("loss", logged["loss"], prog_bar=True, logger=False)
        return loss

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any
    ) -> None:
        """Clip the gradient of the first group, never the others'."""
        net = optimizer.param_groups[0]["params"]
        self.guard(nn.utils.clip_grad_norm_(net, self.clip_norm or math.inf), "gradient")

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Estimate one whole image's costs; the rate counts its original pixels."""
        x = to_float(batch)
        out = self._reconstruct(x)
        with torch.autocast(x.device.type, enabled=False):
            costs = self.costs(out, x)
        costs["psnr"] = psnr(to_uint8(out.x_hat), batch)
        for name, metric in self.validation_means.items():
            metric.update(costs[name])  # type: ignore[operator]
            self.log(f"val/{name}", metric, on_epoch=True, prog_bar=name in ("bpp", "psnr"))  # type: ignore[arg-type]

    def _reconstruct(self, x: Tensor) -> Forward:
        """The net's pass over images or patches of any size."""
        out: Forward = self.net(x)
        return replace(out, x_hat=out.x_hat.float())
