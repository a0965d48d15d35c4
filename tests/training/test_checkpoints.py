import errno
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from lic.atomic import FULL, replacing
from lic.entropy import update_tables
from lic.entry import user_message
from lic.store.checkpoint import read_checkpoint
from lic.training.checkpoints import Checkpoints

from .recording import At, step_of


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


@pytest.mark.parametrize("number", sorted(FULL), ids=errno.errorcode.get)
def test_whatever_says_that_there_is_no_room_is_a_sentence(tmp_path: Path, number: int) -> None:
    """A full disk, a quota, a limit of files."""
    with pytest.raises(OSError) as caught, replacing(tmp_path / "last.ckpt"):
        raise OSError(number, os.strerror(number))
    said = f"{tmp_path / 'last.ckpt'}: {os.strerror(number)}; check the path"
    assert (user_message(caught.value) or "").startswith(said)


KILLED_AS_IT_WRITES = """
import os, signal, sys
from lic import train
sync, written = os.fsync, []
def fsync(handle):
    name = os.readlink(f"/proc/self/fd/{handle}")
    written.append(name) if name.endswith(".ckpt") else None
    os.kill(os.getpid(), signal.SIGKILL) if len(written) == 4 else sync(handle)
os.fsync = fsync
train.run()
"""


@pytest.mark.slow
def test_a_job_that_is_killed_as_it_saves_goes_on_from_the_newest_whole_checkpoint(
    run_python: Any, repository: Path, tmp_path: Path
) -> None:
    command = (
        *("-m", "model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse", "lambda=0.01"),
        *(
            "trainer=debug",
            "trainer.accelerator=cpu",
            "trainer.max_steps=8",
            "data.patch_size=64",
            "classical=[]",
        ),
        *("data.batch_size=1", "data.num_workers=0", "logger=csv", "hydra.sweep.dir=sweep"),
    )
    killed = run_python("-c", KILLED_AS_IT_WRITES, *command)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob("sweep/*/checkpoints")
    assert len([file for file in folder.iterdir() if file.name.startswith(".")]) == 1
    saved = step_of(folder.parent, "last")
    assert 0 < saved < 8
    again = run_python(repository / "train.py", *command)
    assert again.returncode == 0, again.stderr
    assert f"last.ckpt, step {saved}." in again.stdout and step_of(folder.parent, "last") == 8
    assert sorted(file.name for file in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("steps", [2, 6])
def test_a_run_that_goes_on_keeps_its_best_state(
    make_codec: Any, fit: Any, tmp_path: Path, steps: int
) -> None:
    """Also where nothing is left to train: a run may be ended while its files are measured."""
    fit(make_codec(), tmp_path, first=Costs(1.0), max_steps=2)
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    options = {"max_steps": steps, "val_check_interval": 6, "minutes": 1e-9}
    ended = fit(make_codec(), tmp_path, first=Costs(5.0), ckpt_path=last, **options)
    (checkpoints,) = (c for c in ended.callbacks if isinstance(c, Checkpoints))
    assert checkpoints.best_cost == 1.0 and step_of(tmp_path, "best") == 2


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
