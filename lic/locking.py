"""One process writes a folder at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lic.errors import UserError

LOCK_FILE = ".lock"


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
