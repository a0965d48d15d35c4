import errno
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from lic import interruption
from lic.interruption import Interrupted
from lic.store.checkpoint import read_checkpoint


class Costs(Callback):
    """Replaces the costs of validations."""

    def __init__(self, *costs: float) -> None:
        self.costs = iter(costs)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        metric: Any = pl_module.validation_means["rd_cost"]  # type: ignore[index]
        metric.reset()
        metric.update(next(self.costs))


class Saved(Callback):
    """The step of last.ckpt before each step."""

    def __init__(self, folder: Path) -> None:
        self.file, self.steps = folder / "checkpoints" / "last.ckpt", list[int | None]()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.steps.append(read_checkpoint(self.file)["global_step"] if self.file.exists() else None)


def step_of(folder: Path, name: str) -> int:
    return int(read_checkpoint(folder / "checkpoints" / f"{name}.ckpt")["global_step"])


@pytest.mark.parametrize(
    ("costs", "best"),
    [((3.0, 1.0, 2.0, 2.0), 4), ((1.0, float("nan"), 2.0, 2.0), 2), ((float("nan"), 3.0, 4.0, 5.0), 4)],
)
def test_on_a_plateau_the_last_state_is_saved_all_the_same(
    make_codec: Any, fit: Any, tmp_path: Path, costs: tuple[float, ...], best: int
) -> None:
    fit(make_codec(), tmp_path, first=Costs(*costs), max_steps=8, val_check_interval=2)
    assert step_of(tmp_path, "last") == 8 and step_of(tmp_path, "best") == best


def test_the_clock_saves_between_validations(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    saved = Saved(tmp_path)
    fit(make_codec(), tmp_path, saved, minutes=1e-9, max_steps=4, val_check_interval=4)
    assert saved.steps == [None, None, 1, 2], "looked at before the checkpoint of the same moment"
    rare = Saved(tmp_path / "rare")
    fit(make_codec(), tmp_path / "rare", rare, max_steps=4, val_check_interval=4)
    assert rare.steps == [None] * 4


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_signal_saves_between_two_steps_and_the_run_goes_on_to_the_same_weights(
    make_codec: Any, fit: Any, tmp_path: Path, accumulated: int, ema: float | None
) -> None:
    class Signal(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == 2 * accumulated:  # with two batches a step, in the middle of one
                signal.raise_signal(signal.SIGTERM)

    def train(folder: Path, *callbacks: Callback, ckpt_path: str | None = None) -> dict[str, Any]:
        fit(
            make_codec(),
            folder,
            *callbacks,
            ema=ema,
            ckpt_path=ckpt_path,
            max_steps=8,
            val_check_interval=4 * accumulated,
            accumulate_grad_batches=accumulated,
        )
        return read_checkpoint(folder / "checkpoints" / "last.ckpt")

    whole = train(tmp_path / "whole")
    with interruption.handled(), pytest.raises(Interrupted) as stop:
        train(tmp_path / "parts", Signal())
    assert stop.value.exit_code == 143
    assert step_of(tmp_path / "parts", "last") == 3
    resumed = train(tmp_path / "parts", ckpt_path=str(tmp_path / "parts" / "checkpoints" / "last.ckpt"))
    assert resumed["global_step"] == whole["global_step"] == 8
    assert resumed["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"] == 8 * accumulated
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
    costs = [c["callbacks"]["Checkpoints"]["best_cost"] for c in (whole, resumed)]
    assert costs[0] == costs[1], "validated at the same steps"


def test_a_second_signal_stops_at_once(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    steps: list[int] = []

    class Twice(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
            steps.append(trainer.global_step)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with interruption.handled(), pytest.raises(Interrupted) as stop:
        fit(make_codec(), tmp_path, Twice())
    assert stop.value.exit_code == 130 and steps == [0]
    assert not (tmp_path / "checkpoints").exists()


def test_halves_of_an_accumulated_batch_have_noise_of_their_own(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    """With equal patches and weights, equal noise would give equal losses."""
    losses: list[float] = []

    class Losses(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
            losses.append(round(loss.item(), 6))

    codec = make_codec()
    codec.lr = 1e-12
    codec.on_train_batch_start = lambda batch, index: batch.patches.fill_(100).numel() * 0
    fit(codec, tmp_path, Losses(), max_steps=2, accumulate_grad_batches=2)
    assert len(losses) == len(set(losses)) == 4


def test_a_full_disk_leaves_the_checkpoint_that_was_there(
    make_codec: Any, fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(make_codec(), tmp_path, max_steps=2)

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lic.atomic.os.fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            fit(make_codec(), tmp_path, max_steps=4)
    assert str(caught.value.filename).endswith("t.ckpt")
    assert step_of(tmp_path, "last") == 2
    assert sorted(f.name for f in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_the_best_cost_of_another_run_does_not_count(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    fit(make_codec(), tmp_path / "a", first=Costs(1.0), max_steps=2)
    last = str(tmp_path / "a" / "checkpoints" / "last.ckpt")
    fit(make_codec(), tmp_path / "b", first=Costs(5.0), ckpt_path=last, max_steps=4)
    assert step_of(tmp_path / "b", "best") == 4
