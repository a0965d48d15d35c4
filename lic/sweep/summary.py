"""The frame around the jobs of a sweep: its lock before them, its results and failures after them."""

import logging
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lic.entry import end, is_main_process, user_message
from lic.errors import UserError, visible
from lic.locking import WRITTEN, is_held, only_writer
from lic.status import STATUS_FILE, read_status
from lic.sweep import composition
from lic.sweep.names import look_up
from lic.sweep.record import Record, detached, read_record

_lock = ExitStack()  # not kept by the callback: launchers pickle it

_UNFINISHED = {"interrupted": "it was interrupted, and can go on", "running": "it died without a word"}

_log = logging.getLogger(__name__)


def _keep_locked(folder: Path, written: Sequence[str] = WRITTEN) -> None:
    _lock.close()  # an earlier command of this process may have left without a word
    try:
        _lock.enter_context(only_writer(folder, written))
    except (UserError, OSError) as error:  # Hydra would turn it into a warning
        end(user_message(error) or str(error))


def _sweep_folder(config: DictConfig) -> Path:
    """Where it is, looked up in the command's own process."""
    try:
        look_up(config)
        return Path(config.hydra.sweep.dir)
    except (UserError, OmegaConfBaseException) as error:
        end(user_message(error) or str(error))


def _check_detached(config: DictConfig) -> None:
    """Refuse to leave jobs that run in this process, or whose results something waits for."""
    if not detached(config):
        return
    if "submitit" not in config.hydra.launcher._target_:
        end("sweep.detach=true leaves the jobs to a launcher; add hydra/launcher=slurm or local.")
    if "BasicSweeper" not in config.hydra.sweeper._target_:
        end("sweep.detach=true leaves, and this hydra/sweeper waits for results; leave one of them out.")


def _record(folder: Path, program: str) -> None:
    """Keep the command, beside the jobs of an earlier one."""
    earlier = read_record(folder)
    known = earlier.jobs if earlier and earlier.is_of(folder) else {}
    Record(program, tuple(sys.argv[1:]), str(Path.cwd()), str(folder.resolve()), known).save()


def _say_how_to_look(folder: Path) -> None:
    shown = shlex.quote(str(folder))
    print(f"Submitted. To look at the jobs: lic sweep status {shown}")
    print(f"When they have ended:           lic sweep collect {shown}")


class SweepSummary(Callback):
    """Before Hydra writes: the lock of the run or of the sweep, or exit with 2 where another process has it.

    After the last one: ``rd.csv``, ``report.html``, a W&B run of the sweep, and the failures by name. Exits
    with 3 if a job failed.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in each process of a single run."""
        if detached(config) or "Basic" not in config.hydra.launcher._target_:
            end("hydra/launcher= and sweep.detach= are for sweeps; add -m, even for one job.")
        if is_main_process():
            _keep_locked(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the process that starts the sweep, which keeps the lock to its end."""
        folder = _sweep_folder(config)
        _check_detached(config)
        _keep_locked(folder, ["*"])  # jobs have any name
        try:
            _record(folder, config.hydra.job.config_name)
        except OSError as error:  # Hydra would turn it into a warning
            end(user_message(error) or str(error))
        composition.take_over()
        with suppress(ImportError):
            from lic.sweep import launchers  # submitit is an extra

            launchers.take_over()

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after a single run."""
        _lock.close()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the process that started the sweep."""
        try:
            if detached(config):
                _say_how_to_look(Path(config.hydra.sweep.dir))
            else:
                self._summarize(config)
        finally:
            _lock.close()

    def _summarize(self, config: DictConfig) -> None:
        from lic.evaluation.result import RESULT_FILE  # Hydra composes without torch
        from lic.evaluation.super_resolution import SUPER_RESOLUTION_FILE
        from lic.report.summary import summarize

        folder = Path(config.hydra.sweep.dir)
        record = read_record(folder)
        begun = {*folder.glob(f"*/{STATUS_FILE}"), *folder.glob("*/.hydra")}  # a full disk takes no status
        jobs = sorted(
            {*(folder / name for name in (record.jobs if record else ())), *(f.parent for f in begun)}
        )
        states = {job: read_status(job) for job in jobs}
        failed = {
            job: "another process is running it"
            if is_held(job)
            else s.get("error", _UNFINISHED.get(str(s.get("status")), "it did not finish"))
            for job, s in states.items()
            if s.get("status") != "done"
        }
        exit_code = 3 if failed else 0
        try:
            if any(next(folder.rglob(name), None) for name in (RESULT_FILE, SUPER_RESOLUTION_FILE)):
                summarize(folder, OmegaConf.select(config, "logger.wandb.project"))
        except Exception as error:  # Hydra would turn it into a warning
            message = user_message(error)
            _log.error("The summary of the jobs failed: %s", message or traceback.format_exc())
            print(f"`lic report {shlex.quote(str(folder))}` tries again to sum them up.", file=sys.stderr)
            exit_code = exit_code or 1
        for job_folder, said in failed.items():
            print(visible(f"Failed: {job_folder}: {said}"), file=sys.stderr)
        if failed:
            print(
                f"{len(failed)} of {len(jobs)} jobs failed; the same command runs only what is unfinished.",
                file=sys.stderr,
            )
        if exit_code:
            sys.exit(exit_code)
