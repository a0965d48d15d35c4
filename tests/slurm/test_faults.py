"""A sweep at a real Slurm, through what clusters do to jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.store.checkpoint import read_checkpoint
from lic.sweep.states import read_sweep

from .cluster import Cluster
from .sweeps import (
    COMMAND,
    ONE_START,
    SWEEP,
    TRAINING,
    names_of,
    number_of,
    process_of,
    starts_of,
    wait_until,
)

pytestmark = pytest.mark.slurm

NODES = 1
KILLED, REQUEUED, CANCELLED, FAILING = "lambda-0.01", "lambda-0.02", "lambda-0.03", "lambda--1"


def _assert_as_if_nothing_had_happened(train: Any, *more: str) -> None:
    """Where a sweep of the same trainings runs through, its jobs have the same weights, bit for bit."""
    through = train(*TRAINING, *more, "sweep.name=through", "logger=csv")
    assert through.returncode == 0, through.stderr
    there = [sorted(Path("multirun", name).glob("*/checkpoints/last.ckpt")) for name in ("through", "faults")]
    assert there[0]
    for pair in zip(*there, strict=True):
        weights, others = (read_checkpoint(file)["state_dict"] for file in pair)
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights), pair


def test_a_sweep_survives_what_a_cluster_does_to_its_jobs(train: Any) -> None:
    command = (*COMMAND, "lambda=0.01,0.02,0.03,-1", "sweep.name=faults")
    submitted = train(*command, "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    assert "lic sweep status multirun/faults" in submitted.stdout
    training = (KILLED, REQUEUED, CANCELLED)
    wait_until(
        "each has a checkpoint",
        lambda seen: all(Path(SWEEP, job, "checkpoints", "last.ckpt").is_file() for job in training),
    )
    os.kill(process_of(Path(SWEEP, KILLED)), signal.SIGKILL)
    subprocess.run(["scontrol", "requeue", number_of(REQUEUED)], check=True)
    subprocess.run(["scancel", number_of(CANCELLED)], check=True)

    expected = {KILLED: "died", REQUEUED: "finished", CANCELLED: "interrupted", FAILING: "failed"}
    seen = wait_until("one is queued again and goes on", lambda seen: names_of(seen) == expected)
    assert "lambda must be a positive number, not -1" in seen.named("failed")[0].error
    assert len(starts_of(REQUEUED)) == 1 and starts_of(REQUEUED)[0] > 0

    # Who waits is not kept waiting by a job that dies without a result, and the others go on where they were.
    again = train(*command)
    assert again.returncode == 3, again.stderr
    assert "1 done" in again.stdout and "3 to submit" in again.stdout
    assert (
        f"Failed: {SWEEP}/{FAILING}: lambda must be" in again.stderr and "1 of 4 jobs failed" in again.stderr
    )
    assert names_of(read_sweep(Path(SWEEP))) == dict.fromkeys(training, "finished") | {FAILING: "failed"}
    assert starts_of(KILLED)[0] > 0 and starts_of(CANCELLED)[0] > 0
    with Path(SWEEP, "rd.csv").open() as file:
        assert len(file.readlines()) == 4, "a header and three points"
    _assert_as_if_nothing_had_happened(train, "lambda=0.01,0.02,0.03")


def test_a_job_that_needs_more_than_its_time_goes_on_in_another_and_after_a_preemption(train: Any) -> None:
    """Its state is saved for it alone by the signals before the limit and before the preemption."""
    longer = (
        "trainer.max_steps=700",
        "trainer.val_check_interval=700",
        "checkpoint_minutes=60",
        "lambda=0.01",
    )
    slow = "trainer.callbacks=[{_target_:tests.slow_steps.SlowSteps,seconds:0.1}]"  # more than one start
    submitted = train(*COMMAND, *longer, slow, *ONE_START, "sweep.name=faults", "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    (job,) = json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"]
    log = Path(SWEEP, job, "train.log")
    wait_until("it goes on a second time", lambda seen: log.is_file() and len(starts_of(job)) == 1)
    wait_until(
        "it is a step further",
        lambda seen: seen.states[0].name == "running" and seen.states[0].step > starts_of(job)[0],
    )
    urgent = ("--partition=high", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1")
    subprocess.run(["sbatch", *urgent], check=True)
    wait_until("it goes on a third time, to its end", lambda seen: names_of(seen) == {job: "finished"})
    first, second = starts_of(job)[:2]
    assert 0 < first < second < 700
    _assert_as_if_nothing_had_happened(train, *longer)


def test_a_job_outlives_who_waits_for_it_and_nobody_waits_for_a_dead_one(
    train: Any, repository: Path, tmp_path: Path
) -> None:
    """Without accounting nobody but the queue knows that it is gone."""
    command = [sys.executable, str(repository / "train.py"), *COMMAND, "lambda=0.01", "sweep.name=faults"]
    command.append("trainer.max_steps=1000000")

    def waiting(name: str) -> tuple[subprocess.Popen[bytes], Path]:
        said = tmp_path / f"{name}.txt"
        with said.open("w") as file:
            process = subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": str(repository)},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        wait_until("it waits", lambda seen: "1 jobs: " in said.read_text())
        return process, said

    first, _ = waiting("first")
    seen = wait_until("it trains", lambda seen: any(state.step >= 0 for state in seen.states))
    job = seen.states[0].folder
    process = process_of(job)
    os.killpg(first.pid, signal.SIGHUP)  # its terminal closes
    assert first.wait(30) == -signal.SIGHUP
    second, said = waiting("second")
    assert "1 jobs: 0 to submit, 1 queued or running already" in said.read_text()
    os.killpg(second.pid, signal.SIGKILL)  # its machine goes down
    second.wait(30)
    third, said = waiting("third")
    assert "1 jobs: 0 to submit, 1 queued or running already" in said.read_text()
    assert process_of(job) == process and read_sweep(Path(SWEEP)).states[0].name == "running"
    os.kill(process, signal.SIGKILL)
    assert third.wait(120) == 3 and "1 of 1 jobs failed" in said.read_text(), said.read_text()


def test_a_job_goes_on_when_its_node_has_started_again(slurm: Cluster, train: Any, run_python: Any) -> None:
    longer = ("trainer.max_steps=1000000", "trainer.val_check_interval=1000000", "lambda=0.01")
    submitted = train(*COMMAND, *longer, "sweep.name=faults", "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    (job,) = json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"]
    wait_until("a checkpoint", lambda seen: Path(SWEEP, job, "checkpoints", "last.ckpt").is_file())
    slurm.cut_power_of_node()
    time.sleep(25)  # Slurm misses a job that it has not heard of for 20 seconds
    slurm.start_node("node1", "-b")
    log = Path(SWEEP, job, "train.log")
    wait_until("it goes on", lambda seen: len(starts_of(job)) == 1 and seen.states[0].name == "running")
    assert starts_of(job)[0] > 0, log.read_text()
    ended = run_python("-m", "lic.cli", "sweep", "cancel", SWEEP)
    assert ended.returncode == 0 and "1 jobs at Slurm" in ended.stdout, ended.stderr
    wait_until("it saves and ends", lambda seen: names_of(seen) == {job: "interrupted"})
