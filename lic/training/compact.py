"""Trains the two networks around a compact image (Deshmukh and Pollett; Jiang et al. 2017)."""

import logging
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lic.data import to_uint8
from lic.entropy.symbols import Symbols
from lic.errors import UserError
from lic.foreign import Plain
from lic.losses import check_lambda
from lic.losses.compact import COMPARED, lambda_warning, terms
from lic.models.base import check_choice
from lic.models.compact import CompactImage, CompactPass
from lic.store.objective import Objective
from lic.training.base import check_number, check_share
from lic.training.one_loss import OneLoss

_log = logging.getLogger(__name__)


class Compact(OneLoss):
    """MSE + α·MAE(I_in, I_out) + λ·var(compact), see `lic.losses.compact`.

    The rate is no part of it: it is chosen by the network's stride and by the codec inside. λ weighs a term
    of ours and may be None.

    In turns, the network behind the codec learns first, then the one before it, and so on, each for an equal
    share of the steps (Jiang et al.). The other one stays as it is, with the running statistics of its batch
    normalization; the gradient passes through it and through the rounding to 8 bits.

    Batch normalization before the codec lets the brightness of all crops of a batch move that of the compact
    image, which a decoder cannot know. After a share of the steps it takes running statistics there, as in
    use; behind the codec it goes on by batches, without which the features of a deep network fade.

    Args:
        net: the network.
        config: see `Training`.
        lmbda: λ, or None, which leaves the term out.
        alpha: α, from 0 on. 1/255 weighs the two terms alike on pixels of 0…255.
        i_out: what is compared with I_in, one of `lic.losses.compact.COMPARED`.
        turns: of each of the two networks; 0 trains both at once.
        batch_share: of the steps in which batch normalization before the codec is by batches, 0…1.
        seed: of the noise, of which there is none here.
        lr: Adam's step size in the beginning.
        final_lr: at the end; it falls by an equal factor in each step.
        clip_norm: the largest norm of the gradient; 0 does not clip.

    Raises:
        UserError: another network than a `CompactImage`, or an impossible option.
    """

    monitor = "val/cost"
    net: CompactImage

    def __init__(
        self,
        net: CompactImage,
        config: dict[str, Any],
        *,
        lmbda: float | None = None,
        alpha: float = 1 / 255,
        i_out: str = "final",
        turns: int = 0,
        batch_share: float = 0.5,
        seed: int = 0,
        lr: float = 1e-3,
        final_lr: float = 1e-5,
        clip_norm: float = 1.0,
    ):
        if not isinstance(net, CompactImage):
            raise UserError(
                "training=compact is of model=comcnn_reccnn and model=icm_irm; choose another training=."
            )
        named = ("cost", "distortion", "shift", "variance", "distinct_values", "entropy")
        super().__init__(net, config, seed=seed, clip_norm=clip_norm, validated=named)
        usual = "0.01 is usual here, where it weighs the variance of the compact image; null leaves that out"
        self.lmbda = None if lmbda is None else check_lambda(lmbda, usual)
        self.alpha = check_number("alpha", alpha, may_be_zero=True)
        check_choice("i_out", i_out, COMPARED)
        self.i_out = i_out
        if type(turns) is not int or turns < 0:
            raise UserError(f"turns must be a whole number, 0 to train both networks at once, not {turns!r}.")
        self.turns = turns
        self.batch_share = check_share("batch_share", batch_share)
        self.lr = check_number("optimizer.lr", lr)
        self.final_lr = check_number("optimizer.final_lr", final_lr)
        if self.lmbda and (warning := lambda_warning(self.lmbda)):
            _log.warning(warning)

    @property
    def objective(self) -> Objective:
        """See `Training.objective`. The stride moves along a curve; λ does, where there is one."""
        values: dict[str, Plain] = {"distortion": "mse", "alpha": self.alpha, "i_out": self.i_out}
        if self.turns:
            values["turns"] = self.turns
        setting, moving = f"stride {self.net.stride}", ["stride"]
        if self.lmbda is not None:
            values["lambda"] = self.lmbda
            setting, moving = f"{setting}, λ = {self.lmbda:g}", ["stride", "lambda"]
        return Objective(values, setting, "mse", moving)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, with a step size that falls geometrically."""
        optimizer = torch.optim.Adam([p for p in self.net.parameters() if p.requires_grad], self.lr)
        ratio, steps = self.final_lr / self.lr, max(self.trainer.max_steps - 1, 1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: ratio ** (step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def costs(self, out: CompactPass, x: Tensor) -> dict[str, Tensor]:
        """See `OneLoss.costs`: the sum, each term without its weight, and in validation `Symbols`."""
        each = terms(x, out.x_hat, out.enlarged, out.compact, self.i_out)
        cost = each["distortion"] + self.alpha * each["shift"] + (self.lmbda or 0.0) * each["variance"]
        if not self.training:
            symbols = [Symbols.of(compact.cpu().numpy()) for compact in to_uint8(out.compact)]
            each["distinct_values"] = cost.new_tensor([one.distinct for one in symbols])
            each["entropy"] = cost.new_tensor([one.entropy for one in symbols])
        return {"cost": cost, **each}

    def setup(self, stage: str) -> None:
        """Refuse turns of less than a step, in which a network would never learn."""
        if stage == "fit" and 2 * self.turns > self.trainer.max_steps:
            raise UserError(
                f"turns={self.turns} are {2 * self.turns} for both networks, and there are only "
                f"{self.trainer.max_steps} steps; give fewer turns, or a larger trainer.max_steps."
            )

    @property
    def resting(self) -> tuple[nn.Module, ...]:
        """What is before the codec or behind it, when that has no turn."""
        if not self.turns:
            return ()
        turn = self.global_step * 2 * self.turns // self.trainer.max_steps
        return (self.net.up, self.net.rec) if turn % 2 else (self.net.com,)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        """Keep the running statistics of what rests, and in the end those before the codec."""
        settled = self.global_step >= self.batch_share * self.trainer.max_steps
        still = (*self.resting, self.net.com) if settled else self.resting
        for part in (self.net.com, self.net.up, self.net.rec):
            for module in part.modules():
                if isinstance(module, _BatchNorm):
                    module.train(part not in still and module.weight.requires_grad)

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any
    ) -> None:
        """Of what rests there is no gradient: Adam passes it by, its moments included."""
        for part in self.resting:
            for parameter in part.parameters():
                parameter.grad = None
        super().configure_gradient_clipping(optimizer, *args, **kwargs)
