"""One process writes a folder at a time."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lic.errors import UserError

LOCK_FILE = ".lock"

_log = logging.getLogger(__name__)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases that of a process that died, on whichever host.

    Raises:
        UserError: another process holds it; the sentence names its host and number.
    """
    from filelock import FileLock, Timeout  # a tenth of a second that --help need not wait

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOCK_FILE
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        holder = file.read_text("utf-8", "replace").strip()[:200] or "another process"
        raise UserError(
            f"{folder} is being written by {holder}; wait for it, stop it, or give another folder "
            "(hydra.sweep.dir=… with -m, else hydra.run.dir=…)."
        ) from None
    try:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield
    finally:
        lock.release()


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
        lock.acquire(blocking=False)
    except Timeout:
        _log.info("Another process %s; waiting for it (%s).", work, lock_file)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
