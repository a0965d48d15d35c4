"""One process writes a folder at a time."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lic.errors import UserError
from lic.foreign import link_out

LOCK_FILE, HOLDER_FILE = ".lock", ".writer"
WRITTEN = (
    *(".hydra", "multirun.yaml", "train.log", "eval.log", "metrics.csv", "wandb", "tensorboard"),
    *("checkpoints", "streams", "originals", "reconstructions", "bicubic", "inner", "classical", "model-*"),
    *(LOCK_FILE, HOLDER_FILE),
)
"""Patterns of what a run writes in its folder, but for files that replace whatever has their name."""

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
        said = file.read_text("utf-8", "replace") if file.is_file() else ""
        holder = said.strip()[:200] or "another process"
        raise UserError(
            f"{folder} is being written by {holder}; wait for it, stop it, or give another folder "
            "(hydra.sweep.dir=… with -m, else hydra.run.dir=…)."
        ) from None
    with held:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield


def refuse_links(folder: Path, patterns: Sequence[str]) -> None:
    """Before something is written with a name of these patterns in a folder, which may be somebody else's.

    Raises:
        UserError: there, or anywhere below, is a link out of the folder.
    """
    if link := link_out(folder, patterns):
        raise UserError(
            f"{link} is a link out of its folder, where this command would write; remove it, or give another "
            "folder (hydra.sweep.dir=… with -m, else hydra.run.dir=…)."
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
