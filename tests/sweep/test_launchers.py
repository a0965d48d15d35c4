"""The launchers of submitit, against commands that answer as Slurm's; tests/slurm has real ones."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lic.status import write_status

from .conftest import Answering

SWEEP = "multirun/x"
COMMAND = ("-m", "model=baseline", "lambda=5,10", "sweep.name=x", "hydra/launcher=slurm")


@pytest.fixture
def train(run_python: Any, repository: Path, answering: Answering) -> Any:
    """Run the command where Slurm is; it starts no job, so none comes to its end."""
    answering("srun", "false")
    answering("sbatch", "echo Submitted batch job 7")
    return lambda *more: run_python(repository / "train.py", *COMMAND, *more)


def _jobs(folder: Path) -> dict[str, str]:
    return json.loads((folder / SWEEP / "sweep.json").read_text())["jobs"]


def test_jobs_that_left_no_result_are_waited_for_no_longer(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    """The plugin's own launcher would ask sacct, which is not here, for ever. A mute Slurm is waited for."""
    listed, ended = "echo '7_0|RUNNING|x'", "echo '7_0|FAILED'; echo '7_1|CANCELLED'"
    asks = f"case $(wc -l < {tmp_path}/squeue.txt) in 1) {listed};; 2) exit 1;; 4) {ended};; esac"
    asked = answering("squeue", asks)
    done = train()
    assert done.returncode == 3, done.stderr
    assert len(asked.read_text().splitlines()) == 4, "before, waiting twice, and then how they ended"
    assert "2 jobs: 2 to submit, 0 queued or running already, 0 done." in done.stdout
    assert "Slurm does not answer; waiting until it does." in done.stdout
    for name in ("lambda-5", "lambda-10"):
        assert f"Failed: {SWEEP}/{name}: it did not finish" in done.stderr
    script = next((tmp_path / SWEEP).rglob("*submission.sh")).read_text()
    for line in (
        "--requeue",
        "--array=0-1%2",
        "--time=1440",
        "--signal=USR2@120",
        "--mem=16GB",
        "--job-name=x",
    ):
        assert line in script


@pytest.mark.slow
def test_on_a_slow_file_system_a_result_is_waited_for(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    """The job has ended in order, and this machine sees no word of it yet, or what an earlier start left."""
    fresh, old = (tmp_path / SWEEP / f"lambda-{value}" for value in (5, 10))
    for job in (fresh, old):
        job.mkdir(parents=True)
    write_status(old, status="failed", error="of the start before")
    (tmp_path / "done").mkdir()
    write_status(tmp_path / "done", status="done", cost=1.0)
    shows = "; ".join(
        f"cp {tmp_path}/done/status.json {job}/x; mv {job}/x {job}/status.json" for job in (fresh, old)
    )
    ended = f"(sleep 5; {shows}) >/dev/null 2>&1 & echo '7_0|COMPLETED'; echo '7_1|COMPLETED'"
    answering("squeue", f'case "$@" in *states*) {ended};; esac')
    done = train()
    assert done.returncode == 0 and "Failed" not in done.stderr, done.stderr


def test_a_detached_command_leaves_and_the_same_one_submits_nothing_twice(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    submitted = answering("sbatch", "echo Submitted batch job 7")
    first = train("sweep.detach=true")
    assert first.returncode == 0, first.stderr
    assert "lic sweep status multirun/x" in first.stdout and "lic sweep collect multirun/x" in first.stdout
    assert _jobs(tmp_path) == {"lambda-5": "7_0", "lambda-10": "7_1"}
    write_status(tmp_path / SWEEP, status="running")

    answering("squeue", "echo '7_0|RUNNING|x'; echo '7_1|PENDING|x'")
    again = train("sweep.detach=true")
    assert "0 to submit, 2 queued or running already, 0 done." in again.stdout
    assert len(submitted.read_text().splitlines()) == 1

    answering("squeue", "echo '7_1|PENDING|x'")
    answering("sbatch", "echo Submitted batch job 8")
    more = train("sweep.detach=true", "lambda=5,10,15")
    assert "2 to submit, 1 queued or running already" in more.stdout, "a sweep may grow under its name"
    assert _jobs(tmp_path) == {"lambda-5": "8_0", "lambda-10": "7_1", "lambda-15": "8_1"}


def test_two_commands_at_once_submit_nothing_twice(train: Any, answering: Answering, tmp_path: Path) -> None:
    """One of them has the sweep's lock; the other is refused, or comes late and finds the jobs queued."""
    submitted = answering("sbatch", "sleep 1; echo Submitted batch job 7")
    answering("squeue", f"test -e {submitted} && echo '7_0|PENDING|x' && echo '7_1|PENDING|x'")
    with ThreadPoolExecutor() as both:
        done = list(both.map(lambda _: train("sweep.detach=true"), range(2)))
    assert len(submitted.read_text().splitlines()) == 1
    for one in done:
        if one.returncode == 2:
            assert (
                one.stderr.startswith(f"Error: {SWEEP} is being written by process ")
                and one.stderr.count("\n") == 1
            )
        else:
            assert one.returncode == 0, one.stderr
    assert _jobs(tmp_path) == {"lambda-5": "7_0", "lambda-10": "7_1"}


def test_where_slurm_is_mute_nothing_is_submitted_again(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    train("sweep.detach=true")
    submitted = answering("sbatch", "echo Submitted batch job 8")
    before = len(submitted.read_text().splitlines())
    answering("squeue", "exit 1")
    again = train("sweep.detach=true")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1), again.stderr
    assert "so nothing was submitted; try again." in again.stderr
    assert len(submitted.read_text().splitlines()) == before
    assert _jobs(tmp_path) == {"lambda-5": "7_0", "lambda-10": "7_1"}


def test_a_job_is_done_only_with_the_same_configuration(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    train("sweep.detach=true")
    for name in ("lambda-5", "lambda-10"):
        (tmp_path / SWEEP / name).mkdir()
    write_status(tmp_path / SWEEP / "lambda-10", status="done", cost=1.0)
    answering("squeue", "true")
    assert "1 to submit, 0 queued or running already, 1 done." in train("sweep.detach=true").stdout
    write_status(tmp_path / SWEEP / "lambda-5", status="done", cost=1.0, config="of another one")
    submitted = answering("sbatch", "echo Submitted batch job 8")
    before = submitted.read_text()
    refused = train("sweep.detach=true")
    assert refused.returncode == 2 and submitted.read_text() == before
    assert f"{SWEEP}/lambda-5 holds a job of another configuration" in refused.stderr


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["data=folder", "data.root=a/b,a_b", "sweep.detach=true"], "Two jobs would have the folder"),
        (["lambda=0.01,0.010", "sweep.detach=true"], "Two jobs would have the folder lambda-0.01: "),
        (["model=glob(zzz*)"], "The sweep has no job"),
        (["sweep.name=a,b"], "sweep.name=a,b is of the sweep as a whole"),
        (["hydra.launcher.timeout_min=1,2"], "Sweeping over Hydra's configuration is not supported"),
        (["trainer.num_nodes=0"], "trainer.num_nodes must be a number of machines, not 0"),
        (["trainer.num_nodes=two"], "trainer.num_nodes must be a number of machines, not two"),
    ],
)
def test_what_would_be_lost_is_refused(
    train: Any, answering: Answering, more: list[str], sentence: str
) -> None:
    submitted = answering("sbatch", "echo Submitted batch job 7")
    done = train(*more)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and sentence in done.stderr, done.stderr
    assert not submitted.exists()


@pytest.mark.slow
@pytest.mark.parametrize("signum", ["INT", "TERM", "HUP"])
def test_a_signal_as_jobs_are_submitted_leaves_none_that_nobody_knows(
    train: Any, tmp_path: Path, answering: Answering, signum: str
) -> None:
    answering("squeue", "true")
    answering("sbatch", f"echo Submitted batch job 7; kill -{signum} $PPID; sleep 0.2")
    done = train()
    assert done.returncode == {"INT": 130, "TERM": 143, "HUP": -1}[signum], done.stderr
    assert _jobs(tmp_path) == {"lambda-5": "7_0", "lambda-10": "7_1"}
    assert signum == "HUP" or "The jobs go on at Slurm: `lic sweep status" in done.stderr


@pytest.mark.slow
def test_jobs_of_a_command_that_was_killed_as_it_submitted_them(
    train: Any, answering: Answering, run_python: Any, tmp_path: Path
) -> None:
    """Their scripts say whose they are."""
    script = tmp_path / SWEEP / ".submitit" / "today" / "x.sh"
    script.parent.mkdir(parents=True)
    answering("squeue", f"echo '9_0|PENDING|{script}'; echo '9_1|RUNNING|/elsewhere/.submitit/x.sh'")
    submitted = answering("sbatch", "echo Submitted batch job 7")
    done = train()
    assert done.returncode == 2 and not submitted.exists()
    assert "does not name, as the command that submitted them was killed: 9_0; end them with" in done.stderr
    ended = answering("scancel", "true")
    assert run_python("-m", "lic.cli", "sweep", "cancel", SWEEP).returncode == 0
    assert ended.read_text() == "9_0\n"


def test_jobs_are_taken_back_where_their_numbers_cannot_be_kept() -> None:
    from lic.sweep.launcher import Launcher

    class Full:
        def save(self) -> None:
            raise OSError(28, "No space left on device")

    class Submitted:
        cancelled = False

        def cancel(self, check: bool) -> None:
            self.cancelled = True

    job = Submitted()
    with pytest.raises(OSError, match="No space"):
        Launcher._save(None, Full(), {Path("a"): job})  # type: ignore[arg-type]
    assert job.cancelled


def test_where_no_record_can_be_kept_nothing_begins(train: Any, answering: Answering, tmp_path: Path) -> None:
    (tmp_path / SWEEP / "sweep.json").mkdir(parents=True)
    submitted = answering("sbatch", "echo Submitted batch job 7")
    done = train()
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not submitted.exists(), done.stderr


@pytest.mark.slow
def test_an_evaluation_goes_to_slurm_too(
    train: Any, answering: Answering, run_python: Any, repository: Path, tmp_path: Path
) -> None:
    answering("squeue", "case \"$@\" in *states*) echo '7_0|FAILED'; echo '7_1|FAILED';; esac")
    done = run_python(
        *(repository / "eval.py", "-m", "codec=jpeg,webp", "data=builtin"),
        *("hydra/launcher=slurm", "hydra.sweep.dir=evaluated"),
    )
    assert done.returncode == 3 and "2 jobs: 2 to submit" in done.stdout, done.stderr
    script = next((tmp_path / "evaluated").rglob("*submission.sh")).read_text()
    assert "--array=0-1%2" in script and "--job-name=codec-jpeg_webp" in script


def test_a_single_run_needs_no_launcher(run_python: Any, repository: Path, tmp_path: Path) -> None:
    for option in ("hydra/launcher=slurm", "sweep.detach=true"):
        done = run_python(repository / "train.py", "model=baseline", option)
        assert done.returncode == 2 and "are for sweeps; add -m" in done.stderr, done.stderr
    assert not (tmp_path / "outputs").exists()


def test_what_slurm_refuses_is_one_sentence(train: Any, answering: Answering) -> None:
    answering("sbatch", "echo 'sbatch: error: invalid partition specified: fast' >&2; exit 1")
    done = train()
    slurms, ours = done.stderr.splitlines()
    assert done.returncode == 2 and slurms == "sbatch: error: invalid partition specified: fast"
    assert ours == f"Error: Slurm takes no such jobs ({slurms}); hydra.launcher.* has what is asked of it."


@pytest.mark.slow
def test_more_jobs_than_slurm_takes_in_an_array(train: Any, answering: Answering, tmp_path: Path) -> None:
    answering("sbatch", "echo 'sbatch: error: Invalid job array specification' >&2; exit 1")
    done = train("sweep.detach=true")
    assert done.returncode == 2 and "hydra.sweeper.max_batch_size=1000 makes several arrays" in done.stderr
    submitted = answering("sbatch", f"echo Submitted batch job 7$(wc -l < {tmp_path}/sbatch.txt)")
    done = train("sweep.detach=true", "lambda=1,2,3,4,5", "hydra.sweeper.max_batch_size=2")
    assert done.returncode == 0, done.stderr
    assert set(_jobs(tmp_path)) == {f"lambda-{n}" for n in range(1, 6)}
    assert len({number.split("_")[0] for number in _jobs(tmp_path).values()}) == 3, submitted.read_text()


def test_without_slurm_it_says_where_to_submit(
    run_python: Any, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_python(repository / "train.py", *COMMAND)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Error: There is no Slurm on this machine")


def test_who_stops_waiting_is_told_that_the_jobs_go_on(
    train: Any, answering: Answering, repository: Path, tmp_path: Path
) -> None:
    answering("squeue", "echo '7_0|RUNNING|x'")
    command = [sys.executable, str(repository / "train.py"), *COMMAND]
    environment = os.environ | {"PYTHONPATH": str(repository)}
    waiting = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "squeue.txt").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 130, said
    assert "Interrupted by SIGINT. The jobs go on at Slurm: `lic sweep status multirun/x` shows them" in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["hydra/launcher=basic"], "add hydra/launcher=slurm or local."),
        (["hydra/launcher=joblib"], "add hydra/launcher=slurm or local."),
    ],
)
def test_nothing_else_can_be_left_alone(train: Any, tmp_path: Path, more: list[str], sentence: str) -> None:
    done = train("sweep.detach=true", *more)
    assert done.returncode == 2 and sentence in done.stderr and not (tmp_path / "multirun").exists()


def test_each_job_has_a_task_for_each_of_its_devices(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    """Jobs of one number are one array, and numbers may be swept."""
    answering("sbatch", f"echo Submitted batch job $(wc -l < {tmp_path}/sbatch.txt)")
    answering("squeue", "true")
    done = train("sweep.detach=true", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1,2")
    assert done.returncode == 0, done.stderr
    scripts = [script.read_text() for script in (tmp_path / SWEEP).rglob("*submission.sh")]
    asked = {re.findall(r"--(?:array|nodes|ntasks-per-node)=(\S+)", script)[-1] for script in scripts}
    assert len(scripts) == 2 and asked == {"1", "2"}
    assert all("--array=0-1%2" in script and "--kill-on-bad-exit=1" in script for script in scripts)
    numbers = _jobs(tmp_path)
    assert {numbers[f"lambda-{one}_trainer.devices-2"] for one in (5, 10)} == {"2_0", "2_1"}


def test_of_several_arrays_all_are_submitted_or_none(
    train: Any, answering: Answering, tmp_path: Path
) -> None:
    first = f"[ $(wc -l < {tmp_path}/sbatch.txt) = 1 ]"
    answering("sbatch", f"{first} && echo Submitted batch job 7 || {{ echo 'no such nodes' >&2; exit 1; }}")
    answering("squeue", "true")
    cancelled = answering("scancel", "true")
    done = train("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1,2")
    assert done.returncode == 2 and "Slurm takes no such jobs (no such nodes)" in done.stderr
    assert cancelled.read_text().split() == ["7_0", "7_1"]


def test_contradictory_numbers_of_tasks_are_refused_before_submission(
    train: Any, answering: Answering
) -> None:
    submitted = answering("sbatch", "echo Submitted batch job 7")
    done = train("trainer=ddp", "trainer.devices=2", "hydra.launcher.tasks_per_node=1")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "hydra.launcher.tasks_per_node=1 contradicts trainer.devices=2;" in done.stderr
    assert not submitted.exists()
