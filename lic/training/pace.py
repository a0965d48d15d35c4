"""How long a training will take, said before its first step."""

import logging
import time

import torch
from lightning import Callback, LightningModule, Trainer

from lic import interruption
from lic.data.loading import Endless
from lic.training.base import Training
from lic.training.processes import agreed

_ENOUGH = 2.0  # seconds; a faster first pass is mostly warming up, and a second one is timed

_log = logging.getLogger(__name__)


class Pace(Callback):
    """Times a rehearsal of the first step, which changes nothing, and logs how long all steps will take."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log one line; all processes take the steps, since batch normalization may be over all of them."""
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


def duration(seconds: float) -> str:
    """About how long, in the unit that people would use."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.0f} {unit}s"
    return "about a minute" if seconds >= 45 else "less than a minute"
