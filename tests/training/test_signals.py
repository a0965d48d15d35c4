"""A training that is told to stop, and what it does when it goes on."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import distributed

from lic import interruption
from lic.interruption import Interrupted
from lic.store.checkpoint import read_checkpoint

from .recording import step_of


@pytest.fixture
def train_to(make_codec: Any, fit: Any) -> Callable[..., dict[str, Any]]:
    """Train so many steps with two validations; the last checkpoint."""

    def train(
        folder: Path, *callbacks: Callback, max_steps: int, accumulated: int, **options: Any
    ) -> dict[str, Any]:
        options |= {
            "val_check_interval": max_steps // 2 * accumulated,
            "accumulate_grad_batches": accumulated,
        }
        fit(make_codec(), folder, *callbacks, max_steps=max_steps, **options)
        return read_checkpoint(folder / "checkpoints" / "last.ckpt")

    return train


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_signal_saves_between_two_steps_and_the_run_goes_on_to_the_same_weights(
    train_to: Any, tmp_path: Path, accumulated: int, ema: float | None
) -> None:
    class Signal(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == 2 * accumulated:  # with two batches a step, in the middle of one
                signal.raise_signal(signal.SIGTERM)

    train = partial(train_to, max_steps=8, accumulated=accumulated, ema=ema)
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


class SignalInValidation(Callback):
    """Tells the process to stop before the only image of a validation, or after it; counts the images."""

    def __init__(self, validation: int, *, after: bool = False) -> None:
        self.validation, self.after, self.images = validation, after, 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.images == self.validation - 1 and not self.after:
            signal.raise_signal(signal.SIGINT)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        self.images += 1
        if self.images == self.validation and self.after:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("validation", [1, 2])
def test_a_signal_ends_a_validation_and_the_run_goes_on_to_the_same_weights(
    train_to: Any, tmp_path: Path, accumulated: int, ema: float | None, validation: int
) -> None:
    """The second one is that after the last step, which Lightning would not repeat."""

    train = partial(train_to, max_steps=4, accumulated=accumulated, ema=ema)
    whole, stopping = train(tmp_path / "whole"), SignalInValidation(validation)
    with interruption.handled(), pytest.raises(Interrupted) as stop:
        train(tmp_path / "parts", stopping)
    assert stop.value.exit_code == 130
    assert stopping.images == validation - 1, "the rest need not be waited for"
    assert step_of(tmp_path / "parts", "last") == 2 * validation - 1
    resumed = train(tmp_path / "parts", ckpt_path=str(tmp_path / "parts" / "checkpoints" / "last.ckpt"))
    assert all(torch.equal(resumed["state_dict"][k], value) for k, value in whole["state_dict"].items())
    states = [checkpoint["callbacks"]["Checkpoints"] for checkpoint in (whole, resumed)]
    assert states[0] == states[1], "validated at the same steps"


def test_a_signal_in_the_last_image_of_the_last_validation_is_not_lost(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    with interruption.handled():
        with pytest.raises(Interrupted) as stop:
            fit(make_codec(), tmp_path, SignalInValidation(2, after=True), max_steps=4)
        assert stop.value.exit_code == 130
    assert interruption.requested() is None, "what comes next in the process knows nothing of it"
    assert step_of(tmp_path, "last") == 4, "all has been done and saved"


def test_a_validation_that_nobody_foresaw_is_finished_and_saved(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    """As a timer's, which ends the training."""

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == 2

    stopping = SignalInValidation(1)
    with interruption.handled(), pytest.raises(Interrupted):
        fit(make_codec(), tmp_path, Stop(), stopping, val_check_interval=4)
    assert stopping.images == 1 and step_of(tmp_path, "last") == 2


def test_all_processes_end_with_the_signal_that_one_got(
    make_codec: Any, fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Callback):
        """A second process, which gets SIGINT before the third step."""

        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            def all_reduce(own: torch.Tensor, op: Any = distributed.ReduceOp.SUM) -> None:
                other = torch.zeros_like(own)
                other[0] = signal.SIGINT if trainer.global_step == 2 else 0
                own.copy_(own.maximum(other) if op == distributed.ReduceOp.MAX else own + other)

            monkeypatch.setattr(distributed, "all_reduce", all_reduce)
            monkeypatch.setattr(trainer.strategy, "reduce", lambda own, *_, **options: own)
            trainer.strategy.world_size = 2  # type: ignore[attr-defined]

    with interruption.handled(), pytest.raises(Interrupted) as stop:
        fit(make_codec(), tmp_path, first=Other(), val_check_interval=4)
    assert stop.value.exit_code == 130 and step_of(tmp_path, "last") == 2


def test_what_fails_after_a_signal_is_told_beside_it(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    class Fails(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    with interruption.handled(), pytest.raises(Interrupted) as stop:
        fit(make_codec(), tmp_path, Fails())
    assert isinstance(stop.value.__cause__, ZeroDivisionError)
