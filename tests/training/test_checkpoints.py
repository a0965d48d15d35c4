import errno
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from lic import interruption
from lic.entropy import update_tables
from lic.interruption import Interrupted
from lic.store.checkpoint import read_checkpoint

from .recording import At


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


def test_the_best_state_is_the_last_one_in_a_file_of_its_own(
    make_codec: Any, fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived: list[None] = []

    def update(net: torch.nn.Module) -> None:
        derived.append(None)
        update_tables(net)

    monkeypatch.setattr("lic.training.base.update_tables", update)
    fit(make_codec(), tmp_path, max_steps=2, val_check_interval=2)
    best, last = (tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    assert best.read_bytes() == last.read_bytes() and not best.samefile(last)
    assert len(derived) == 2, "before the step that the validation follows, and after it"


def test_the_clock_saves_between_validations(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    saved = Saved(tmp_path)
    fit(make_codec(), tmp_path, saved, minutes=1e-9, max_steps=4, val_check_interval=4)
    assert saved.steps == [None, None, 1, 2], "looked at before the checkpoint of the same moment"
    rare = Saved(tmp_path / "rare")
    fit(make_codec(), tmp_path / "rare", rare, max_steps=4, val_check_interval=4)
    assert rare.steps == [None] * 4


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


def test_all_processes_end_with_the_signal_that_one_got(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    class Other(Callback):
        """A second process, which gets SIGINT before the third step."""

        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            def reduce(own: torch.Tensor, group: Any = None, reduce_op: Any = "mean") -> torch.Tensor:
                other = torch.zeros_like(own).flatten()
                other[0] = signal.SIGINT if trainer.global_step == 2 else 0
                return own + other.view_as(own) if reduce_op == "sum" else own.maximum(other.view_as(own))

            trainer.strategy.reduce = reduce  # type: ignore[method-assign, assignment]
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


def test_a_cost_is_kept_with_the_state_that_it_was_measured_on(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    costs: dict[int, float | None] = {}

    class Costs(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            checkpoint = tmp_path / "checkpoints" / "last.ckpt"
            if checkpoint.exists():
                saved = read_checkpoint(checkpoint)
                costs[saved["global_step"]] = saved["callbacks"]["Checkpoints"]["cost"]

    fit(make_codec(), tmp_path, Costs(), minutes=1e-9, max_steps=6, val_check_interval=2)
    assert [step for step, cost in costs.items() if cost is None] == [1, 3, 5]
    assert sorted(costs) == [1, 2, 3, 4, 5]


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


def test_neither_does_it_beside_the_best_state_of_a_third(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    fit(make_codec(), tmp_path / "a", first=Costs(1.0), max_steps=2)
    fit(make_codec(seed=1), tmp_path / "b", first=Costs(2.0, 3.0), max_steps=4)
    last = str(tmp_path / "a" / "checkpoints" / "last.ckpt")
    fit(make_codec(), tmp_path / "b", first=Costs(5.0), ckpt_path=last, max_steps=4)
    assert step_of(tmp_path / "b", "best") == 4


def test_a_run_that_chose_nothing_yet_leaves_no_best_state_of_another(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    fit(make_codec(), tmp_path / "a", first=Costs(1.0), max_steps=2)
    fit(make_codec(seed=1), tmp_path / "b", first=Costs(2.0, 3.0), max_steps=4)
    last = str(tmp_path / "a" / "checkpoints" / "last.ckpt")
    fails = At(4, Mock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        fit(
            make_codec(),
            tmp_path / "b",
            fails,
            ckpt_path=last,
            minutes=1e-9,
            max_steps=8,
            val_check_interval=8,
        )
    assert [file.name for file in (tmp_path / "b" / "checkpoints").iterdir()] == ["last.ckpt"]
    assert step_of(tmp_path / "b", "last") == 3
