"""What a training shows on a terminal."""

import signal
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, LightningModule, Trainer

from lic import interruption
from lic.interruption import Interrupted
from lic.training.logs import ProgressBar


class Shown(Callback):
    """What the bar says after each batch, as "3/8"; tells the process to stop after some batch."""

    def __init__(self, stop_after: int = -1) -> None:
        self.stop_after, self.texts = stop_after, list[str]()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bar = trainer.progress_bar_callback
        assert isinstance(bar, ProgressBar) and bar.progress is not None
        task = bar.progress.tasks[bar.train_progress_bar_id or 0]
        self.texts.append(f"{task.completed:.0f}/{task.total}")
        if batch.number == self.stop_after:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize(("epoch", "stop_after"), [(1.0, 3), (6, 3), (6, 7)])
def test_a_resumed_bar_says_what_that_of_a_whole_run_says(
    make_codec: Any, fit: Any, tmp_path: Path, accumulated: int, epoch: float, stop_after: int
) -> None:
    """``epoch`` are batches, or the share 1.0 of endless ones."""
    options = {"max_steps": 10, "val_check_interval": 4, "limit_train_batches": epoch}
    options["accumulate_grad_batches"] = accumulated
    fit(make_codec(), tmp_path / "whole", whole := Shown(), **options)
    with interruption.handled(), pytest.raises(Interrupted):
        fit(make_codec(), tmp_path, first := Shown(stop_after), **options)
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    fit(make_codec(), tmp_path, rest := Shown(), ckpt_path=last, **options)
    assert first.texts == whole.texts[: stop_after + 1]
    assert rest.texts == whole.texts[-len(rest.texts) :] and len(rest.texts) < len(whole.texts)
    batches = 10 * accumulated
    lengths = [batches] if epoch == 1 else [6] * (batches // 6) + [batches % 6]
    assert whole.texts == [f"{batch}/{length}" for length in lengths for batch in range(1, length + 1)]
