"""How long a training will take, said before its first step, and how far it is."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lic import interruption
from lic.data.loading import Endless
from lic.errors import UserError
from lic.status import say_how_far
from lic.training.base import Training
from lic.training.processes import agreed

_ENOUGH = 2.0  # seconds; a faster first pass is mostly warming up, and a second one is timed
_SECONDS_BETWEEN = 10.0  # two looks at how far a training is

_log = logging.getLogger(__name__)


class Pace(Callback):
    """Times a rehearsal of the first step, which changes nothing, and logs how long all steps will take."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log one line; all processes take the steps, since batch normalization may be over all of them.

        Raises:
            UserError: they begin at different steps, as a slow file system showed them different checkpoints.
        """
        last, first = agreed(trainer, trainer.global_step, -trainer.global_step)
        if last != -first:
            raise UserError(
                f"The processes would go on from different checkpoints, of steps {-first} to {last}; start "
                "again when all machines see the same files."
            )
        steps = trainer.max_steps - trainer.global_step
        if steps < 1:
            return
        seconds = self._step(trainer, pl_module)
        (enough,) = agreed(trainer, int(seconds >= _ENOUGH))
        if not enough:
            seconds = self._step(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Training)
        seconds *= pl_module.batches_per_step
        interruption.defer(True)  # from the line on that promises it: a bar is half started for a moment
        _log.info(
            "Training: %s steps of about %.2g s, %s in all and validations besides. Shorter with a smaller "
            "trainer.max_steps, model.width or data.patch_size, or with trainer=gpu. Ctrl-C saves and ends.",
            f"{steps:,}",
            seconds,
            duration(steps * seconds),
        )

    def _step(self, trainer: Trainer, module: LightningModule) -> float:
        """Seconds of a batch, from its patches to its gradient; workers make patches meanwhile."""
        loader = trainer.train_dataloader
        assert isinstance(loader, Endless) and isinstance(module, Training)
        start = time.perf_counter()
        batch = loader.batches[loader.first()]  # made here: workers would have to start for it
        made = time.perf_counter()
        batch = trainer.strategy.batch_to_device(batch)
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        devices = [module.device] if module.device.type == "cuda" else []
        with torch.random.fork_rng(devices), trainer.precision_plugin.train_step_context():
            module.rehearse(batch)
        for name, buffer in module.named_buffers():  # running statistics, say
            buffer.copy_(buffers[name])
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        making, computing = made - start, time.perf_counter() - made
        return max(making / loader.num_workers, computing) if loader.num_workers else making + computing


class Progress(Callback):
    """Keeps in the run's ``status.json`` how far the training is, for `lic sweep status`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._step, self._clock = 0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._step, self._clock = trainer.global_step, time.monotonic()
        self._say(trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Now and then write the step, and the seconds that one has taken since the last time."""
        seconds, steps = time.monotonic() - self._clock, trainer.global_step - self._step
        if seconds > _SECONDS_BETWEEN and steps:
            self._say(trainer, seconds_per_step=seconds / steps)
            self._step, self._clock = trainer.global_step, time.monotonic()

    def _say(self, trainer: Trainer, **pace: float) -> None:
        if trainer.is_global_zero:
            say_how_far(self.folder, step=trainer.global_step, steps=trainer.max_steps, **pace)


def duration(seconds: float) -> str:
    """About how long, in the unit that people would use."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.0f} {unit}s"
    return "about a minute" if seconds >= 45 else "less than a minute"
