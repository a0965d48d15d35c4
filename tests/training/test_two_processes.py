"""Two processes see what one with twice the batch would, on a CPU (gloo)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.data import write_png
from lic.status import read_status
from lic.store.checkpoint import read_checkpoint

from ..metrics_file import values

ONE = ("data.batch_size=4", "trainer.accelerator=cpu")
TWO = ("data.batch_size=2", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
SMALL_STEPS = "optimizer.lr=1e-5"
"""A bias ahead of batch normalization has a gradient of rounding errors, of which Adam makes whole steps."""
SRGAN = ("model=srgan", "model.width=4", "model.blocks=2", SMALL_STEPS)
TRAININGS = {
    "rate_distortion": (
        *("model=baseline", "model.kernel_size=3", "model.width=8", "distortion=mse", "lambda=0.01"),
    ),
    "two_phase": ("model=residual_gn", "model.width=8", "model.bottleneck=16", "distortion_share=0.5"),
    "compact": ("model=icm_irm", "model.width=4", SMALL_STEPS),
    "compact in turns": ("model=comcnn_reccnn", "model.width=4", "turns=1", "alpha=0", SMALL_STEPS),
    "super_resolution": SRGAN,
    "adversarial": (*SRGAN, "training=adversarial", "discriminator.width=4"),
}


@pytest.fixture
def train(run_python: Any, repository: Path, tmp_path: Path) -> Any:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    write_png(tmp_path / "photos" / "a.png", image)
    photos = tmp_path / "photos"

    def train(folder: str, *options: str, **environment: str) -> Any:
        return run_python(
            repository / "train.py", "logger=csv", "classical=[]", "data.num_workers=0", "data.patch_size=64",
            f"data.valid={photos}", f"data.test={photos}", "trainer.max_steps=10",
            "trainer.val_check_interval=5", "trainer.log_every_n_steps=1", "trainer.precision=32-true",
            f"hydra.run.dir={folder}", *options, **environment,
        )  # fmt: skip

    return train


@pytest.mark.slow
@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS)
def test_two_processes_train_as_one_with_twice_the_batch(
    train: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    for name, processes in (("one", ONE), ("two", TWO)):
        done = train(name, *processes, *options)
        assert done.returncode == 0, done.stderr
    for split in ("train", "val"):
        one, two = (values(tmp_path / name / "metrics.csv", split) for name in ("one", "two"))
        assert one and one.keys() == two.keys()
        for name, expected in one.items():
            assert two[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert not list((tmp_path / "two").glob("metrics.?.csv")) and list((tmp_path / "two").glob("report.html"))


@pytest.mark.slow
def test_all_processes_end_where_one_has_no_number(train: Any, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "poison.py").write_text(
        "import lightning, torch\n"
        "class Poison(lightning.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, *args):\n"
        "        if trainer.global_rank == 1 and trainer.global_step == 6:\n"
        "            torch.nn.init.constant_(next(module.net.parameters()), torch.nan)\n"
    )
    poisoned, path = "trainer.callbacks=[{_target_: poison.Poison}]", f"{repository}:{tmp_path}"
    done = train("run", *TWO, *TRAININGS["rate_distortion"], poisoned, PYTHONPATH=path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Training diverged: the loss is nan at step 6" in done.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 5
    assert read_status(tmp_path / "run")["status"] == "failed"
