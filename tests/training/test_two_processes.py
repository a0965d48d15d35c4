"""Two processes see what one with twice the batch would: on a CPU (gloo), and on two GPUs (NCCL)."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lic.data import write_png
from lic.status import read_status
from lic.store.checkpoint import read_checkpoint

from ..metrics_file import values

ONE = ("data.batch_size=4",)
TWO = ("data.batch_size=2", "trainer=ddp", "trainer.devices=2")
DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("gpu", marks=pytest.mark.gpu(2))]
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

    def train(folder: str, *options: str, device: str = "cpu", **environment: str) -> Any:
        environment["NVIDIA_TF32_OVERRIDE"] = "0"  # ten bits would hide what differs
        return run_python(
            repository / "train.py", "logger=csv", "classical=[]", "data.num_workers=0", "data.patch_size=64",
            f"data.valid={photos}", f"data.test={photos}", "trainer.max_steps=10",
            "trainer.val_check_interval=5", "trainer.log_every_n_steps=1", "trainer.precision=32-true",
            f"hydra.run.dir={folder}", *options, f"trainer.accelerator={device}", **environment,
        )  # fmt: skip

    return train


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS)
def test_two_processes_train_as_one_with_twice_the_batch(
    train: Any, tmp_path: Path, options: tuple[str, ...], device: str
) -> None:
    for name, processes in (("one", ONE), ("two", TWO)):
        done = train(name, *processes, *options, device=device)
        assert done.returncode == 0, done.stderr
    for split in ("train", "val"):
        one, two = (values(tmp_path / name / "metrics.csv", split) for name in ("one", "two"))
        assert one and one.keys() == two.keys()
        for name, expected in one.items():
            assert two[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert not list((tmp_path / "two").glob("metrics.?.csv")) and list((tmp_path / "two").glob("report.html"))


@pytest.mark.parametrize("device", DEVICES)
def test_means_of_validation_count_every_image_once(
    train: Any, repository: Path, tmp_path: Path, device: str
) -> None:
    """Of an odd number, of different sizes; the weights stay what they are, so that nothing else differs."""
    for i, shape in enumerate([(64, 96, 3), (80, 64, 3)]):
        image = np.random.default_rng(i).integers(0, 256 - 99 * i, shape, dtype=np.uint8)
        write_png(tmp_path / "photos" / f"{i}.png", image)
    still = ("optimizer.lr=1e-30", "optimizer.final_lr=1e-30", "optimizer.aux_lr=1e-30")
    found = []
    for name, processes in (("one", ONE), ("two", TWO)):
        done = train(name, *processes, *TRAININGS["rate_distortion"], *still, device=device)
        assert done.returncode == 0, done.stderr
        found.append(values(tmp_path / name / "metrics.csv", "val"))
    assert found[0] == found[1] and len(found[0]["val/bpp"]) == 2


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


@pytest.mark.slow
def test_a_process_that_is_killed_does_not_leave_the_other_waiting(
    train: Any, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "fault.py").write_text(
        "import lightning, os, signal\n"
        "class Killed(lightning.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, *args):\n"
        "        if trainer.global_rank == 1 and trainer.global_step == 6:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed, path = "trainer.callbacks=[{_target_: fault.Killed}]", f"{repository}:{tmp_path}"
    done = train("run", *TWO, *TRAININGS["rate_distortion"], killed, PYTHONPATH=path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    kept = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert "One of the 2 processes has ended at step 6" in done.stderr
    assert f"The last good checkpoint is kept in {kept}." in done.stderr
    assert read_checkpoint(kept)["global_step"] == 5 and read_status(tmp_path / "run")["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_end_and_go_on_as_one_does(
    train: Any, repository: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """Ctrl-C reaches both, `kill` one of them; it ends with the other after the same step."""
    (tmp_path / "fault.py").write_text(
        "import atexit, lightning, os, time\n"
        "class Told(lightning.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, *args):\n"
        "        signum = int(os.environ.get('SIGNUM', 0))\n"
        "        if signum and trainer.global_step == 2 and signum in (2, 15 * trainer.global_rank):\n"
        "            os.kill(os.getpid(), signum)\n"
        "    def on_exception(self, trainer, *args):\n"
        "        if trainer.global_rank == 0:\n"
        "            atexit.register(time.sleep, 6)  # as W&B takes its time\n"
    )
    options = (*TWO, *TRAININGS["rate_distortion"], "trainer.callbacks=[{_target_: fault.Told}]")
    path = f"{repository}:{tmp_path}"
    told = train("parts", *options, PYTHONPATH=path, SIGNUM=str(int(signum)))
    assert told.returncode == 128 + signum and told.stderr.count("To continue: ") == 1, told.stderr
    parts, whole = (tmp_path / name / "checkpoints" / "last.ckpt" for name in ("parts", "whole"))
    assert read_checkpoint(parts)["global_step"] == 2 and not (parts.parent / "best.ckpt").exists()
    for name, more in (("parts", ["ckpt_path=last"]), ("whole", [])):
        done = train(name, *options, *more, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
    ends = [read_checkpoint(file)["state_dict"] for file in (parts, whole)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
