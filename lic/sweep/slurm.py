"""What Slurm's commands say of the user's jobs; `squeue`, unlike `sacct`, needs no accounting."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
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


def queue(user: int | None = None) -> dict[str, Queued] | None:
    """A user's jobs that wait or run, by number (elements of arrays as 12_3); None if Slurm is mute.

    Args:
        user: whose; this process's without.
    """
    said = _asked(f"--user={os.getuid() if user is None else user}", "--format=%i|%T|%o")
    if said is None or said.returncode:
        return None
    rows = (line.split("|", 2) for line in said.stdout.splitlines() if line.count("|") >= 2)
    return {number.strip(): Queued(state, Path(script.strip())) for number, state, script in rows}


def of_folder(queued: Mapping[str, Queued], sweep: Path) -> set[str]:
    """The numbers of those jobs whose scripts lie where a sweep has submitit write its own."""
    scripts = sweep.resolve() / ".submitit"
    return {number for number, job in queued.items() if job.script.is_relative_to(scripts)}


def _asked(*words: str) -> subprocess.CompletedProcess[str] | None:
    """What `squeue` answers, an element of an array on each line; None if it does not.

    A user may let it leave jobs out, and one that is not seen would be submitted again.
    """
    try:
        return subprocess.run(
            ["squeue", *words, "--noheader", "--array"],
            capture_output=True,
            text=True,
            errors="replace",
            env={key: value for key, value in os.environ.items() if not key.startswith("SQUEUE_")},
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None


def ended_as(numbers: Iterable[str]) -> dict[str, str]:
    """How jobs ended ("FAILED", "OUT_OF_MEMORY", …), as far as Slurm still knows; it forgets in minutes."""
    arrays = {number.partition("_")[0] for number in numbers}  # a line has its limits
    asked = ",".join(sorted(arrays))
    if not asked:
        return {}
    said = _asked(f"--jobs={asked}", "--states=all", "--format=%i|%T")
    if said is None:
        return {}
    return dict(line.strip().split("|", 1) for line in said.stdout.splitlines() if "|" in line)


def cancel(numbers: Iterable[str]) -> None:
    """Take jobs out of the queue; running ones are told to end, and save.

    Raises:
        OSError: there is no Slurm.
        subprocess.SubprocessError: it refuses.
    """
    subprocess.run(["scancel", *numbers], check=True, timeout=_TIMEOUT)
