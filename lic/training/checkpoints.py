"""``best.ckpt`` and ``last.ckpt``: what is saved when, and that it is saved whole."""

import io
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from lic import interruption
from lic.atomic import write_bytes


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them.

    Lightning's own writes to the temporary folder and moves the file, which copies it where that folder is
    on another file system: a full disk or a kill would leave half a checkpoint under its name.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Atomic; an ``OSError`` names the file."""
        buffer = io.BytesIO()  # torch.save hides the reason of a failed write
        torch.save(checkpoint, buffer)
        write_bytes(path, buffer.getbuffer())


class Checkpoints(Checkpoint):
    """Saves the best state by validation, and the last one: after each validation, and by the clock.

    It also ends the training when the process is told to stop (`lic.interruption`): between two steps, after
    saving. A validation belongs to the step before it.

    Why not Lightning's ``ModelCheckpoint``: it writes ``last.ckpt`` only where it writes a better best one,
    and with a second one for the last state neither would know of accumulated batches.

    Args:
        folder: of the checkpoints.
        minutes: between two by the clock.
        monitor: the logged value whose least is the best.
    """

    def __init__(self, folder: Path, *, minutes: float = 10, monitor: str = "val/rd_cost") -> None:
        self.folder, self.minutes, self.monitor = folder, minutes, monitor
        self.best_cost: float | None = None
        self._cost: float | None = None
        self._saved_step, self._clock = 0, math.inf

    @property
    def kept(self) -> Path | None:
        """The newest checkpoint of the run, if there is one."""
        file = self.folder / "last.ckpt"
        return file if file.is_file() else None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the trainer write whole files."""
        trainer.strategy.checkpoint_io = WholeFiles()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; from now on a signal waits for the end of a step."""
        self._saved_step, self._clock = trainer.global_step, time.monotonic()
        interruption.defer(True)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, or if the process is to stop; never between accumulated batches.

        Raises:
            Interrupted: the process is to stop.
        """
        if batch_idx % trainer.accumulate_grad_batches:
            return
        stop = interruption.requested()
        late = trainer.is_global_zero and time.monotonic() - self._clock > 60 * self.minutes
        agreed = trainer.strategy.reduce_boolean_decision  # what one process knows, all must do
        if not agreed(stop is not None or late, all=False):
            return
        if trainer.global_step != self._saved_step:
            self._save(trainer, "last")
        if agreed(stop is not None, all=False):
            raise interruption.Interrupted(stop or signal.SIGTERM)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last state, and before it the best one if this is it."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        cost = trainer.callback_metrics[self.monitor].item()
        self._cost = cost
        if self.best_cost is None or cost < self.best_cost or math.isnan(self.best_cost):
            self.best_cost = cost
            self._save(trainer, "best")
        self._save(trainer, "last")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Signals end what follows at once."""
        interruption.defer(False)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """As `on_train_end`. What fails after a signal fails because of it: others got the signal, too.

        Raises:
            Interrupted: there was one.
        """
        stop = interruption.requested()
        interruption.defer(False)
        if stop is not None and not isinstance(exception, interruption.Interrupted):
            raise interruption.Interrupted(stop) from exception

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Forget the batch that was about to begin: a resumed run counts it again."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if progress["current"]["ready"] != progress["current"]["started"]:
            progress["is_last_batch"] = False  # which is said of that batch
        for counts in (progress["total"], progress["current"]):
            counts["ready"] = counts["started"]

    def state_dict(self) -> dict[str, Any]:
        """The costs, plain numbers."""
        return {"best_cost": self.best_cost, "cost": self._cost}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best cost, where this run still has the checkpoint that it belongs to."""
        if (self.folder / "best.ckpt").is_file():
            self.best_cost = state_dict["best_cost"]

    def _save(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / f"{name}.ckpt")
        if name == "last":
            self._saved_step, self._clock = trainer.global_step, time.monotonic()
