"""Submitit's two launchers as lic uses them: jobs at a Slurm cluster, and a process for each here."""

import logging
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from submitit.core.utils import FailedJobError

from lic.errors import UserError
from lic.locking import is_held
from lic.status import SLOW_FILES, last_written, read_status
from lic.sweep import slurm
from lic.sweep.composition import Compositions
from lic.sweep.launcher import Job, Launcher
from lic.sweep.record import SWEEP_FILE, Record, detached
from lic.sweep.tasks import allotment

_TOGETHER = ["--kill-on-bad-exit=1", "--wait=0"]
"""A task that fails would have the others wait for it; the first goes on when the others are done."""

_LONGEST_END = 120.0  # seconds

_log = logging.getLogger(__name__)


class SlurmLauncher(Launcher):
    """An array of jobs; several, where jobs of one sweep want different numbers of devices."""

    _EXECUTOR = "slurm"

    def _submit(self, jobs: Sequence[Job], **asked: Any) -> list[Any]:
        if not slurm.is_here():
            raise UserError(
                "There is no Slurm on this machine (no sbatch on the PATH); submit from a login node of a "
                "cluster, or choose hydra/launcher=local."
            )
        assert self.hydra_context is not None and self.config is not None
        compositions = Compositions(self.hydra_context.config_loader, self.config)
        arrays: dict[tuple[tuple[str, int], ...], list[Job]] = {}
        for job in jobs:
            wanted = allotment(compositions[job.overrides], self.config.hydra.launcher)
            arrays.setdefault(tuple(wanted.items()), []).append(job)
        submitted: dict[int, Any] = {}
        try:
            for asks, alike in arrays.items():
                of_array = super()._submit(alike, srun_args=_TOGETHER, **dict(asks))
                submitted |= {job.number: one for job, one in zip(alike, of_array, strict=True)}
        except FailedJobError as error:
            if submitted:  # all or none: nobody would know of them
                slurm.cancel(str(one.job_id) for one in submitted.values())
            said = str(error).strip().splitlines()[-1]
            many = "hydra.sweeper.max_batch_size=1000 makes several arrays; " if "array" in said else ""
            raise UserError(
                f"Slurm takes no such jobs ({said}); {many}hydra.launcher.* has what is asked of it."
            ) from error
        return [submitted[job.number] for job in jobs]

    def _number(self, job: Any) -> str | None:
        return str(job.job_id)

    def _on_the_way(
        self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]
    ) -> set[Path] | None:
        if not any(numbers.values()):
            return set()
        queue = slurm.queue()
        return None if queue is None else {folder for folder, number in numbers.items() if number in queue}

    def _check_known(self, record: Record) -> None:
        sweep, known, deadline = Path(record.folder), {*record.jobs.values()}, time.monotonic() + _LONGEST_END
        queue = slurm.queue() or {}
        while any(job.state == "COMPLETING" for number, job in queue.items() if number in known):
            if time.monotonic() > deadline:
                break
            time.sleep(1)  # one that was told to end still saves its state, and is on no way
            queue = slurm.queue() or {}
        if unknown := sorted(slurm.of_folder(queue, sweep) - known):
            raise UserError(
                f"Slurm has jobs of {sweep} that its {SWEEP_FILE} does not name, as the command that "
                f"submitted them was killed: {', '.join(unknown)}; end them with lic sweep cancel "
                f"{shlex.quote(str(sweep))}, and give the command again."
            )

    def _wait(self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]) -> None:
        before = {folder: last_written(folder) for folder in numbers}
        super()._wait(numbers, submitted)
        ended = slurm.ended_as(number for number in numbers.values() if number)
        states = {folder: ended.get(number or "", "COMPLETED") for folder, number in numbers.items()}
        _await_words({folder: before[folder] for folder, how in states.items() if how == "COMPLETED"})
        for folder, how in states.items():
            if how != "COMPLETED" and read_status(folder).get("status") != "failed":
                _log.error("%s has ended without a result; Slurm says %s.", folder.name, how)

    def _how_to_go_on(self, submitted: Mapping[Path, Any]) -> str:
        assert self.config is not None
        sweep = shlex.quote(str(self.config.hydra.sweep.dir))
        return (
            f"The jobs go on at Slurm: `lic sweep status {sweep}` shows them, `lic sweep cancel {sweep}` "
            "ends them, and the same command waits for them again."
        )


def _await_words(before: Mapping[Path, os.stat_result | None]) -> None:
    """Until this machine sees what jobs that ended in order have left, whose ``status.json`` was another."""
    give_up = time.monotonic() + SLOW_FILES
    while time.monotonic() < give_up and any(
        last_written(folder) == earlier or read_status(folder).get("status") == "running"
        for folder, earlier in before.items()
    ):
        time.sleep(0.5)


class LocalLauncher(Launcher):
    """A process for each job."""

    _EXECUTOR = "local"

    def _submit(self, jobs: Sequence[Job], **asked: Any) -> list[Any]:
        assert self.config is not None
        if detached(self.config):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the jobs inherit it, and outlive the terminal
        # Ctrl-C reaches all processes of a terminal, and submitit's kill the jobs a second after it.
        own = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super()._submit(jobs, **asked)
        finally:
            signal.signal(signal.SIGINT, own)

    def _how_to_go_on(self, submitted: Mapping[Path, Any]) -> str:
        for job in (job for job in submitted.values() if not job.done()):  # or its number may be another's
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # submitit's process, which tells the job
        while not all(job.done() for job in submitted.values()):
            time.sleep(0.2)
        return "The same command continues the sweep."

    def _on_the_way(
        self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]
    ) -> set[Path] | None:
        return {f for f in numbers if is_held(f) or (f in submitted and not submitted[f].done())}


def take_over() -> None:
    """Have Hydra use these in place of the plugin's own, whose names the configuration gives.

    Hydra instantiates launchers of the package ``hydra_plugins`` alone, which is not lic's.
    """
    known = Plugins.instance().class_name_to_class
    for launcher in (SlurmLauncher, LocalLauncher):
        known[f"{submitit_launcher.__name__}.{launcher.__name__}"] = launcher
