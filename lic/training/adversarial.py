"""Trains SRResNet against a discriminator: SRGAN of Ledig et al. (2017)."""

import logging
from collections.abc import Callable
from typing import Any

from hydra.utils import to_absolute_path
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lic.data import to_float
from lic.data.loading import Batch
from lic.errors import UserError
from lic.foreign import Plain
from lic.losses.content import FeatureLoss, pixel_loss
from lic.models.discriminator import Discriminator
from lic.models.srgan import SRResNet
from lic.store.objective import Objective
from lic.training.base import SeveralOptimizers, check_number, check_share, falling
from lic.training.enlarging import Enlarging
from lic.training.processes import means_of_all

_log = logging.getLogger(__name__)


class Adversarial(Enlarging, SeveralOptimizers):
    """Generator: content + 1e-3 · (-log D(G)). Discriminator: -log D(x) - log(1 - D(G)). One step of each.

    The paper starts from an SRResNet of 1e6 batches, then takes 1e5 at a step size of 1e-4 and 1e5 at 1e-5,
    without clipping. Both losses of a batch are of the generator before its step.

    No value chooses among the states of a duel: PSNR falls from the first step on, since what the
    discriminator asks for costs some, and its own judgement moves with it. As in the paper the last state
    counts. So best.ckpt is the newest one that was validated: the least of minus the step.

    Args:
        net: the network.
        config: see `Training`; with ``start_from``, or a line says that the generator knows nothing.
        weights: a VGG19 for the content loss, see `FeatureLoss`; None compares pixels ("SRGAN-MSE").
        width: of the discriminator.
        adversarial: the weight of -log D(G).
        lr: Adam's step size, of both networks.
        final_lr: what replaces it for the last steps.
        final_share: their share of all steps, 0…1.
        clip_norm: the largest norm of each network's gradient; 0 does not clip.

    Raises:
        UserError: another network than `SRResNet`, or an impossible option.
    """

    monitor = "val/minus_step"
    net: SRResNet

    def __init__(
        self,
        net: SRResNet,
        config: dict[str, Any],
        *,
        weights: str | None = None,
        width: int = 64,
        adversarial: float = 1e-3,
        lr: float = 1e-4,
        final_lr: float = 1e-5,
        final_share: float = 0.5,
        clip_norm: float = 1.0,
    ):
        self.check_net(net, "adversarial")
        super().__init__(net, config)
        self.adversarial = check_number("adversarial", adversarial)
        self.lr = check_number("optimizer.lr", lr)
        self.final_lr = check_number("optimizer.final_lr", final_lr)
        self.final_share = check_share("optimizer.final_share", final_share)
        self.clip_norm = check_number("optimizer.clip_norm", clip_norm, may_be_zero=True)
        self.discriminator = Discriminator(width)
        self.content: Callable[[Tensor, Tensor], Tensor] = pixel_loss
        if weights is not None:
            if not isinstance(weights, str):
                raise UserError(f"content.weights must be a file or null, not {weights!r}.")
            self.content = FeatureLoss(to_absolute_path(weights))
        if not config.get("start_from"):
            _log.warning("The generator knows interpolation alone: start_from names no run of SRResNet.")

    @property
    def objective(self) -> Objective:
        """See `Training.objective`."""
        content, words = ("mse", "MSE") if self.content is pixel_loss else ("vgg19", "VGG19 φ_5,4")
        values: dict[str, Plain] = {"content": content, "adversarial": self.adversarial}
        return Objective(values, f"{words} + {self.adversarial:g} adversarial", "adversarial")

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LambdaLR]]:
        """Adam for each network, whose step size falls once."""
        fall = falling(self.trainer.max_steps, self.lr, self.final_lr, self.final_share)
        networks: tuple[nn.Module, ...] = (self.net, self.discriminator)
        optimizers = [Adam([p for p in one.parameters() if p.requires_grad], self.lr) for one in networks]
        return list(optimizers), [LambdaLR(optimizer, fall) for optimizer in optimizers]

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Of the generator, of the discriminator, and the terms of both without their weights."""
        x = to_float(batch.patches)
        x_hat = self.enlarged(x)
        terms = {
            "content": self.content(x_hat, x),
            "adversarial": softplus(-self._logits(x_hat)),
            "real": softplus(-self._logits(x)),
            "fake": softplus(self._logits(x_hat.detach())),
        }
        mean = {name: values.mean() for name, values in terms.items()}
        generator = mean["content"] + self.adversarial * mean["adversarial"]
        return generator, mean["real"] + mean["fake"], mean

    def rehearse(self, batch: Batch) -> None:
        """See `Training.rehearse`."""
        generator, discriminator, _ = self.losses(batch)
        (generator + discriminator).backward()
        self.zero_grad()

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """A step of each network."""
        generator, discriminator, terms = self.losses(batch)
        own = {"loss": generator, "discriminator": discriminator, **terms}
        logged = means_of_all(self.trainer, own)
        self.log_dict({f"train/{name}": value for name, value in logged.items()})
        self.log("loss", logged["loss"], prog_bar=True, logger=False)
        before = self.global_step
        self.descend(0, generator, batch_index, self.clip_norm)
        self.descend(1, discriminator, batch_index, self.clip_norm)
        if self.global_step > before:
            for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
                scheduler.step()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """See `Enlarging.validation_step`."""
        super().validation_step(batch, batch_index)
        self.log(self.monitor, float(-self.global_step), batch_size=1)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(x)
        return logits.float()
