"""Jobs of several tasks and nodes at a real Slurm, with processes on CPUs in the place of GPUs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.store.checkpoint import read_checkpoint
from lic.sweep.states import read_sweep

from ..metrics_file import values
from .sweeps import COMMAND, ONE_START, SWEEP, TRAINING, names_of, number_of, starts_of, wait_until

pytestmark = pytest.mark.slurm

NODES = 2
TWO_TASKS = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")


def test_a_job_that_needs_more_than_its_time_goes_on_in_another(train: Any, run_python: Any) -> None:
    """Its state is saved for it alone by the signal before the limit, which all of its tasks get."""
    longer = ("trainer.max_steps=1000000", "trainer.val_check_interval=1000000", "checkpoint_minutes=60")
    options = (*TWO_TASKS, *longer, *ONE_START)
    submitted = train(*COMMAND, *options, "lambda=0.01", "sweep.name=faults", "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    (job,) = json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"]
    log = Path(SWEEP, job, "train.log")
    wait_until("it goes on a second time", lambda seen: log.is_file() and len(starts_of(job)) >= 2)
    first, second = starts_of(job)[:2]
    assert 0 < first < second
    ended = run_python("-m", "lic.cli", "sweep", "cancel", SWEEP)
    assert ended.returncode == 0 and "1 jobs at Slurm" in ended.stdout, ended.stderr
    wait_until("it saves and ends", lambda seen: names_of(seen) == {job: "interrupted"})


def test_the_tasks_of_a_job_end_together_and_go_on_together(
    train: Any, repository: Path, tmp_path: Path
) -> None:
    """The second is killed in one job, fails in another, and in a third all are told to end."""
    (tmp_path / "fault.py").write_text(
        "import lightning, os, pathlib, signal\n"
        "class InTheSecond(lightning.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, *args):\n"
        "        if trainer.global_rank == 1 and trainer.global_step == 150:\n"
        "            lmbda, file = module.objective.values['lambda'], pathlib.Path('killed')\n"
        "            if lmbda == 0.01 and not file.exists():\n"
        "                file.touch()\n"
        "                os.kill(os.getpid(), signal.SIGKILL)\n"
        "            if lmbda == 0.03:\n"
        "                raise ZeroDivisionError('in the second')\n"
    )
    command = (
        *(*COMMAND, *TWO_TASKS, "sweep.name=faults"),
        *("trainer.max_steps=400", "trainer.val_check_interval=200"),
        "trainer.callbacks=[{_target_: fault.InTheSecond}]",
    )
    path = f"{repository}:{tmp_path}"
    submitted = train(*command, "lambda=0.01,0.02,0.03", "sweep.detach=true", PYTHONPATH=path)
    assert submitted.returncode == 0, submitted.stderr
    killed, requeued, failing = (Path(SWEEP, f"lambda-0.0{i}") for i in (1, 2, 3))
    wait_until("it has a checkpoint", lambda seen: (requeued / "checkpoints" / "last.ckpt").is_file())
    subprocess.run(["scontrol", "requeue", number_of(requeued.name)], check=True)
    seen = wait_until(
        "all have ended", lambda seen: not {"queued", "running", "waiting"} & {*names_of(seen).values()}
    )
    assert names_of(seen)[requeued.name] == "finished" and len(starts_of(requeued.name)) == 1
    errors = {state.folder.name: state.error for state in seen.named("failed")}
    assert errors.get(killed.name, "One of the 2 processes").startswith("One of the 2 processes has ended at")
    assert errors[failing.name] == "ZeroDivisionError: in the second"
    assert "in the second" in (failing / "error.txt").read_text()

    again = train(*command, "lambda=0.01,0.02", PYTHONPATH=path)
    assert again.returncode == 3 and "1 done" in again.stdout, again.stderr
    assert f"{failing}: ZeroDivisionError: in the second" in again.stderr
    assert "1 of 3 jobs failed" in again.stderr
    assert names_of(read_sweep(Path(SWEEP)))[killed.name] == "finished" and starts_of(killed.name)[0] > 0

    # As if nothing had happened, and no file twice.
    alone = [one for one in command[1:] if not one.startswith(("hydra", "sweep."))]
    whole = train(*alone, "lambda=0.02", "hydra.run.dir=whole", PYTHONPATH=path)
    assert whole.returncode == 0, whole.stderr
    ends = [
        read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (Path("whole"), requeued)
    ]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    starts = 2
    for run in (requeued, killed):
        at_wandb = [one.name.rpartition("-")[2] for one in run.glob("wandb/offline-run-*")]
        assert len(at_wandb) == starts and len({*at_wandb}) == 1, "parts of one run"
        assert 1 <= len(list(run.glob("metrics*.csv"))) <= starts
        assert (run / "train_ddp_process_1.log").is_file()
        assert (run / "train.log").read_text().count("steps of about") == starts


def test_a_first_task_that_fails_leaves_no_other_waiting(train: Any) -> None:
    """It alone begins the run at W&B, and the second would wait half an hour for it to train."""
    done = train(*COMMAND, *TWO_TASKS, "lambda=0.01", "sweep.name=faults", WANDB_MODE="none")
    assert done.returncode == 3 and "WANDB_MODE=none is not a mode of W&B" in done.stderr, done.stderr


def test_two_nodes_train_as_one_process_with_twice_the_batch(train: Any) -> None:
    """The nodes are on this machine, but know nothing of each other."""
    short = (
        "trainer.max_steps=10",
        "trainer.val_check_interval=5",
        "trainer.log_every_n_steps=1",
        "logger=csv",
    )
    nodes = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2")
    two = train(*COMMAND, *short, *nodes, "trainer.precision=32-true", "lambda=0.01", "sweep.name=faults")
    assert two.returncode == 0, two.stderr
    one = train(*TRAINING[1:], *short, "data.batch_size=2", "lambda=0.01", "hydra.run.dir=one")
    assert one.returncode == 0, one.stderr
    job = next(Path(SWEEP).glob("*/status.json")).parent
    for split in ("train", "val"):
        of_two, of_one = (values(run / "metrics.csv", split) for run in (job, Path("one")))
        assert of_one and of_one.keys() == of_two.keys()
        for name, expected in of_one.items():
            assert of_two[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert len(list(job.glob("metrics*.csv"))) == 1 and len(list(job.glob("*_ddp_process_1.log"))) == 1
    assert (job / "train.log").read_text().count("steps of about") == 1
