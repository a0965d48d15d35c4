"""The states of a sweep's jobs, against made-up folders and a made-up queue."""

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lic.errors import UserError
from lic.locking import HOLDER_FILE, only_writer
from lic.status import write_status
from lic.sweep.record import Record
from lic.sweep.states import State, read_sweep

from .conftest import Answering

ELSEWHERE = "process 1 on another-machine\n"


def _made(sweep: Path, name: str, holder: str = "", **status: Any) -> Path:
    (sweep / name).mkdir(parents=True)
    write_status(sweep / name, **status)
    if holder:
        (sweep / name / HOLDER_FILE).write_text(holder)
    return sweep / name


def _last_word(job: Path, when: float) -> None:
    os.utime(job / "status.json", (when, when))


def _record(sweep: Path, jobs: Mapping[str, str | None]) -> None:
    Record("train", ("-m",), str(sweep), str(sweep.resolve()), jobs).save()


def _states(sweep: Path) -> dict[str, State]:
    return {state.folder.name: state for state in read_sweep(sweep).states}


def test_every_state_of_jobs_at_slurm(tmp_path: Path, answering: Answering) -> None:
    sweep = tmp_path / "sweep"
    finished = _made(sweep, "finished", status="done", cost=1.0)
    (finished / "test.json").write_text(json.dumps({"mean": {"bpp": 0.5, "psnr": 30.25, "x": None}}))
    progress: dict[str, Any] = {"step": 100, "steps": 300, "seconds_per_step": 2}
    _last_word(_made(sweep, "running", ELSEWHERE, status="running", **progress), time.time() - 50)
    _made(sweep, "starting", status="failed", error="of the time before")
    _made(sweep, "requeued", status="interrupted", step=7, steps=300)
    _last_word(_made(sweep, "killed", ELSEWHERE, status="running", **progress), time.time() - 70)
    _made(sweep, "ending", ELSEWHERE, status="running")
    _made(sweep, "stopped", status="interrupted", **progress)
    _made(sweep, "failed", status="failed", error="Traceback\n  file\nValueError: odd \x1b[31m")
    numbers = {"running": "7_0", "starting": "7_1", "requeued": "7_2", "killed": "7_3", "stopped": "7_4"}
    numbers["ending"] = "7_8"
    _record(sweep, numbers | {"fresh": "7_5", "cancelled": "7_6", "finished": "7_7"})
    answering(
        "squeue", "echo '7_0|RUNNING|x'; echo '7_1|RUNNING|x'; echo '7_2|PENDING|x'; echo '7_5|PENDING|x'"
    )
    states = _states(sweep)
    assert {name: state.name for name, state in states.items()} == {
        "finished": "finished",
        "running": "running",
        "starting": "running",
        "requeued": "queued",
        "killed": "died",
        "ending": "running",  # its last word may be on its way
        "stopped": "interrupted",
        "failed": "failed",
        "fresh": "queued",
        "cancelled": "died",
    }
    assert (states["finished"].bpp, states["finished"].psnr) == (0.5, 30.25)
    assert (states["running"].step, states["running"].steps, states["running"].seconds) == (100, 300, 2)
    assert states["running"].left == pytest.approx(350, abs=5), "200 steps of 2 s, 50 s ago"
    assert math.isnan(states["starting"].left) and math.isnan(states["fresh"].step)
    assert states["failed"].error == "ValueError: odd \x1b[31m", "its last line, as data"
    assert states["cancelled"].error and states["killed"].error


def test_where_slurm_is_mute_nothing_has_died(tmp_path: Path, answering: Answering) -> None:
    answering("squeue", "exit 1")
    _made(tmp_path / "sweep", "a", ELSEWHERE, status="running")
    _record(tmp_path / "sweep", {"a": "7_0", "b": "7_1"})
    seen = read_sweep(tmp_path / "sweep")
    assert seen.mute and [state.name for state in seen.states] == ["running", "waiting"]


def test_a_process_of_this_machine_is_believed_only_while_it_lives(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    job = _made(sweep, "a", f"process 99999999 on {socket.gethostname()}\n", status="running")
    (job / ".lock").touch()
    assert _states(sweep)["a"].name == "died"
    with only_writer(job):
        assert _states(sweep)["a"].name == "running"
    assert _states(sweep)["a"].name == "died", "this process lives, but holds no lock"


@pytest.mark.parametrize(("silent", "name"), [(60, "running"), (3600, "died")])
def test_of_another_machine_the_last_word_counts(tmp_path: Path, silent: float, name: str) -> None:
    job = _made(tmp_path / "sweep", "a", ELSEWHERE, status="running")
    _last_word(job, time.time() - silent)
    assert _states(tmp_path / "sweep")["a"].name == name


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_that_differ_make_no_job_die(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Of the job's machine, of the one that looks, and of the file server, which stamps what both write."""
    sweep = tmp_path / "sweep"
    progress: dict[str, Any] = {"step": 100, "steps": 300, "seconds_per_step": 2}
    _made(sweep, "alive", ELSEWHERE, status="running", **progress, when=time.time() - 3600 * hours)
    _last_word(_made(sweep, "silent", ELSEWHERE, status="running", **progress), time.time() - 3600)
    here = time.time
    monkeypatch.setattr(time, "time", lambda: here() + 3600 * hours)
    states = _states(sweep)
    assert (states["alive"].name, states["silent"].name) == ("running", "died")
    assert states["alive"].left == pytest.approx(400, abs=5)


@pytest.mark.parametrize("odd", ["x", None, True, [1], {"a": 1}, math.inf, 10**400])
def test_odd_numbers_are_unknown(tmp_path: Path, odd: Any) -> None:
    sweep = tmp_path / "sweep"
    _made(sweep, "a", ELSEWHERE, status="running", step=odd, steps=odd, seconds_per_step=odd)
    done = _made(sweep, "b", status="done")
    (done / "test.json").write_text(json.dumps({"mean": {"bpp": odd}}))
    states = _states(sweep)
    assert math.isnan(states["a"].step) and math.isnan(states["a"].left) and math.isnan(states["b"].bpp)


@pytest.mark.parametrize("content", ["[]", '{"mean": []}', "{", "null"])
def test_a_strangers_result_is_unknown(tmp_path: Path, content: str) -> None:
    done = _made(tmp_path / "sweep", "b", status="done")
    (done / "test.json").write_text(content)
    assert math.isnan(_states(tmp_path / "sweep")["b"].psnr)


def test_a_copy_asks_nobody_for_its_jobs(tmp_path: Path, answering: Answering) -> None:
    """Its numbers may by now be those of other jobs."""
    asked = answering("squeue", "echo '7_0|RUNNING|x'")
    _made(tmp_path / "copy", "a", status="interrupted")
    Record("train", (), str(tmp_path), str(tmp_path / "copy"), {"a": "7_0"}).save()
    content = (tmp_path / "copy" / "sweep.json").read_text()
    (tmp_path / "copy" / "sweep.json").write_text(content.replace(str(tmp_path / "copy"), "/home/other/x"))
    assert _states(tmp_path / "copy")["a"].name == "interrupted" and not asked.exists()


def test_no_sweep_is_said_so(tmp_path: Path) -> None:
    for folder, sentence in ((tmp_path, "it has no jobs"), (tmp_path / "none", "There is no folder")):
        with pytest.raises(UserError, match=sentence):
            read_sweep(folder)


def test_five_hundred_jobs_take_a_second_or_two(tmp_path: Path, answering: Answering) -> None:
    sweep = tmp_path / "sweep"
    for i in range(500):
        job = _made(sweep, f"lambda-{i}", status="done", cost=1.0)
        (job / "test.json").write_text(json.dumps({"mean": {"bpp": i, "psnr": 30}, "rows": ["x" * 200] * 24}))
    _record(sweep, {f"lambda-{i}": f"7_{i}" for i in range(600)})
    asked = answering("squeue", "seq -f '7_%g|PENDING|x' 500 599")
    start = time.perf_counter()
    seen = read_sweep(sweep)
    assert time.perf_counter() - start < 5
    assert [len(seen.named(name)) for name in ("finished", "queued")] == [500, 100]
    assert len(asked.read_text().splitlines()) == 1, "Slurm is asked once"


def test_a_received_folder_neither_hangs_nor_floods(tmp_path: Path) -> None:
    long = _made(tmp_path, "long", status="failed", error="x" * 1_000_000)
    with (long / HOLDER_FILE).open("wb") as file:
        file.truncate(1 << 36)
    _made(tmp_path, "huge", status="running", step=1e300, steps=1e308, seconds_per_step=1e308)
    states = _states(tmp_path)
    assert len(states["long"].error) <= 1000 and math.isnan(states["huge"].steps)


@pytest.mark.parametrize("jobs", [{"\ud800": None}, {"a\nb": None}, dict.fromkeys(map(str, range(20_001)))])
def test_odd_jobs_are_none(tmp_path: Path, jobs: dict[str, None]) -> None:
    (tmp_path / "sweep.json").write_text(
        json.dumps({"program": "train", "arguments": [], "directory": "", "folder": "", "jobs": jobs})
    )
    with pytest.raises(UserError, match="it has no jobs"):
        read_sweep(tmp_path)


def test_the_whole_queue_is_seen(
    tmp_path: Path, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a user lets squeue print, and whatever bytes a name has."""
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("LOGNAME", "nobody")
    _record(tmp_path, {"a": "7_0"})
    asked = answering("squeue", "printf '7_0|PENDING|\\377\\n'; echo ${SQUEUE_STATES-all} >> said.txt")
    monkeypatch.chdir(tmp_path)
    assert _states(tmp_path)["a"].name == "queued"
    assert (tmp_path / "said.txt").read_text() == "all\n"
    assert {"--array", f"--user={os.getuid()}"} <= {*asked.read_text().split()}
