"""A sweep at a real Slurm, through what clusters do to jobs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.locking import holder
from lic.store.checkpoint import read_checkpoint
from lic.sweep.states import Sweep, read_sweep

from .slurm import Cluster, NoClusterError, cluster

pytestmark = pytest.mark.slurm

SWEEP = "multirun/faults"
KILLED, REQUEUED, CANCELLED, FAILING = "lambda-0.01", "lambda-0.02", "lambda-0.03", "lambda--1"
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
_PATIENCE = 900.0  # seconds; four jobs import torch at once


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node."""
    try:
        with cluster(tmp_path_factory.mktemp("cluster") / "slurm", cpus=4) as one:
            yield one
    except NoClusterError as error:
        pytest.skip(str(error))


@pytest.fixture
def train(
    run_python: Any, slurm: Cluster, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run train.py as that user; the test asks Slurm as the same one."""
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_python(repository / "train.py", *arguments, timeout=_PATIENCE)

    return run


def _number(job: str) -> str:
    return json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"][job]


def _await(sentence: str, condition: Callable[[Sweep], bool]) -> Sweep:
    deadline = time.monotonic() + _PATIENCE
    while not Path(SWEEP, "sweep.json").is_file() or not condition(read_sweep(Path(SWEEP))):
        assert time.monotonic() < deadline, f"{sentence}: {sorted(Path(SWEEP).rglob('status.json'))}"
        time.sleep(0.5)
    return read_sweep(Path(SWEEP))


def _names(seen: Sweep) -> dict[str, str]:
    return {state.folder.name: state.name for state in seen.states}


def _starts(job: str) -> list[int]:
    """The steps that a job went on from."""
    log = Path(SWEEP, job, "train.log").read_text()
    return [int(step) for step in re.findall(r"last\.ckpt, step (\d+)\.", log)]


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
    _await(
        "each has a checkpoint",
        lambda seen: all(Path(SWEEP, job, "checkpoints", "last.ckpt").is_file() for job in training),
    )
    said = holder(Path(SWEEP, KILLED))
    assert said
    subprocess.run(["kill", "-9", str(said[0])], check=True)
    subprocess.run(["scontrol", "requeue", _number(REQUEUED)], check=True)
    subprocess.run(["scancel", _number(CANCELLED)], check=True)

    expected = {KILLED: "died", REQUEUED: "finished", CANCELLED: "interrupted", FAILING: "failed"}
    seen = _await("one is queued again and goes on", lambda seen: _names(seen) == expected)
    assert "lambda must be a positive number, not -1" in seen.named("failed")[0].error
    assert len(_starts(REQUEUED)) == 1 and _starts(REQUEUED)[0] > 0

    # Who waits is not kept waiting by a job that dies without a result, and the others go on where they were.
    again = train(*command)
    assert again.returncode == 3, again.stderr
    assert "1 done" in again.stdout and "3 to submit" in again.stdout
    assert (
        f"Failed: {SWEEP}/{FAILING}: lambda must be" in again.stderr and "1 of 4 jobs failed" in again.stderr
    )
    assert _names(read_sweep(Path(SWEEP))) == dict.fromkeys(training, "finished") | {FAILING: "failed"}
    assert _starts(KILLED)[0] > 0 and _starts(CANCELLED)[0] > 0
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
    _await("it goes on a second time", lambda seen: log.is_file() and len(_starts(job)) == 1)
    _await(
        "it is a step further",
        lambda seen: seen.states[0].name == "running" and seen.states[0].step > _starts(job)[0],
    )
    urgent = ("--partition=high", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1")
    subprocess.run(["sbatch", *urgent], check=True)
    _await("it goes on a third time, to its end", lambda seen: _names(seen) == {job: "finished"})
    first, second = _starts(job)[:2]
    assert 0 < first < second < 700
    _assert_as_if_nothing_had_happened(train, *longer)


def _holder(job: Path) -> int:
    said = holder(job)
    assert said
    return said[0]


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
        _await("it waits", lambda seen: "1 jobs: " in said.read_text())
        return process, said

    first, _ = waiting("first")
    seen = _await("it trains", lambda seen: any(state.step >= 0 for state in seen.states))
    job = seen.states[0].folder
    process = _holder(job)
    os.killpg(first.pid, signal.SIGHUP)  # its terminal closes
    assert first.wait(30) == -signal.SIGHUP
    second, said = waiting("second")
    assert "1 jobs: 0 to submit, 1 queued or running already" in said.read_text()
    os.killpg(second.pid, signal.SIGKILL)  # its machine goes down
    second.wait(30)
    third, said = waiting("third")
    assert "1 jobs: 0 to submit, 1 queued or running already" in said.read_text()
    assert _holder(job) == process and read_sweep(Path(SWEEP)).states[0].name == "running"
    os.kill(process, signal.SIGKILL)
    assert third.wait(120) == 3 and "1 of 1 jobs failed" in said.read_text(), said.read_text()


def test_a_job_goes_on_when_its_node_has_started_again(slurm: Cluster, train: Any, run_python: Any) -> None:
    longer = ("trainer.max_steps=1000000", "trainer.val_check_interval=1000000", "lambda=0.01")
    submitted = train(*COMMAND, *longer, "sweep.name=faults", "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    (job,) = json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"]
    _await("a checkpoint", lambda seen: Path(SWEEP, job, "checkpoints", "last.ckpt").is_file())
    slurm.cut_power_of_node()
    time.sleep(25)  # Slurm misses a job that it has not heard of for 20 seconds
    slurm.start_node("-b")
    log = Path(SWEEP, job, "train.log")
    _await("it goes on", lambda seen: len(_starts(job)) == 1 and seen.states[0].name == "running")
    assert _starts(job)[0] > 0, log.read_text()
    ended = run_python("-m", "lic.cli", "sweep", "cancel", SWEEP)
    assert ended.returncode == 0 and "1 jobs at Slurm" in ended.stdout, ended.stderr
    _await("it saves and ends", lambda seen: _names(seen) == {job: "interrupted"})
