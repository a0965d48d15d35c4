"""One process writes a folder at a time."""

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lic.errors import UserError
from lic.foreign import inside, leads_elsewhere

LOCK_FILE, HOLDER_FILE = ".lock", ".writer"
WRITTEN = (
    *(".hydra", "multirun.yaml", "train.log", "eval.log", "metrics.csv", "wandb", "tensorboard"),
    *("checkpoints", "streams", "originals", "reconstructions", "bicubic", "inner", "classical", "model-*"),
    *(LOCK_FILE, HOLDER_FILE),
)
"""Patterns of what a run writes in its folder, but for files that replace whatever has their name."""

_HOLDER = re.compile(r"process (\d{1,9}) on (\S+)", re.ASCII)

_log = logging.getLogger(__name__)


@contextmanager
def only_writer(folder: Path, patterns: Sequence[str] = WRITTEN) -> Iterator[None]:
    """Hold the folder's lock; the system releases that of a process that died, on whichever host.

    Args:
        folder: made if there is none.
        patterns: of the names of what will be written in it.

    Raises:
        UserError: another process holds it; the sentence names its host and number. Or the folder, which may
            be somebody else's, would have it write elsewhere.
    """
    from filelock import FileLock, Timeout  # a tenth of a second that --help need not wait

    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder, patterns)
    lock = FileLock(folder / LOCK_FILE)
    file = folder / HOLDER_FILE  # beside the lock, which has a content of its own where there is no flock
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        holder = (_beginning(file) if file.is_file() else "") or "another process"
        raise UserError(
            f"{folder} is being written by {holder}; wait for it, stop it, or give another folder "
            "(hydra.sweep.dir=… with -m, else hydra.run.dir=…)."
        ) from None
    with held:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield


def _beginning(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(200).decode("utf-8", "replace").strip()


def holder(folder: Path) -> tuple[int, str] | None:
    """Who last held the folder's lock, as it says itself: the process's number and its host."""
    file = inside(folder, HOLDER_FILE)
    said = _HOLDER.fullmatch(_beginning(file)) if file else None
    return (int(said[1]), said[2]) if said else None


def is_held(folder: Path) -> bool:
    """Whether a process of this machine holds the folder's lock, or may; a look that takes no lock itself.

    The system says which files a process has open; where it does not, that such a process lives must do.
    """
    said, lock = holder(folder), inside(folder, LOCK_FILE)
    if said is None or said[1] != socket.gethostname() or lock is None or lock.is_symlink():
        return False
    descriptors = Path(f"/proc/{said[0]}/fd")
    try:
        if lock.stat().st_nlink > 1:  # it may be a file that any process has open
            return False
        if Path("/proc/self/fd").is_dir():
            return any(one.samefile(lock) for one in descriptors.iterdir() if one.exists())
        os.kill(said[0], 0)
    except OSError:  # it has ended, or is somebody else's
        return False
    return True


def refuse_links(folder: Path, patterns: Sequence[str]) -> None:
    """Before something is written with a name of these patterns in a folder, which may be somebody else's.

    Raises:
        UserError: there, or anywhere below, is a link out of the folder.
    """
    if link := leads_elsewhere(folder, patterns):
        raise UserError(
            f"{link} is a link out of its folder or no file, where this command would write; remove it, or "
            "give another folder (hydra.sweep.dir=… with -m, else hydra.run.dir=…)."
        )


@contextmanager
def in_turn(lock_file: Path, work: str) -> Iterator[None]:
    """Wait until no other process holds the lock of a file that all may write, and say so.

    Args:
        lock_file: it is made with its folder, and stays.
        work: what the other process does, for the message.

    Raises:
        OSError: there can be no such file.
    """
    from filelock import FileLock, Timeout

    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        _log.info("Another process %s; waiting for it (%s).", work, lock_file)
        held = lock.acquire()
    with held:
        yield
