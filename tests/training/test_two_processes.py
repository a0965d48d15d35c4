"""Two processes see what one with twice the batch would."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.data import write_png
from lic.store.checkpoint import read_checkpoint

ONE = ("data.batch_size=4",)
TWO = ("data.batch_size=2", "trainer.devices=2", "+trainer.strategy=ddp")


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(
    run_python: Any, repository: Path, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    write_png(tmp_path / "photos" / "a.png", image)
    photos = tmp_path / "photos"
    weights = []
    for name, options in (("one", ONE), ("two", TWO)):
        done = run_python(
            repository / "train.py", "model=baseline", "model.kernel_size=3", "model.width=8",
            "distortion=mse", "lambda=0.01", "logger=csv", "classical=[]", "data.num_workers=0",
            "data.patch_size=64", f"data.valid={photos}", f"data.test={photos}", "trainer.accelerator=cpu",
            "trainer.max_steps=10", "trainer.val_check_interval=5", f"hydra.run.dir={name}", *options,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        weights.append(read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"])
        assert (tmp_path / name / "test.json").exists() and not list((tmp_path / name).glob("metrics.?.csv"))
    for key, value in weights[0].items():
        if value.is_floating_point() and value.numel():
            assert (value - weights[1][key]).abs().max() < 1e-6, key
