"""One run or job: its signals, its folder and its end."""

import errno
import hashlib
import logging
import math
import os
import pickle
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lic import runs
from lic.errors import LostProcessError, UserError
from lic.interruption import Interrupted
from lic.locking import only_writer
from lic.status import read_status, write_status

NARROW = ("model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse")


@pytest.fixture
def job_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what `runs.job` decorates, a job of a sweep."""
    monkeypatch.setattr(runs, "run_folder", lambda: tmp_path)
    monkeypatch.setattr(runs, "in_sweep", lambda: True)
    return tmp_path


def _run_job(error: BaseException | None = None, cause: BaseException | None = None) -> float:
    def main(cfg: DictConfig) -> float:
        if error:
            raise error from cause
        return 1.0

    return runs.job(main)(OmegaConf.create({}))


def test_a_job_in_a_launchers_process_hears_signals_itself(job_folder: Path) -> None:
    """Such a process calls the job, never the command."""

    def main(cfg: DictConfig) -> float:
        signal.raise_signal(signal.SIGINT)
        return 1.0

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        runs.job(main)(OmegaConf.create({}))
    assert read_status(job_folder)["status"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    again = pickle.loads(pickle.dumps(stop.value))  # as it comes to the process that started the launcher
    assert again.exit_code == 130 and str(again) == str(stop.value)
    assert str(again) == "Interrupted by SIGINT. The same command continues the sweep."


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "last.ckpt"),
            "last.ckpt: No space left on device;",
        ),
        (UserError("Training diverged."), "Training diverged."),
        (ZeroDivisionError("by 0"), "ZeroDivisionError: by 0."),
    ],
)
def test_what_fails_after_a_signal_is_not_hidden_by_it(
    job_folder: Path, caplog: pytest.LogCaptureFixture, cause: Exception, said: str
) -> None:
    with pytest.raises(Interrupted) as stop:
        _run_job(Interrupted(signal.SIGTERM), cause)
    told = f"Interrupted by SIGTERM. It failed before it could save its state: {said}"
    assert str(stop.value).startswith(told) and str(stop.value).endswith("continues the sweep.")
    assert ("Failed after the signal" in caplog.text) == isinstance(cause, ZeroDivisionError)


def test_a_full_disk_does_not_turn_a_signal_into_a_failed_job(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path, *, status: str, **content: Any) -> None:
        if status == "interrupted":
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "status.json"))

    monkeypatch.setattr(runs, "write_status", full)
    with pytest.raises(Interrupted) as stop:
        _run_job(Interrupted(signal.SIGTERM))
    assert stop.value.exit_code == 143 and "status.json: No space left on device" in caplog.text


@pytest.mark.parametrize(
    "held",
    [("run", "hydra.run.dir=run"), ("sweep", "-m", "hydra.sweep.dir=sweep", "lambda=1,2")],
    ids=["run", "sweep"],
)
def test_nothing_is_written_into_a_folder_that_is_anothers(
    repository: Path, run_python: Any, tmp_path: Path, held: tuple[str, ...]
) -> None:
    name, *arguments = held
    with only_writer(tmp_path / name):
        before = {path.name for path in (tmp_path / name).iterdir()}
        done = run_python(repository / "train.py", *NARROW, "trainer=debug", *arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"Error: {name} is being written by process {os.getpid()} on ")
        assert {path.name for path in (tmp_path / name).iterdir()} == before


@pytest.mark.parametrize(
    ("link", "arguments"),
    [
        ("run/.hydra", ["hydra.run.dir=run"]),
        ("sweep/lambda-1", ["-m", "hydra.sweep.dir=sweep", "lambda=1,2"]),
        ("sweep/lambda-1/train.log", ["-m", "hydra.sweep.dir=sweep", "lambda=1,2"]),
    ],
)
def test_a_received_folder_does_not_have_its_user_write_elsewhere(
    repository: Path, run_python: Any, tmp_path: Path, link: str, arguments: list[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(tmp_path / "mine")
    done = run_python(repository / "train.py", *NARROW, "trainer=debug", *arguments)
    assert done.returncode == 2, done.stderr
    assert (
        done.stderr.startswith(f"Error: {link} is a link out of its folder") and done.stderr.count("\n") == 1
    )
    assert not any((tmp_path / "mine").iterdir())


def test_a_command_to_continue_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_folder: Path
) -> None:
    folder = tmp_path / "it's (1), λ=5 [x] #2"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    monkeypatch.setattr(runs, "run_folder", lambda: folder)
    monkeypatch.setattr(runs, "in_sweep", lambda: False)
    monkeypatch.setattr(sys, "argv", ["train.py", "lambda=5", "hydra.run.dir=x"])
    with pytest.raises(Interrupted) as stop:
        _run_job(Interrupted(signal.SIGTERM))
    words = shlex.split(str(stop.value).partition("To continue: ")[2])
    overrides = OverridesParser.create().parse_overrides(words[words.index("lambda=5") :])
    values = {override.key_or_group: override.value() for override in overrides}
    assert values == {"lambda": 5, "hydra.run.dir": str(folder), "ckpt_path": "last"}


def test_a_full_disk_fails_the_job_and_not_the_sweep(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any, **content: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(job_folder / "status.json"))

    monkeypatch.setattr(runs, "write_status", full)
    assert math.isnan(_run_job())
    assert "status.json: No space left on device; check the path" in caplog.text
    assert read_status(job_folder) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_is_no_page_of_tracebacks(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    handler = logging.FileHandler("/dev/full")
    runs._log.addHandler(handler)
    try:
        assert math.isnan(_run_job(UserError("Give a folder.")))
    finally:
        runs._log.removeHandler(handler)
        handler.stream = None  # it cannot be flushed
    assert capsys.readouterr().err.count("Traceback") == 0
    assert read_status(job_folder)["error"] == "Give a folder."


def test_how_a_job_is_run_is_no_part_of_what_it_is() -> None:
    """Jobs that were done before there was a choice are believed, too."""
    earlier = {"seed": 0, "variant": "${oc.env:HOME}", "lambda": 5}
    known = hashlib.sha256(OmegaConf.to_yaml(OmegaConf.create(earlier)).encode()).hexdigest()[:16]
    for sweep in ({"name": None, "detach": False}, {"name": "x", "detach": True}):
        assert runs.digest(OmegaConf.create({"seed": 0, "sweep": sweep} | earlier)) == known
    assert runs.digest(OmegaConf.create(earlier | {"lambda": 6})) != known


def test_a_process_that_fails_alone_says_so_itself(job_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one waits for it, and what then ends that is no news."""
    monkeypatch.setattr(runs, "_LAST_WORDS", 0.5)

    def main(cfg: DictConfig) -> float:
        """The training of the first, while the second fails."""
        monkeypatch.setattr(runs, "is_main_process", lambda: False)
        assert math.isnan(_run_job(ZeroDivisionError("in the second")))
        monkeypatch.setattr(runs, "is_main_process", lambda: True)
        raise LostProcessError("One of the 2 processes has ended.")

    assert math.isnan(runs.job(main)(OmegaConf.create({})))
    assert read_status(job_folder)["error"] == "ZeroDivisionError: in the second"
    assert "in the second" in (job_folder / runs.ERROR_FILE).read_text()


@pytest.mark.parametrize("error", [LostProcessError("One has ended."), Interrupted(signal.SIGTERM)])
def test_a_process_beside_the_first_leaves_it_to_that_to_tell_what_befell_both(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(runs, "_LAST_WORDS", 0.0)
    write_status(job_folder, status="running")
    monkeypatch.setattr(runs, "is_main_process", lambda: False)
    with suppress(Interrupted):
        _run_job(error)
    assert read_status(job_folder) == {"status": "running"} and not (job_folder / runs.ERROR_FILE).exists()
