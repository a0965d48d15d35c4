"""A run from its first step to its files, on the CPU and on a GPU; but for the device the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.store.checkpoint import read_checkpoint

DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("gpu", marks=pytest.mark.gpu)]
SMALL = (
    *("model=hyperprior", "model.width=8", "model.kernel_size=3", "distortion=mse", "lambda=0.01"),
    *("data.patch_size=64", "data.batch_size=2", "data.num_workers=1", "trainer.val_check_interval=2"),
    *("logger=csv", "classical=[]", "trainer.limit_val_batches=2"),
)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_trains_goes_on_and_is_measured(
    run_python: Any, repository: Path, tmp_path: Path, device: str
) -> None:
    """``trainer=gpu`` in bfloat16; the files are coded in float32, by networks that decode them again."""

    def train(*options: str) -> str:
        common = (f"trainer={'gpu' if device == 'gpu' else 'default'}", f"trainer.accelerator={device}")
        done = run_python(
            repository / "train.py", *common, *SMALL, "trainer.precision=auto", "hydra.run.dir=run", *options
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = train("trainer.max_steps=4")
    assert "Training in bfloat16: this GPU has" in said or (device == "cpu" and "this CPU has" in said)
    said = train("trainer.max_steps=6", "ckpt_path=last")
    assert "last.ckpt, step 4." in said
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 6
    assert all(v.isfinite().all() for v in last["state_dict"].values() if v.dtype == torch.float32)
    mean = json.loads((tmp_path / "run" / "test.json").read_text())["mean"]
    assert 0 < mean["bpp"] < 24 and mean["psnr"] > 0
