"""What state the jobs of a sweep are in: read from their folders and asked of Slurm, without torch."""

import math
import os
import re
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lic.errors import UserError
from lic.foreign import read_json
from lic.locking import holder, is_held
from lic.status import SLOW_FILES, STATUS_FILE, last_written, read_status
from lic.sweep import slurm
from lic.sweep.record import Record, read_record

STATES = ("queued", "running", "finished", "interrupted", "died", "failed", "waiting")
_RESULT_FILE = "test.json"  # lic.evaluation.result has its name, but torch with it
_LARGEST_RESULT = 1 << 24  # bytes
_LONGEST_ERROR = 1000  # letters
_LARGEST_NUMBER = 1e12  # of steps and seconds, to be shown
_SILENCE = 600.0  # seconds without a word, on a machine that cannot be asked, after which a job has died


@dataclass(frozen=True)
class State:
    """Of a job: one of `STATES`, and what is known of it; NaN and "" are unknown.

    ``number`` is Slurm's; ``step`` of ``steps``, ``seconds`` per step and those that are ``left``; ``bpp``
    and ``psnr`` in dB are means over the test set; ``error`` is its last line.
    """

    folder: Path
    name: str
    number: str = ""
    step: float = math.nan
    steps: float = math.nan
    seconds: float = math.nan
    left: float = math.nan
    bpp: float = math.nan
    psnr: float = math.nan
    error: str = ""


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder, its record if there is one, its jobs' states; ``mute`` if Slurm does not answer."""

    folder: Path
    record: Record | None
    states: tuple[State, ...]
    mute: bool

    def named(self, name: str) -> list[State]:
        """The jobs that are in a state."""
        return [state for state in self.states if state.name == name]


def read_sweep(folder: Path) -> Sweep:
    """All jobs of a sweep, by name.

    Raises:
        UserError: the folder is none of a sweep.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give that of a sweep, below multirun/.")
    record = read_record(folder)
    names = {status.parent.name for status in folder.glob(f"*/{STATUS_FILE}")} | {
        *(record.jobs if record else ())
    }
    if not names and record is None:
        raise UserError(f"{folder} is no folder of a sweep: it has no jobs; give one below multirun/.")
    names = {name for name in names if not (folder / name).is_symlink()}  # a job of another sweep
    numbers = record.jobs if record and record.is_of(folder) else {}
    asked = any(numbers.values())
    queue = slurm.queue(folder.stat().st_uid) if asked else {}
    now = _now(folder)
    states = (_state(folder / name, numbers.get(name), queue, now) for name in sorted(names, key=_naturally))
    return Sweep(folder, record, tuple(states), asked and queue is None)


def _naturally(name: str) -> list[tuple[float, str]]:
    """As people sort: lambda-9 before lambda-10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(float(part), "") if i % 2 else (-1.0, part) for i, part in enumerate(parts)]


def _now(folder: Path) -> float:
    """By the clock that stamps the folder's files: that of a file server may differ from this machine's."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # one may look at what one may not write
        return time.time()


def _state(job: Path, number: str | None, queue: Mapping[str, slurm.Queued] | None, now: float) -> State:
    status = read_status(job)
    written = last_written(job)
    silent = now - written.st_mtime if written else math.nan
    name, error = _judged(job, status, number, queue, silent)
    known = _quality(job) if name == "finished" else _progress(status, silent) if name != "failed" else {}
    return State(job, name, number or "", error=error, **known)


def _judged(
    job: Path,
    status: Mapping[str, Any],
    number: str | None,
    queue: Mapping[str, slurm.Queued] | None,
    silent: float,
) -> tuple[str, str]:
    """A job's state, and what went wrong; seconds since its last word are ``silent``."""
    said, queued = status.get("status"), queue.get(number) if queue and number else None
    name, error = "waiting", ""
    if said == "done":
        name = "finished"
    elif queued:
        name = "queued" if queued.state == "PENDING" else "running"
    elif said == "running" and _lives(job, number, queue, silent):
        name = "running"
    elif said == "failed":
        lines = str(status.get("error", "")).strip().splitlines()
        name, error = "failed", lines[-1][:_LONGEST_ERROR] if lines else ""
    elif said == "interrupted":
        name = "interrupted"
    elif said == "running":
        name, error = "died", "it ended without a word; its log may tell why"
    elif number and queue is not None:
        name, error = "died", "it left Slurm's queue before it began; its output in .submitit/ may tell why"
    return name, error


def _lives(job: Path, number: str | None, queue: Mapping[str, slurm.Queued] | None, silent: float) -> bool:
    """Whether a job that says it runs does: by the machine that runs it, by Slurm, or by its last word."""
    said = holder(job)
    if said and said[1] == socket.gethostname():
        return is_held(job)
    if number and queue is not None:
        return number in queue or silent < SLOW_FILES
    return silent < _SILENCE


def _progress(status: Mapping[str, Any], silent: float) -> dict[str, float]:
    keys = {"step": "step", "steps": "steps", "seconds": "seconds_per_step"}
    known = {name: _number(status.get(key)) for name, key in keys.items()}
    left = (known["steps"] - known["step"]) * known["seconds"]
    return known | {"left": math.nan if math.isnan(left - silent) else max(0.0, left - max(0.0, silent))}


def _quality(job: Path) -> dict[str, float]:
    try:
        means = read_json(job, _RESULT_FILE, _LARGEST_RESULT)["mean"]
        return {name: _number(means.get(name)) for name in ("bpp", "psnr")}
    except (ValueError, TypeError, KeyError, AttributeError):  # no codec, or somebody else's file
        return {}


def _number(value: object) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return math.nan
    return number if abs(number) < _LARGEST_NUMBER else math.nan
