"""The batches of a training depend on their numbers alone."""

import itertools
import multiprocessing
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lic.data import BuiltinPhotos, DeadLeaves, ImageData
from lic.data.loading import Batch

from .patches import patches_of, same, take


def after(data: ImageData, batches: int, rank: int = 0) -> ImageData:
    """The data of a process whose training has gone through so many batches."""
    progress = SimpleNamespace(total=SimpleNamespace(processed=batches))
    fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = cast(Any, SimpleNamespace(fit_loop=fit_loop, global_rank=rank))
    return data


@pytest.mark.parametrize("synthetic", [True, False])
def test_batches_depend_on_seed_and_number_only(photos: Path, synthetic: bool) -> None:
    def data(**changes: Any) -> ImageData:
        train = DeadLeaves() if synthetic else str(photos / "train")
        return ImageData(**{"train": train, "batch_size": 2, "patch_size": 16, "seed": 3} | changes)

    batches = take(data(), 7)
    assert batches[0].shape == (2, 3, 16, 16) and batches[0].dtype == torch.uint8
    assert len({batch.numpy().tobytes() for batch in batches}) == 7
    for workers in (0, 1, 2):
        assert same(take(data(num_workers=workers), 7), batches)
    for workers in (0, 2):  # what an interrupted run sees when it goes on
        assert same(take(after(data(num_workers=workers), 4), 3), batches[4:])
    assert [batch.number for batch in itertools.islice(after(data(), 4).train_dataloader(), 3)] == [4, 5, 6]
    assert not same(take(data(seed=4), 1), batches[:1])


@pytest.mark.parametrize("synthetic", [True, False])
def test_two_processes_share_the_batch_that_one_would_see(photos: Path, synthetic: bool) -> None:
    def data(batch_size: int, rank: int = 0) -> ImageData:
        train = DeadLeaves() if synthetic else str(photos / "train")
        return after(ImageData(train=train, batch_size=batch_size, patch_size=16), 0, rank)

    halves = zip(take(data(2, rank=0), 3), take(data(2, rank=1), 3), strict=True)
    assert same(take(data(4), 3), [torch.cat(parts) for parts in halves])


def test_a_second_pass_goes_on_at_the_batch_reached(photos: Path) -> None:
    data = after(ImageData(train=str(photos / "train"), batch_size=2, patch_size=16, num_workers=2), 0)
    loader = data.train_dataloader()
    first = patches_of(itertools.islice(loader, 3))
    after(data, 3)
    second = patches_of(itertools.islice(loader, 3))
    after(data, 0)
    assert same(first + second, take(data, 6))


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_random_numbers_alone(photos: Path, workers: int) -> None:
    data = ImageData(
        train=str(photos / "train"), valid=BuiltinPhotos("valid"), patch_size=16, num_workers=workers
    )
    before = _global_state()
    take(data, 2)
    next(iter(data.val_dataloader()))
    assert _global_state() == before


def _global_state() -> tuple[bytes, object, str]:
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), str(np.random.get_state(legacy=False))


class ThreadCount(DeadLeaves):
    def patches(self, key: tuple[int, int], items: range, size: int) -> Any:
        return np.full((len(items), 3, size, size), torch.get_num_threads(), np.uint8)


def test_workers_use_one_thread() -> None:
    assert take(ImageData(train=ThreadCount(), patch_size=4, num_workers=1), 1)[0].max() == 1


class Recorder(pl.LightningModule):
    """Remembers the batches it was given and learns from them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 1, 1)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen.append(batch.patches.clone())
        return self.net(batch.patches / 255).square().mean()

    def validation_step(self, batch: Tensor, index: int) -> None:
        assert batch.dtype == torch.uint8

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("workers", "accumulated"), [(0, 1), (2, 1), (0, 2)])
def test_a_resumed_training_sees_the_batches_of_an_uninterrupted_one(
    photos: Path, tmp_path: Path, workers: int, accumulated: int
) -> None:
    def train(steps: int, checkpoint: str | None = None) -> tuple[Recorder, pl.Trainer]:
        data = ImageData(
            train=str(photos / "train"), valid=str(photos / "valid"), batch_size=2, patch_size=16,
            num_workers=workers, seed=1,
        )  # fmt: skip
        model = Recorder()
        trainer = pl.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, val_check_interval=2,
            check_val_every_n_epoch=None, num_sanity_val_steps=0, accumulate_grad_batches=accumulated,
        )  # fmt: skip
        trainer.fit(model, data, ckpt_path=checkpoint)
        return model, trainer

    whole, _ = train(6)
    assert len(whole.seen) == 6 * accumulated
    assert not multiprocessing.active_children()  # workers that linger cost the next job seconds
    half, trainer = train(3)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    rest, _ = train(6, str(tmp_path / "half.ckpt"))
    assert same(half.seen + rest.seen, whole.seen)


def test_a_process_ends_although_its_workers_ignore_signals(run_python: Any) -> None:
    code = """
import lic
from lic.data import DeadLeaves, ImageData
data = ImageData(train=DeadLeaves(), batch_size=1, patch_size=8, num_workers=1)
batches = iter(data.train_dataloader())
next(batches)
raise SystemExit(7)  # with the worker still there, as where a traceback holds it
"""
    assert run_python("-c", code, timeout=60).returncode == 7
