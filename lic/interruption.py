"""SIGINT, SIGTERM, and what comes before a time limit: they end work at once, a training after its step."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

TIME_LIMIT = getattr(signal, "SIGUSR2", signal.SIGTERM)
"""What submitit has Slurm send before a job's time limit (``sbatch --signal``); Windows knows none."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, TIME_LIMIT)


class Interrupted(BaseException):
    """The process was told to stop; not an `Exception`, lest somebody take it for a failed job and go on.

    Args:
        signum: of the signal. The exit code says which it was, as shells expect: 130 or 143.
        message: what was saved and how to go on.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        self.signum, self.exit_code = signum, 128 + signum
        super().__init__(signum, message)  # launchers pickle it, from a job's process to theirs

    def __str__(self) -> str:
        signum, message = self.args
        return f"Interrupted by {signal.Signals(signum).name}. {message}".strip()


class _State:
    owner: int | None = None  # the process whose signals these are: forked workers inherit the handlers
    deferring = False
    requested: int | None = None


def _on_signal(signum: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.owner:
        return  # the parent decides; a worker that died would take the step with it
    if _State.requested is not None and signum != signal.SIGINT:
        return  # Slurm sends SIGTERM to a job, and its srun sends it again in the same second
    if not _State.deferring or _State.requested is not None:
        raise Interrupted(signum)
    _State.requested = signum
    name, more = signal.Signals(signum).name, "once more" if signum == signal.SIGINT else "SIGINT"
    with suppress(OSError):  # print() could meet itself here
        os.write(2, f"\n{name}: ending after this step; {more} stops at once.\n".encode())


def _heard(*more: signal.Signals) -> list[signal.Signals]:
    """The signals and ``more`` but those that the process was begun to ignore, as behind a shell's ``&``."""
    return [signum for signum in (*SIGNALS, *more) if signal.getsignal(signum) is not signal.SIG_IGN]


@contextmanager
def handled() -> Iterator[None]:
    """Raise `Interrupted` in the block, where the process is told to stop. Only the main thread can.

    It may stand within itself: a launcher's processes begin with a job, not with a command.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _on_signal) for signum in _heard()}
    owner, _State.owner = _State.owner, os.getpid()
    try:
        yield
    finally:
        _State.owner, _State.deferring, _State.requested = owner, False, None
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def postponed() -> Iterator[None]:
    """Obey a signal that comes in the block at its end: it is short, and must not end half-way."""
    came: list[int] = []
    terminals = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    heard = _heard(*terminals)
    before = {signum: signal.signal(signum, lambda *of: came.append(of[0])) for signum in heard}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if came:
            signal.raise_signal(came[0])


def defer(wanted: bool) -> None:
    """Whether the first signal only lets itself be asked for, by `requested`, from now on.

    After it, only SIGINT stops at once.

    Does nothing outside of `handled`. Other handlers that were set meanwhile (Lightning has one for SIGTERM,
    which ends the training without an error) are replaced.
    """
    if _State.owner != os.getpid():
        return
    _State.deferring = wanted
    for signum in _heard():
        signal.signal(signum, _on_signal)


def requested() -> int | None:
    """The signal that was put off by `defer`."""
    return _State.requested
