import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import Precision

from lic.data import DeadLeaves, ImageData
from lic.data.loading import Batch
from lic.status import read_status, write_status
from lic.training import pace
from lic.training.pace import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "less than a minute"),
        (60, "about a minute"),
        (600, "about 10 minutes"),
        (7200, "about 2 hours"),
        (34_128_000, "about 395 days"),
    ],
)
def test_durations_are_in_the_unit_that_people_use(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_says_how_long_it_takes_and_changes_nothing(
    make_codec: Any, fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before: dict[str, torch.Tensor] = {}

    class First(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == 0:
                assert all(p.grad is None for p in pl_module.parameters())
                before.update({k: v.clone() for k, v in pl_module.state_dict().items()})
                assert re.search(r"Training: 2 steps of about [\d.e-]+ s, less than a minute", caplog.text)

    codec, timed = make_codec(), list[Batch]()
    loss = codec.loss

    def watched(batch: Batch) -> Any:
        timed.append(batch)
        return loss(batch)

    codec.loss = watched
    weights = {k: v.clone() for k, v in codec.state_dict().items()}
    with caplog.at_level("INFO", "lic.training.pace"):
        fit(codec, tmp_path, First(), max_steps=2)
    assert before and all(torch.equal(weights[name], value) for name, value in before.items())
    assert len(timed) == 4 and [batch.number for batch in timed] == [0, 0, 0, 1]
    assert torch.equal(timed[0].patches, timed[2].patches), "a batch like those of the training"


@pytest.mark.parametrize(("workers", "seconds"), [(0, "3"), (1, "2"), (2, "1"), (4, "1")])
def test_the_pace_includes_the_data_and_waits_for_the_device(
    make_codec: Any,
    fit: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    workers: int,
    seconds: str,
) -> None:
    """Patches of a batch take 2 s, and the device, which works beside the process, takes 1 s for a step."""
    now = 0.0

    def passing(took: float) -> Any:
        def wait(*args: Any) -> None:
            nonlocal now
            now += took

        return wait

    class Slow(DeadLeaves):
        def patches(self, *args: Any) -> Any:
            passing(2)()
            return super().patches(*args)

    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "synchronize", passing(1))
    codec = make_codec()
    data = ImageData(train=Slow(), valid=DeadLeaves(1, 64), batch_size=2, patch_size=64, num_workers=workers)
    trainer = SimpleNamespace(
        is_global_zero=True,
        world_size=1,
        max_steps=10,
        global_step=0,
        train_dataloader=data.train_dataloader(),
        strategy=SimpleNamespace(batch_to_device=lambda batch: batch),
        precision_plugin=Precision(),
    )
    monkeypatch.setattr(type(codec), "batches_per_step", 1)
    with caplog.at_level("INFO", "lic.training.pace"):
        pace.Pace().on_train_start(trainer, codec)  # type: ignore[arg-type]
    assert f"10 steps of about {seconds} s" in caplog.text


def test_a_running_job_says_how_far_it_is(
    make_codec: Any, fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    class Look(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            seen.append(read_status(tmp_path))

    monkeypatch.setattr(pace, "_SECONDS_BETWEEN", 1e-9)
    write_status(tmp_path, status="running", config="x")
    fit(make_codec(), tmp_path, Look(), max_steps=3)
    assert [status["step"] for status in seen] == [1, 2, 3]
    for status in seen:
        assert (status["status"], status["config"], status["steps"]) == ("running", "x", 3)
        assert 0 < status["seconds_per_step"] < 60


def test_that_is_not_said_often_nor_where_nobody_runs(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    fit(make_codec(), tmp_path / "alone", max_steps=2)
    assert read_status(tmp_path / "alone") == {}
    (tmp_path / "job").mkdir()
    write_status(tmp_path / "job", status="running")
    fit(make_codec(), tmp_path / "job", max_steps=2)
    assert read_status(tmp_path / "job")["step"] == 0
