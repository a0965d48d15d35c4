"""A run, alone or as a job of a sweep: its folder, its one writer, its state, and how it ends.

Light on purpose: torch is loaded by what it runs.
"""

import functools
import hashlib
import logging
import math
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lic import interruption
from lic.atomic import write_text
from lic.entry import end, is_main_process, quoted, user_message
from lic.errors import LostProcessError, UserError
from lic.locking import only_writer
from lic.status import read_status, write_status

ERROR_FILE = "error.txt"
_LAST_WORDS = 20.0  # seconds in which the first process says how it ended, and W&B takes the last values

_log = logging.getLogger(__name__)


def run_folder() -> Path:
    """The folder that Hydra made for this run or job."""
    return Path(HydraConfig.get().runtime.output_dir)


def in_sweep() -> bool:
    """Whether this is a job of a sweep (``-m``)."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def given(option: str) -> bool:
    """Whether the command itself gives a value to an option of the first level."""
    return any(one.lstrip("+").startswith(f"{option}=") for one in HydraConfig.get().overrides.task)


def report_folder() -> Path:
    """The folder whose report shows this run: that of its sweep, or its own."""
    return Path(HydraConfig.get().runtime.cwd, HydraConfig.get().sweep.dir) if in_sweep() else run_folder()


def digest(cfg: DictConfig) -> str:
    """Of a configuration without Hydra's part: whether a job is still the same, however it is run."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "sweep"])
    return hashlib.sha256(OmegaConf.to_yaml(own).encode()).hexdigest()[:16]


def check_same(folder: Path, config: str) -> None:
    """Refuse a folder whose job had another `digest`.

    Raises:
        UserError: it had.
    """
    if read_status(folder).get("config", config) != config:
        raise UserError(
            f"{folder} holds a job of another configuration; give the sweep another name (sweep.name), or "
            "delete that folder."
        )


def cost_if_done(folder: Path, config: str) -> float | None:
    """The cost that a job has left, if it is done and of this `digest`."""
    status = read_status(folder)
    cost = status.get("cost")
    is_done = status.get("status") == "done" and status.get("config", config) == config
    return cost if is_done and isinstance(cost, float) else None


def job(main: Callable[[DictConfig], float]) -> Callable[[DictConfig], float]:
    """Decorate a Hydra main function: keep ``status.json``, skip what is done, survive what fails.

    What is done is believed only for the same configuration. A folder has one writer at a time.

    A single run raises its error. A job of a sweep leaves it in its folder and returns NaN, so that the
    others go on; `SweepSummary` reports it at the end. A signal ends the whole sweep. (`SweepSummary` has the
    lock of a single run, and of a sweep, before Hydra writes there.)
    """

    @functools.wraps(main)
    def locked(cfg: DictConfig) -> float:
        logging.raiseExceptions = False  # a full disk would put a traceback in the place of each line
        with ExitStack() as entered:
            entered.enter_context(interruption.handled())  # a launcher's process has no handlers yet
            try:
                if in_sweep() and is_main_process():
                    entered.enter_context(only_writer(run_folder()))
            except (UserError, OSError) as error:  # nothing is written into a folder that is another's
                _log.error("%s", user_message(error) or error)
                return math.nan
            return guarded(cfg)

    def guarded(cfg: DictConfig) -> float:
        folder, sweeping = run_folder(), in_sweep()
        own = digest(cfg)
        if sweeping:
            try:
                check_same(folder, own)
            except UserError as error:
                end(str(error))
        if sweeping and (cost := cost_if_done(folder, own)) is not None:
            _log.info("%s is done; skipped.", folder.name)
            return cost
        try:
            _write_status(folder, config=own, status="running")
            cost = main(cfg)
            _write_status(folder, config=own, status="done", cost=cost)
            return cost
        except interruption.Interrupted as stop:
            with _as_far_as_there_is_room():
                _end_as(folder, config=own, status="interrupted")
            said = [_how_it_failed(stop.__cause__)] if stop.__cause__ else []
            raise interruption.Interrupted(stop.signum, " ".join([*said, _how_to_continue(folder)])) from None
        except BaseException as error:
            message = user_message(error)
            reason = message or f"{type(error).__name__}: {error}"
            with _as_far_as_there_is_room():
                is_effect = isinstance(error, LostProcessError)
                if _end_as(folder, is_effect, config=own, status="failed", error=reason):
                    write_text(folder / ERROR_FILE, message or traceback.format_exc())
            if not sweeping and message:
                end(message)  # raised, Hydra would print a line of its own before it
            if not sweeping or not isinstance(error, Exception):
                raise
            _log.error("%s failed: %s", folder.name, message or traceback.format_exc())
            return math.nan

    return locked


@contextmanager
def _as_far_as_there_is_room() -> Iterator[None]:
    """Log what cannot be written where a run ends: the disk may be full, and that be why it ends."""
    try:
        yield
    except OSError as unwritable:
        _log.error("%s", user_message(unwritable) or unwritable)


def _how_it_failed(error: BaseException) -> str:
    """The failure between a signal and the end of the step, in words."""
    message = user_message(error)
    if message is None:
        _log.error("Failed after the signal:", exc_info=error)
        message = f"{type(error).__name__}: {error}."
    return f"It failed before it could save its state: {message}"


def _how_to_continue(folder: Path) -> str:
    if not is_main_process():  # the first one says it
        return ""
    if in_sweep():
        return "The same command continues the sweep."
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return ""
    module = sys.modules["__main__"].__spec__  # None where a file was run
    program = ["lic", module.name.rpartition(".")[2]] if module else ["python", sys.argv[0]]
    given = [a for a in sys.argv[1:] if not a.startswith(("hydra.run.dir=", "ckpt_path="))]
    here = f"hydra.run.dir={quoted(str(folder))}"
    return "To continue: " + shlex.join([*program, *given, here, "ckpt_path=last"])


def _write_status(folder: Path, **content: Any) -> None:
    if is_main_process():
        (folder / ERROR_FILE).unlink(missing_ok=True)
        write_status(folder, **content)


def _end_as(folder: Path, is_effect: bool = True, **content: Any) -> bool:
    """Write how the run ends; whether it is for this process to say so.

    It is for the first, unless another fails by itself (no effect of what befell the others): the first would
    wait for it, in vain or for ever.
    """
    if is_main_process():
        if read_status(folder).get("beside"):
            return False
        write_status(folder, **content)
        return True
    give_up = time.monotonic() + _LAST_WORDS
    while not is_effect and read_status(folder).get("status", "running") == "running":
        if time.monotonic() > give_up:
            write_status(folder, **content, beside=True)
            return True
        time.sleep(0.2)
    return False
