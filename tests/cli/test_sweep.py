"""`lic sweep`: what it shows, refuses and ends."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lic.cli import sweep as commands
from lic.status import write_status
from lic.sweep.record import Record

from ..sweep.conftest import answering  # noqa: F401
from ..test_locking import HOLD


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A sweep of a failed job and one that Slurm has."""
    folder = tmp_path / "multirun" / "x"
    (folder / "lambda--1").mkdir(parents=True)
    write_status(folder / "lambda--1", status="failed", error="lambda must be [bold]positive[/bold]\x1b[31m")
    jobs = {"lambda--1": None, "lambda-5": "7_1"}
    _record(folder, ["-m", "lambda=-1,5"], jobs)
    return folder


def _record(folder: Path, arguments: list[str], jobs: dict[str, str | None] | None = None) -> None:
    directory = str(folder.parents[1].resolve())
    Record("train", tuple(arguments), directory, str(folder.resolve()), jobs or {}).save()


def test_the_table_shows_each_job_and_what_went_wrong(lic: Any, made: Path, answering: Any) -> None:  # noqa: F811
    answering("squeue", "echo '7_1|PENDING|x'")
    code, out, _ = lic("sweep", "status", "multirun/x")
    assert code == 0
    assert "7_1  queued" in out and "2 jobs: 1 queued, 1 failed." in out
    assert "lambda--1 failed: lambda must be [bold]positive[/bold]\\x1b[31m" in out
    assert "step" not in out, "of which nothing is known"


def test_what_is_wrong_with_many_jobs_is_said_once(lic: Any, tmp_path: Path, answering: Any) -> None:  # noqa: F811
    folder = tmp_path / "multirun" / "x"
    folder.mkdir(parents=True)
    _record(folder, ["-m"], {f"lambda-{i}": f"7_{i}" for i in range(9)})
    answering("squeue", "true")
    code, out, _ = lic("sweep", "status", "multirun/x")
    assert code == 0 and out.count("left Slurm's queue") == 1
    assert "lambda-0, lambda-1, lambda-2 and 6 more died: it left Slurm's queue" in " ".join(out.split())


def test_watching_ends_with_the_last_job(lic: Any, made: Path, answering: Any) -> None:  # noqa: F811
    asked = answering("squeue", f"[ $(wc -l < {made}/../../squeue.txt) -lt 2 ] && echo '7_1|RUNNING|x'; true")
    code, out, _ = lic("sweep", "status", "multirun/x", "--watch", "--every", "1")
    assert code == 0 and "1 died, 1 failed." in out and len(asked.read_text().splitlines()) == 2


@pytest.mark.parametrize("command", ["status", "resume", "cancel", "collect"])
def test_a_folder_that_is_no_sweep_is_refused(refused: Any, tmp_path: Path, command: str) -> None:
    (tmp_path / "photos").mkdir()
    assert "photos" in refused("sweep", command, "photos")


def test_watching_goes_on_where_slurm_is_mute(lic: Any, made: Path, answering: Any) -> None:  # noqa: F811
    asked = answering("squeue", f"[ $(wc -l < {made}/../../squeue.txt) -ge 2 ]")
    code, out, _ = lic("sweep", "status", "multirun/x", "--watch", "--every", "1")
    assert code == 0 and "Slurm does not answer" in out and len(asked.read_text().splitlines()) == 2


def test_cancel_needs_an_answer_of_slurm(lic: Any, made: Path, answering: Any) -> None:  # noqa: F811
    (made / ".submitit").mkdir()
    answering("squeue", "exit 1")
    code, _, err = lic("sweep", "cancel", "multirun/x")
    assert code == 2 and "Slurm does not answer, so nothing was ended" in err


def test_resume_shows_the_command_and_runs_it_where_it_was_given(
    lic: Any, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(commands, "become", lambda *command: ran.append((*command, Path.cwd())))
    monkeypatch.setattr(typer, "confirm", lambda question: False)
    code, out, _ = lic("sweep", "resume", "multirun/x")
    assert code == 1 and not ran
    assert f"In {made.parents[1]}: lic train -m lambda=-1,5\n" in out
    code, _, _ = lic("sweep", "resume", "multirun/x", "--yes")
    assert code == 0 and ran == [("train", ("-m", "lambda=-1,5"), made.parents[1])]


@pytest.mark.parametrize(
    "argument",
    [
        "--config-dir=/tmp/evil",
        "-cd",
        "train",
        "model._target_=os.system",
        "+x={_target_: os.system}",
        "hydra.searchpath=[file:///tmp/evil]",
        "hydra.callbacks.summary._target_=os.system",
        "hydra.job.env_set.PATH=/tmp/evil",
        "hydra.launcher.setup=[/tmp/evil]",
        "hydra.launcher.python=/tmp/evil",
        "model=../../../tmp/evil",
        "+experiment=/tmp/evil",
        "+experiment@model=/tmp/evil",
        "hydra/launcher=../evil",
        "model=glob(../*)",
        "~hydra.callbacks.summary=x",
    ],
)
def test_resume_runs_no_strangers_code(refused: Any, made: Path, argument: str) -> None:
    _record(made, ["-m", "lambda=-1,5", argument])
    assert "is not run from a file; give the command yourself" in refused(
        "sweep", "resume", "multirun/x", "--yes"
    )


def test_resume_refuses_a_copy(refused: Any, made: Path) -> None:
    made.rename(made.with_name("y"))
    assert "is elsewhere now" in refused("sweep", "resume", "multirun/y", "--yes")


def test_resume_goes_to_no_folder_within_the_sweep(refused: Any, made: Path) -> None:
    """Whatever runs there would find a stranger's modules first."""
    Record("train", ("-m",), str(made), str(made.resolve())).save()
    assert "give its command again there" in refused("sweep", "resume", "multirun/x", "--yes")


def test_cancel_ends_the_sweeps_own_jobs_alone(lic: Any, made: Path, answering: Any) -> None:  # noqa: F811
    """Numbers in a received file may be those of other jobs of the user."""
    _record(made, ["-m"], {"a": "7_0", "b": "7_1", "c": "8"})
    (made / ".submitit").mkdir()
    listed = [f"7_0|RUNNING|{made}/.submitit/x.sh", "8|RUNNING|/home/me/other.sh", f"9|PENDING|{made}/y.sh"]
    answering("squeue", "; ".join(f"echo '{line}'" for line in listed))
    ended = answering("scancel", "true")
    code, out, _ = lic("sweep", "cancel", "multirun/x")
    assert code == 0 and ended.read_text() == "7_0\n" and "Told to end: 1 jobs at Slurm, 0 processes" in out


@pytest.fixture
def job(made: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of this machine that writes a job's folder."""
    write_status(made / "lambda--1", status="running")
    command = [sys.executable, "-c", HOLD, str(made / "lambda--1")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_cancel_tells_processes_of_this_machine(lic: Any, made: Path, job: subprocess.Popen[str]) -> None:
    _record(made, ["-m"])
    code, out, _ = lic("sweep", "cancel", "multirun/x")
    assert code == 0 and "0 jobs at Slurm, 1 processes" in out and job.wait(20) == -15


def test_cancel_believes_no_file_about_processes(lic: Any, made: Path, job: subprocess.Popen[str]) -> None:
    """A received folder may name a process that has nothing to do with it."""
    import socket

    _record(made, ["-m"])
    (made / "lambda-9").mkdir()
    write_status(made / "lambda-9", status="running")
    (made / "lambda-9" / ".lock").touch()
    (made / "lambda-9" / ".writer").write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    code, out, _ = lic("sweep", "cancel", "multirun/x")
    assert code == 0 and "1 processes" in out, "this one still lives, too"


def test_cancel_is_led_to_no_other_process(
    lic: Any, made: Path, job: subprocess.Popen[str], tmp_path: Path
) -> None:
    """By a link to another sweep's job, or one to a file that the process has open."""
    mine = made.rename(made.with_name("mine"))
    folders = {name: tmp_path / "multirun" / "theirs" / name for name in ("link", "hard", "device")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        write_status(folder, status="running")
        (folder / ".writer").write_text((mine / "lambda--1" / ".writer").read_text())
    os.link(mine / "lambda--1" / ".lock", folders["hard"] / ".lock")
    (folders["device"] / ".lock").symlink_to(os.devnull)
    shutil.rmtree(folders["link"])
    folders["link"].symlink_to(mine / "lambda--1")
    code, out, _ = lic("sweep", "cancel", "multirun/theirs")
    assert code == 0 and "0 jobs at Slurm, 0 processes" in out and job.poll() is None


def test_collect_needs_something_finished(refused: Any, made: Path) -> None:
    _record(made, ["-m"])
    assert "No job of multirun/x is finished" in refused("sweep", "collect", "multirun/x")
