"""What Slurm's commands say of the user's jobs; `squeue`, unlike `sacct`, needs no accounting."""

import getpass
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TIMEOUT = 60  # seconds; a busy controller takes its time


class Queued(NamedTuple):
    """A job that Slurm has: its state ("PENDING", "RUNNING", …), and the script that it runs."""

    state: str
    script: Path


def is_here() -> bool:
    """Whether this machine can submit to a cluster."""
    return shutil.which("sbatch") is not None


def queue() -> dict[str, Queued] | None:
    """The user's jobs that wait or run, by number (elements of arrays as 12_3); None if Slurm is mute."""
    try:
        said = subprocess.run(
            ["squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--format=%i|%T|%o"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.split("|", 2) for line in said.stdout.splitlines() if line.count("|") >= 2)
    return {number.strip(): Queued(state, Path(script.strip())) for number, state, script in rows}


def ended_as(numbers: Iterable[str]) -> dict[str, str]:
    """How jobs ended ("FAILED", "OUT_OF_MEMORY", …), as far as Slurm still knows; it forgets in minutes."""
    asked = ",".join(numbers)
    try:
        said = subprocess.run(
            ["squeue", f"--jobs={asked}", "--states=all", "--noheader", "--array", "--format=%i|%T"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.strip().split("|", 1) for line in said.stdout.splitlines() if "|" in line)


def cancel(numbers: Iterable[str]) -> None:
    """Take jobs out of the queue; running ones are told to end, and save.

    Raises:
        OSError: there is no Slurm.
        subprocess.SubprocessError: it refuses.
    """
    subprocess.run(["scancel", *numbers], check=True, timeout=_TIMEOUT)
