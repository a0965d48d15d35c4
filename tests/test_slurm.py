"""A sweep at a real Slurm, through what clusters do to jobs."""

import json
import os
import re
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

from .metrics_file import values
from .slurm import NoClusterError, cluster

pytestmark = pytest.mark.slurm

SWEEP = "multirun/faults"
KILLED, REQUEUED, CANCELLED, FAILING = "lambda-0.01", "lambda-0.02", "lambda-0.03", "lambda--1"
COMMAND = (
    *("-m", "model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse", "classical=[]"),
    *("trainer.accelerator=cpu", "trainer.max_steps=2000", "trainer.val_check_interval=1000"),
    *("data.patch_size=64", "data.batch_size=1", "data.num_workers=0", "checkpoint_minutes=0.05"),
    *("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"),
)
TWO_TASKS = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
ONE_START = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60")  # Slurm counts in minutes
_PATIENCE = 900.0  # seconds; four jobs import torch at once


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a cluster's user."""
    try:
        with cluster(tmp_path_factory.mktemp("cluster") / "slurm", cpus=4, nodes=2) as environment:
            yield environment
    except NoClusterError as error:
        pytest.skip(str(error))


@pytest.fixture
def train(
    run_python: Any, slurm: dict[str, str], repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run train.py as that user; the test asks Slurm as the same one."""
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_python(repository / "train.py", *arguments, timeout=_PATIENCE, **environment)

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


def test_a_job_that_needs_more_than_its_time_goes_on_in_another(train: Any, run_python: Any) -> None:
    """Its state is saved for it alone by the signal before the limit, which all of its tasks get."""
    longer = ("trainer.max_steps=1000000", "trainer.val_check_interval=1000000", "checkpoint_minutes=60")
    options = (*TWO_TASKS, *longer, *ONE_START)
    submitted = train(*COMMAND, *options, "lambda=0.01", "sweep.name=faults", "sweep.detach=true")
    assert submitted.returncode == 0, submitted.stderr
    (job,) = json.loads(Path(SWEEP, "sweep.json").read_text())["jobs"]
    log = Path(SWEEP, job, "train.log")
    _await("it goes on a second time", lambda seen: log.is_file() and len(_starts(job)) >= 2)
    first, second = _starts(job)[:2]
    assert 0 < first < second
    ended = run_python("-m", "lic.cli", "sweep", "cancel", SWEEP)
    assert ended.returncode == 0 and "1 jobs at Slurm" in ended.stdout, ended.stderr
    _await("it saves and ends", lambda seen: _names(seen) == {job: "interrupted"})


def test_a_waiting_command_ends_when_its_job_is_killed(
    slurm: dict[str, str], train: Any, repository: Path, tmp_path: Path
) -> None:
    """Without accounting nobody but the queue knows that it is gone."""
    command = [sys.executable, str(repository / "train.py"), *COMMAND, "lambda=0.01", "sweep.name=faults"]
    waiting = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(repository)}, stderr=subprocess.PIPE, text=True
    )
    seen = _await("it trains", lambda seen: any(state.step >= 0 for state in seen.states))
    said = holder(seen.states[0].folder)
    assert said
    subprocess.run(["kill", "-9", str(said[0])], check=True)
    _, told = waiting.communicate(timeout=120)
    assert waiting.returncode == 3 and "1 of 1 jobs failed" in told, told


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
    _await("it has a checkpoint", lambda seen: (requeued / "checkpoints" / "last.ckpt").is_file())
    subprocess.run(["scontrol", "requeue", _number(requeued.name)], check=True)
    seen = _await(
        "all have ended", lambda seen: not {"queued", "running", "waiting"} & {*_names(seen).values()}
    )
    assert _names(seen)[requeued.name] == "finished" and len(_starts(requeued.name)) == 1
    errors = {state.folder.name: state.error for state in seen.named("failed")}
    assert errors.get(killed.name, "One of the 2 processes").startswith("One of the 2 processes has ended at")
    assert errors[failing.name] == "ZeroDivisionError: in the second"
    assert "in the second" in (failing / "error.txt").read_text()

    again = train(*command, "lambda=0.01,0.02", PYTHONPATH=path)
    assert again.returncode == 3 and "1 done" in again.stdout, again.stderr
    assert f"{failing}: ZeroDivisionError: in the second" in again.stderr
    assert "1 of 3 jobs failed" in again.stderr
    assert _names(read_sweep(Path(SWEEP)))[killed.name] == "finished" and _starts(killed.name)[0] > 0

    # As if nothing had happened, and no file twice.
    whole = train(*command[1:], "lambda=0.02", "hydra.run.dir=whole", PYTHONPATH=path)
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
    one = train(*COMMAND[1:], *short, "data.batch_size=2", "lambda=0.01", "hydra.run.dir=one")
    assert one.returncode == 0, one.stderr
    job = next(Path(SWEEP).glob("*/status.json")).parent
    for split in ("train", "val"):
        of_two, of_one = (values(run / "metrics.csv", split) for run in (job, Path("one")))
        assert of_one and of_one.keys() == of_two.keys()
        for name, expected in of_one.items():
            assert of_two[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert len(list(job.glob("metrics*.csv"))) == 1 and len(list(job.glob("*_ddp_process_1.log"))) == 1
    assert (job / "train.log").read_text().count("steps of about") == 1
