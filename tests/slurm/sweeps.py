"""The sweep that the tests have Slurm run, and what they ask of it."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from lic.locking import holder
from lic.sweep.states import Sweep, read_sweep

SWEEP = "multirun/faults"
TRAINING = (
    *("-m", "model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse", "classical=[]"),
    *("trainer.accelerator=cpu", "trainer.max_steps=400", "trainer.val_check_interval=200"),
    *("data.patch_size=64", "data.batch_size=1", "data.num_workers=0", "checkpoint_minutes=0.05"),
)
COMMAND = (
    *(*TRAINING, "trainer.callbacks=[{_target_:tests.slow_steps.SlowSteps}]"),
    *("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"),
)
ONE_START = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60")  # Slurm counts in minutes
PATIENCE = 900.0  # seconds; four jobs import torch at once


def number_of(job: str) -> str:
    return json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"][job]


def wait_until(sentence: str, condition: Callable[[Sweep], bool]) -> Sweep:
    deadline = time.monotonic() + PATIENCE
    while not Path(SWEEP, "sweep.json").is_file() or not condition(read_sweep(Path(SWEEP))):
        assert time.monotonic() < deadline, f"{sentence}: {sorted(Path(SWEEP).rglob('status.json'))}"
        time.sleep(0.5)
    return read_sweep(Path(SWEEP))


def names_of(seen: Sweep) -> dict[str, str]:
    return {state.folder.name: state.name for state in seen.states}


def starts_of(job: str) -> list[int]:
    """The steps that a job went on from."""
    log = Path(SWEEP, job, "train.log").read_text()
    return [int(step) for step in re.findall(r"last\.ckpt, step (\d+)\.", log)]


def process_of(job: Path) -> int:
    said = holder(job)
    assert said
    return said[0]
