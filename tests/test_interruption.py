"""Signals to whole commands; what a training saves is tested in tests/training/test_signals.py."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lic import interruption
from lic.status import read_status
from lic.store.checkpoint import read_checkpoint

TRAIN = (
    "model=baseline",
    "model.width=4",
    "model.kernel_size=3",
    "distortion=mse",
    "logger=csv",
    "classical=[]",
)
SHORT = (
    "classical=[]",
    "data.num_workers=1",
    "data.patch_size=64",
    "data.batch_size=2",
    "trainer.accelerator=cpu",
)
STEPS = ("trainer.max_steps=400", "trainer.val_check_interval=400", "trainer.limit_val_batches=1")


@contextmanager
def started(repository: Path, folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A command that runs beside the test, and the file of what it says: a pipe that nobody reads fills."""
    log = folder / f"{len(list(folder.glob('*.log')))}.log"
    settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository), "LIC_CACHE": str(folder / "cache")}
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, repository / "train.py", *arguments, *TRAIN, *SHORT, *STEPS],
            cwd=folder,
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=said,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process, log
        finally:
            process.kill()


def wait_for(there: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not there():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_terminated_run_says_how_to_go_on(repository: Path, run_python: Any, tmp_path: Path) -> None:
    run, often = tmp_path / "run", "checkpoint_minutes=0.02"
    last = run / "checkpoints" / "last.ckpt"
    with started(repository, tmp_path, "lambda=0.01", f"hydra.run.dir={run}", often) as (process, log):
        wait_for(last.is_file, process)
        os.killpg(process.pid, signal.SIGTERM)  # as schedulers do: its data worker gets it, too
        process.wait(timeout=180)
    err = log.read_text()
    assert process.returncode == 143, err
    assert "SIGTERM: ending after this step; SIGINT stops at once." in err and "Traceback" not in err
    assert read_status(run)["status"] == "interrupted"
    saved = read_checkpoint(last)["global_step"]
    assert 0 < saved < 400

    *_, said = err.strip().splitlines()
    command = shlex.split(said.removeprefix("Interrupted by SIGTERM. To continue: "))
    assert command[0] == "python" and f"hydra.run.dir={run}" in command
    done = run_python(*command[1:])
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(last)["global_step"] == 400 and read_status(run)["status"] == "done"


@pytest.mark.slow
def test_an_interrupted_sweep_ends_whole_and_goes_on_with_the_same_command(
    repository: Path, run_python: Any, tmp_path: Path
) -> None:
    sweep = ("-m", "lambda=0.01,0.02", "hydra.sweep.dir=sweep", "checkpoint_minutes=0.02")
    jobs = [tmp_path / "sweep" / f"lambda-{value}" for value in ("0.01", "0.02")]
    with started(repository, tmp_path, *sweep) as (process, log):
        wait_for((jobs[0] / "checkpoints" / "last.ckpt").is_file, process)
        with started(repository, tmp_path, *sweep) as (twin, refusal):
            twin.wait(timeout=180)
        words = f"sweep is being written by process {process.pid} on"
        assert twin.returncode == 2 and words in refusal.read_text()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=180)
    err = log.read_text()
    assert process.returncode == 130, err
    assert err.strip().endswith("Interrupted by SIGINT. The same command continues the sweep.")
    assert not jobs[1].exists() and read_status(jobs[0])["status"] == "interrupted"

    done = run_python(repository / "train.py", *sweep, *TRAIN, *SHORT, *STEPS)
    assert done.returncode == 0, done.stderr
    assert "Continuing from" in done.stdout
    assert [read_status(job)["status"] for job in jobs] == ["done", "done"]


def test_signals_are_the_commands_only_while_it_runs() -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with interruption.handled():
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM)
        with pytest.raises(interruption.Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    interruption.defer(True)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_scheduler_may_say_it_twice(capfd: pytest.CaptureFixture[str]) -> None:
    """Only a second Ctrl-C means that the state need not be saved."""
    with interruption.handled():
        interruption.defer(True)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert interruption.requested() == signal.SIGTERM
        interruption.defer(False)
        signal.raise_signal(signal.SIGTERM)  # while it saves and tells its loggers
        with pytest.raises(interruption.Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == "\nSIGTERM: ending after this step; SIGINT stops at once.\n"


def test_what_a_process_is_to_ignore_it_ignores() -> None:
    own = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.handled():
            interruption.defer(True)
            signal.raise_signal(signal.SIGINT)
            assert interruption.requested() is None
    finally:
        signal.signal(signal.SIGINT, own)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_processes_of_a_sweep_save_when_it_is_stopped(
    repository: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """At a terminal all get SIGINT, and submitit's own would kill those whose step takes a second."""
    slow = "trainer.callbacks=[{_target_:tests.slow_steps.SlowSteps,seconds:2}]"
    sweep = (
        "-m",
        "lambda=0.01,0.02",
        "hydra.sweep.dir=sweep",
        "hydra/launcher=local",
        slow,
        "checkpoint_minutes=0.001",
    )
    jobs = [tmp_path / "sweep" / f"lambda-{value}" for value in ("0.01", "0.02")]
    with started(repository, tmp_path, *sweep) as (process, log):
        wait_for(lambda: all((job / "checkpoints" / "last.ckpt").is_file() for job in jobs), process)
        if signum == signal.SIGINT:
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
        process.wait(timeout=60)
    said = log.read_text()
    assert process.returncode == 128 + signum and "Traceback" not in said, said
    assert said.strip().endswith(f"Interrupted by {signum.name}. The same command continues the sweep.")
    for job in jobs:
        assert read_status(job)["status"] == "interrupted"
        assert read_checkpoint(job / "checkpoints" / "last.ckpt")["global_step"] > 0


def test_forked_workers_leave_signals_to_their_parent() -> None:
    with interruption.handled():
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)  # nothing happens
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
