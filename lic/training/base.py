"""The contract of a way of training: a LightningModule that says what it trains for."""

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from lic.data import ImageSet
from lic.data.loading import Batch
from lic.data.module import ImageData
from lic.entropy import tables, update_tables
from lic.errors import UserError
from lic.evaluation.evaluate import evaluate_settings, some_pictures
from lic.evaluation.result import Result
from lic.evaluation.super_resolution import Enlargement
from lic.models import net_weights
from lic.store.load import load_codec
from lic.store.objective import Objective
from lic.training.processes import means_of_all


class TrainingDivergedError(UserError):
    """The loss or its gradient is no longer a finite number."""


class Training(LightningModule, ABC):
    """A way of training, chosen by ``training=``: the file of the choice names the class and its keywords.

    What the file interpolates (``lmbda: ${lambda}``) are the options that a user of it may give; each is
    checked by the constructor, before anything is trained. Steps are counted as Lightning counts those of
    one optimizer: one for each batch, or for several that are accumulated.

    Args:
        net: what is trained. Coding and export ask for nothing else of a checkpoint, and ``start_from``
            reaches nothing else: not a discriminator beside it.
        config: plain containers that describe the run: ``model`` rebuilds the net, the rest is for people.
    """

    monitor: ClassVar[str] = "val/rd_cost"
    """The value, logged in validation, whose least chooses best.ckpt."""
    is_codec: ClassVar[bool] = True
    """Whether the net codes images to files, with which the run then ends."""

    def __init__(self, net: nn.Module, config: dict[str, Any]):
        super().__init__()
        self.save_hyperparameters({"config": config}, logger=False)
        self.net = net
        self._last_finite_loss = math.nan
        self._clock, self._images = 0.0, 0

    @property
    @abstractmethod
    def objective(self) -> Objective:
        """The objective, as checkpoints, curves and W&B know it."""

    @abstractmethod
    def rehearse(self, batch: Batch) -> None:
        """Compute what a step computes for a batch, gradients included, and change nothing: it is timed."""

    def evaluate(self, run: Path, images: ImageSet, data: str) -> dict[str, Result | Enlargement]:
        """Measure the best checkpoint of the finished ``run`` on test images, and leave the files there.

        Results by what their averages are called in logs: here those of a codec at its settings, and none of
        a network that is no codec.
        """
        if not self.is_codec:
            return {}
        best = load_codec(run)
        results = evaluate_settings(best, images, run, data, some_pictures(len(images)))
        names = ["test"] if len(results) == 1 else [f"test/{place}" for place in best.measured]
        return dict(zip(names, results, strict=True))

    def check_data(self, data: ImageData) -> None:
        """Refuse data that this training cannot use, or that cannot be read; a `UserError` says why."""
        data.look_through()

    @property
    def in_last_phase(self) -> bool:
        """Whether validations may choose best.ckpt: not in phases whose costs are of another kind."""
        return True

    @property
    def batches_per_step(self) -> int:
        """Batches whose gradients are added up for a step."""
        return self.trainer.accumulate_grad_batches

    def on_train_start(self) -> None:
        """Start the clock of images/s."""
        self._clock, self._images = time.perf_counter(), 0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log speed and learning rate; ask for a last validation after the last step."""
        if self.global_step >= self.trainer.max_steps:
            self.trainer.should_stop = True
        self._images += len(batch.patches) * self.trainer.world_size
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            now = time.perf_counter()
            self.log("train/images_per_s", self._images / (now - self._clock))
            self._clock, self._images = now, 0
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_start(self) -> None:
        """Stop the clock of images/s."""
        self._clock -= time.perf_counter()

    def on_validation_end(self) -> None:
        """Start it again."""
        self._clock += time.perf_counter()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the objective, and the coding tables of the weights being saved (with EMA, the averages)."""
        checkpoint["objective"] = self.objective.plain()
        if self.is_codec:
            net = copy.deepcopy(self.net).cpu()  # where coding takes place
            net.load_state_dict(net_weights(checkpoint))
            update_tables(net)
            checkpoint["entropy_tables"] = tables(net)

    def guard(self, value: Tensor, name: str) -> None:
        """End a training whose loss or gradient is no longer finite.

        Raises:
            TrainingDivergedError: it is not; `Checkpoints` adds to the message what is kept.
        """
        if not value.isfinite():
            raise TrainingDivergedError(
                f"Training diverged: the {name} is {value.item()} at step {self.global_step} "
                f"({self.objective.setting}, last finite loss {self._last_finite_loss:.6g}); start again "
                "with a smaller learning rate."
            )
        if name == "loss":
            self._last_finite_loss = value.item()


class SeveralOptimizers(Training):
    """A training whose `configure_optimizers` returns a list: a discriminator beside a generator, say.

    Lightning would count a step for each of them, and neither clips nor accumulates what several optimizers
    do. Here a batch is a step, or several that are accumulated are one, whichever optimizers have their share
    in it, and `descend` clips and accumulates for each. Learning rate schedulers are not stepped: Lightning
    leaves it to ``training_step`` (``self.lr_schedulers()``).

    ``accumulate`` are the batches of a step; train.py takes it from ``trainer.accumulate_grad_batches``.
    """

    def __init__(self, net: nn.Module, config: dict[str, Any]):
        super().__init__(net, config)
        self.automatic_optimization = False
        self.accumulate = 1
        self._counted = (-1, -1)

    @property
    def batches_per_step(self) -> int:
        """See `Training.batches_per_step`."""
        return self.accumulate

    def descend(self, index: int, loss: Tensor, batch_index: int, clip_norm: float = 0) -> None:
        """One optimizer's share of a step: its parameters' gradient, and after the last batch the step.

        A loss whose graph holds parameters of another optimizer comes before that one's.

        Args:
            index: of the optimizer, in the order of `configure_optimizers`.
            loss: a number; only the optimizer's own parameters get its gradient.
            batch_index: as `training_step` was given it.
            clip_norm: the largest norm of the gradient; 0 does not clip.

        Raises:
            TrainingDivergedError: the loss or the gradient is not finite.
        """
        optimizer = cast(Sequence[Optimizer], self.optimizers(use_pl_optimizer=False))[index]
        self.guard(means_of_all(self.trainer, {"loss": loss})["loss"], "loss")
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        gradients = torch.autograd.grad(loss / self.accumulate, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        if (batch_index + 1) % self.accumulate:
            return
        if self.trainer.world_size > 1:  # autograd.grad passes DDP by
            own = [p.grad for p in parameters if p.grad is not None]
            mean = cast(Tensor, self.trainer.strategy.reduce(torch.cat([one.flatten() for one in own])))
            for one, part in zip(own, mean.split([one.numel() for one in own]), strict=True):
                one.copy_(part.view_as(one))
        self.guard(nn.utils.clip_grad_norm_(parameters, clip_norm or math.inf), "gradient")
        optimizer.step()
        optimizer.zero_grad()
        self._count(batch_index)

    def _count(self, batch_index: int) -> None:
        """Count the step of a batch, once: Lightning counts those of its own wrappers, for each of them."""
        if (batch := (self.current_epoch, batch_index)) != self._counted:
            self._counted = batch
            progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
            progress.increment_ready()
            progress.increment_completed()


def falling(steps: int, lr: float, final_lr: float, final_share: float) -> Callable[[int], float]:
    """The factor of ``lr`` at each step, for LambdaLR: it is ``final_lr`` for the last share of the steps."""
    falls_at = round(steps * (1 - final_share))
    return lambda step: 1.0 if step < falls_at else final_lr / lr


def check_number(name: str, value: object, *, may_be_zero: bool = False) -> float:
    """``value`` as a positive finite number.

    Raises:
        UserError: anything else; it names the option.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (value == 0 and not may_be_zero):  # type: ignore[operator]
        raise UserError(f"{name} must be a positive number, not {value!r}.")
    return float(value)  # type: ignore[arg-type]


def check_share(name: str, value: object) -> float:
    """``value`` as a share of the steps, 0…1.

    Raises:
        UserError: anything else; it names the option.
    """
    if (share := check_number(name, value, may_be_zero=True)) > 1:
        raise UserError(f"{name} must be a share of the steps from 0 to 1, not {value}.")
    return share
