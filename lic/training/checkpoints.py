"""``best.ckpt`` and ``last.ckpt``: what is saved when, and that it is saved whole."""

import io
import math
import os
import time
from pathlib import Path
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from lic import interruption
from lic.atomic import write_bytes
from lic.errors import LostProcessError, UserError
from lic.training.base import Training, TrainingDivergedError
from lic.training.processes import agreed, is_of_another, outlive


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
    saving, or in a validation, which may be long. The state is therefore saved before the step that a
    validation follows; a continued run takes this step again, to the same weights, and validates them.

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
        self.saved: Path | None = None
        self._cost: float | None = None  # of the state as it is
        self._saved_step, self._clock = 0, math.inf
        self._goes_on = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the trainer write whole files; what was being written when a run was killed goes."""
        trainer.strategy.checkpoint_io = WholeFiles()
        for left in self.folder.glob(".*.ckpt") if trainer.is_global_zero else ():
            left.unlink()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """See whether it goes on with a run of this folder: before now the trainer names no checkpoint."""
        start = trainer.ckpt_path
        self._goes_on = start is not None and Path(start).resolve().parent == self.folder.resolve()

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
        assert isinstance(pl_module, Training)
        step = pl_module.batches_per_step
        if batch_idx % step:
            return
        late = trainer.is_global_zero and time.monotonic() - self._clock > 60 * self.minutes
        stop, wanted = agreed(trainer, interruption.requested() or 0, late)
        wanted = wanted or _validation_follows(trainer, step)
        if (stop or wanted) and self._unsaved_steps(trainer):
            self._save(trainer)
        if stop:
            raise interruption.Interrupted(stop)
        self._cost = None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """End a validation if the process is to stop, unless more than the step before it would be lost.

        Raises:
            Interrupted: the process is to stop.
        """
        (stop,) = agreed(trainer, interruption.requested() or 0)
        if stop and self._unsaved_steps(trainer) <= 1:
            raise interruption.Interrupted(stop)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last state, as the best one, too, if this is it."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self.monitor not in trainer.callback_metrics:
            raise UserError(f"The training chooses best.ckpt by {self.monitor}, but does not log it.")
        cost = trainer.callback_metrics[self.monitor].item()
        self._cost = cost
        best = self.best_cost is None or cost < self.best_cost or math.isnan(self.best_cost)
        assert isinstance(pl_module, Training)
        best = best and pl_module.in_last_phase
        if best:
            self.best_cost = cost
        self._save(trainer, best=best)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Signals end what follows at once, and so does one that came in the last step or validation.

        Raises:
            Interrupted: there was one.
        """
        if self._unsaved_steps(trainer):  # it ended without a validation, by trainer.max_time, say
            self._save(trainer)
        interruption.defer(False)
        (stop,) = agreed(trainer, interruption.requested() or 0)
        if stop:
            raise interruption.Interrupted(stop)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """As `on_train_end`: what fails after a signal may fail because of it, since others got it, too.

        A training that diverged, or lost a process, says which checkpoint is kept: this fit's newest, or the
        one it began with.

        Raises:
            LostProcessError: another process has ended. A scheduler then signals all that are left.
            Interrupted: there was one; its cause is the exception.
        """
        interruption.defer(False)
        outlive(trainer)
        file = self.saved or trainer.ckpt_path
        kept = f"The last good checkpoint is kept in {file}." if file else "No checkpoint was saved yet."
        if isinstance(exception, TrainingDivergedError):
            exception.args = (f"{exception} {kept}",)
        if is_of_another(exception):
            raise LostProcessError(
                f"One of the {trainer.world_size} processes has ended at step {trainer.global_step}, and the "
                f"others end with it; its log may tell why. {kept}"
            ) from exception
        stop = interruption.requested()
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
        """The costs, plain numbers; that of this state only if it has been validated."""
        return {"best_cost": self.best_cost, "cost": self._cost}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best cost, if this run has found it and still has the checkpoint that it belongs to."""
        if self._goes_on and (self.folder / "best.ckpt").is_file():
            self.best_cost = state_dict["best_cost"]

    def _save(self, trainer: Trainer, *, best: bool = False) -> None:
        """Write the last checkpoint, after a best one with the same bytes: tables take seconds to derive.

        The best one comes first. A last one that knows of a best cost without its file would keep it away.
        """
        names = ["best", "last"] if best else ["last"]
        first, *copies = (self.folder / f"{name}.ckpt" for name in names)
        trainer.save_checkpoint(first)
        for copy in copies if trainer.is_global_zero else ():
            write_bytes(copy, first.read_bytes())
        if self.best_cost is None and trainer.is_global_zero:
            (self.folder / "best.ckpt").unlink(missing_ok=True)  # of another run that was here
        self.saved = self.folder / "last.ckpt"
        self._saved_step, self._clock = trainer.global_step, time.monotonic()

    def _unsaved_steps(self, trainer: Trainer) -> int:
        return trainer.global_step - self._saved_step


def _validation_follows(trainer: Trainer, step: int) -> bool:
    """Whether the step of so many batches that begins is followed by a validation, as the last one is."""
    after = trainer.fit_loop.epoch_loop.total_batch_idx + step
    return not after % cast(int, trainer.val_check_batch) or trainer.global_step + 1 == trainer.max_steps
