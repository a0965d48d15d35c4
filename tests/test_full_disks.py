"""Sweeps on a disk that fills at one place or another and then gets more room, or that takes nothing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lic.status import read_status
from lic.store.checkpoint import read_checkpoint

pytestmark = pytest.mark.slow

COMMAND = (
    *("-m", "model=baseline", "model.width=8", "model.kernel_size=3", "distortion=mse", "lambda=0.01,0.02"),
    *("classical=[]", "trainer=debug", "trainer.accelerator=cpu", "trainer.max_steps=40"),
    *("data.patch_size=64", "data.batch_size=1", "data.num_workers=0", "hydra.sweep.dir=disk/sweep"),
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "lic", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [36, 100, 4000])
def test_a_disk_that_fills_fails_jobs_in_a_sentence_and_loses_nothing(
    run_python: Any, repository: Path, disk: Path, kilobytes: int
) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
    failed = run_python(repository / "train.py", *COMMAND)
    assert failed.returncode in (2, 3), failed.stderr
    said = failed.stdout + failed.stderr
    assert "No space left on device; " in said and "Traceback" not in said and "Logging error" not in said, (
        said
    )
    assert len(failed.stderr.splitlines()) < 10
    steps = {}
    for file in disk.glob("sweep/*/checkpoints/*"):
        steps[file] = read_checkpoint(file)["global_step"]  # whole, or not there

    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    again = run_python(repository / "train.py", *COMMAND)
    assert again.returncode == 0, again.stderr
    for value in ("0.01", "0.02"):
        job = disk / "sweep" / f"lambda-{value}"
        assert read_status(job)["status"] == "done"
        last = job / "checkpoints" / "last.ckpt"
        assert read_checkpoint(last)["global_step"] == 40
        if steps.get(last, 40) < 40:
            assert f"Continuing from {last.resolve()}, step {steps[last]}." in again.stdout


def test_a_read_only_folder_is_refused_in_a_sentence_and_may_be_looked_at(
    run_python: Any, repository: Path, disk: Path
) -> None:
    (disk / "sweep" / "lambda-0.01").mkdir(parents=True)
    (disk / "sweep" / "lambda-0.01" / "status.json").write_text(
        '{"status": "running", "step": 1, "steps": 2}'
    )
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused = run_python(repository / "train.py", *COMMAND)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "Read-only file system; check the path, its permissions" in refused.stderr
    seen = run_python("-m", "lic.cli", "sweep", "status", "disk/sweep")
    assert seen.returncode == 0 and "1 jobs: 1 running." in seen.stdout, seen.stderr
