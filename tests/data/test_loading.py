import multiprocessing
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lic.data import DeadLeaves, ImageData, Pixels
from lic.data.images import with_channels
from lic.data.loading import Batch, Batches, Endless, WholeImages
from lic.store.objective import Objective
from lic.training.base import Training
from lic.training.checkpoints import Checkpoints


class GrayNoise:
    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        return np.random.default_rng(key).integers(0, 256, (len(items), 1, size, size), np.uint8)


def test_patches_get_the_channels_asked_for() -> None:
    colour = Batches(DeadLeaves(), range(2), 16, 3, seed=1)[4].patches
    gray = Batches(DeadLeaves(), range(2), 16, 1, seed=1)[4].patches
    assert gray.shape == (2, 1, 16, 16) and gray.dtype == torch.uint8
    for a, b in zip(colour, gray, strict=True):
        assert np.array_equal(with_channels(a.permute(1, 2, 0).numpy(), 1)[..., 0], b[0].numpy())
    noise = Batches(GrayNoise(), range(2), 16, 1, seed=1)[4].patches
    assert torch.equal(Batches(GrayNoise(), range(2), 16, 3, seed=1)[4].patches, noise.repeat(1, 3, 1, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_whole_images_get_the_channels_asked_for(channels: Any) -> None:
    class Mixed(DeadLeaves):
        def __getitem__(self, index: int) -> Pixels:
            return super().__getitem__(index)[..., : (1, 3)[index]]

    images = WholeImages(Mixed(2, 12), channels)
    for i in range(2):
        assert images[i].shape == (1, channels, 12, 12)
        assert np.array_equal(images[i][0].permute(1, 2, 0).numpy(), with_channels(Mixed(2, 12)[i], channels))


class Recorder(Training):
    """Remembers epoch, number and index of every batch, and where epochs end."""

    is_codec = False

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 1, 1), {})
        self.seen: list[tuple[int, int, int]] = []
        self.ended: list[int] = []

    @property
    def objective(self) -> Objective:
        return Objective()

    def rehearse(self, batch: Batch) -> None:
        raise NotImplementedError

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen.append((self.current_epoch, batch.number, index))
        return self.net(batch.patches / 255).square().mean()

    def on_train_epoch_end(self) -> None:
        self.ended.append(self.current_epoch)

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.log("val/rd_cost", torch.tensor(1.0))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PowerCutError(RuntimeError):
    pass


class PowerCut(pl.Callback):
    """Saves as a signal or the clock would, before a batch, or not, and stops there."""

    def __init__(self, batch: int, file: Path | None) -> None:
        self.batch, self.file = batch, file

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, i: int
    ) -> None:
        if batch.number == self.batch:
            if self.file:
                trainer.save_checkpoint(self.file)
            raise PowerCutError


def fit(
    folder: Path, *callbacks: pl.Callback, validate: int = 2, accumulate: int = 1, **options: Any
) -> tuple[Recorder, pl.Trainer]:
    data = ImageData(
        train=DeadLeaves(), valid=DeadLeaves(1, 8), batch_size=1, patch_size=4,
        epoch_batches=options.pop("epoch_batches"),
    )  # fmt: skip
    model = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        val_check_interval=validate, check_val_every_n_epoch=None, num_sanity_val_steps=0,
        accumulate_grad_batches=accumulate, callbacks=[Checkpoints(folder), *callbacks],
        max_steps=options.pop("max_steps", -1), max_epochs=options.pop("max_epochs", None),
    )  # fmt: skip
    trainer.fit(model, data, weights_only=True, **options)
    return model, trainer


def test_epochs_end_and_go_on_with_the_next_batch(tmp_path: Path) -> None:
    model, trainer = fit(tmp_path, epoch_batches=3, max_steps=9)
    assert model.seen == [(i // 3, i, i % 3) for i in range(9)]
    assert model.ended == [0, 1, 2] and trainer.global_step == 9 and trainer.num_training_batches == 3
    endless, _ = fit(tmp_path / "endless", epoch_batches=None, max_steps=9)
    assert endless.seen == [(0, i, i) for i in range(9)]


@pytest.mark.parametrize(("validate", "accumulate", "size"), [(1, 1, 3), (2, 1, 3), (4, 2, 4), (2, 1, 1)])
@pytest.mark.parametrize("saved", [True, False])
def test_a_resumed_training_has_the_epochs_of_an_uninterrupted_one(
    tmp_path: Path, validate: int, accumulate: int, size: int, saved: bool
) -> None:
    options: dict[str, Any] = {"validate": validate, "accumulate": accumulate, "epoch_batches": size}
    whole, _ = fit(tmp_path / "whole", max_steps=7, **options)
    assert whole.seen == [(i // size, i, i % size) for i in range(7 * accumulate)]
    for step in range(validate, 6):
        folder = tmp_path / str(step)
        last = folder / "last.ckpt"
        with pytest.raises(PowerCutError):
            fit(folder, PowerCut(step * accumulate, last if saved else None), max_steps=7, **options)
        done = torch.load(last, weights_only=True)["global_step"] * accumulate
        assert done == step * accumulate if saved else done <= step * accumulate
        rest, _ = fit(folder, max_steps=7, ckpt_path=str(last), **options)
        assert rest.seen == whole.seen[done:], (step, done)
        assert rest.ended[-1] == whole.ended[-1]


def test_data_workers_start_where_another_way_of_starting_processes_is_set() -> None:
    """As in joblib's workers, whose own way asks processes for what torch's do not have."""
    import joblib.externals.loky  # noqa: F401 - it registers its way

    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("loky", force=True)
    try:
        batches = Batches(DeadLeaves(), range(2), 32, 3, seed=0)
        first = next(iter(Endless(batches, lambda: 0, num_workers=1)))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert torch.equal(first.patches, batches[0].patches)
