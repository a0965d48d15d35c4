"""What submitit's launchers for Hydra have in common, with what a sweep of trainings needs beside them.

The plugin waits for the results that its jobs pickle, and asks `sacct` whether they live: without accounting
it waits for ever for a job that was killed. These launchers ask `squeue`, and read what a job leaves in its
``status.json``. They submit no job that is done, queued or running, can leave at once (``sweep.detach``), and
have a job that nears its time limit save its state before it is queued again.
"""

import logging
import math
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher import config, submitit_launcher
from omegaconf import DictConfig, open_dict, read_write

from lic import interruption
from lic.entry import is_main_process
from lic.errors import UserError
from lic.runs import check_same, cost_if_done, digest
from lic.status import read_status
from lic.sweep.composition import Compositions
from lic.sweep.names import lic_names_the_folders, register_resolvers
from lic.sweep.record import Record, detached, read_record

_SHARED = {field.name for field in fields(config.BaseQueueConf)}
_LONGEST_WAIT = 30.0  # seconds between two questions

_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """Of a sweep: its overrides, and Hydra's number of it."""

    overrides: Sequence[str]
    number: int


def _is_done(folder: Path, job: Job, compositions: Compositions) -> bool:
    if not read_status(folder):
        return False
    config = digest(compositions[job.overrides])
    check_same(folder, config)
    return cost_if_done(folder, config) is not None


class Launcher(submitit_launcher.BaseSubmititLauncher):
    """In a job, ``__call__`` is what submitit unpickles and runs."""

    def __call__(self, *arguments: Any) -> JobReturn:
        """Run the job; near its time limit, save before submitit's own handler queues it again.

        Of several tasks the first says how the job ends: srun ends them all as soon as one exits with an
        error, and what is interrupted is none.
        """
        register_resolvers()
        requeue, is_first = signal.getsignal(interruption.TIME_LIMIT), is_main_process()
        if not is_first:
            self._write_beside_the_first()
        try:
            returned = super().__call__(*arguments)
        except interruption.Interrupted as stop:
            if is_first and stop.signum == interruption.TIME_LIMIT and callable(requeue):
                requeue(stop.signum, None)  # it exits
            print(stop, file=sys.stderr)
            sys.exit(stop.exit_code if is_first else 0)
        value = returned.return_value
        if submitit.JobEnvironment().num_tasks > 1 and isinstance(value, float) and math.isnan(value):
            sys.exit(1)
        return returned

    def _write_beside_the_first(self) -> None:
        """Have Hydra keep this task's log under a name of its own, as Lightning does where it starts it."""
        assert self.config is not None
        rank = submitit.JobEnvironment().global_rank
        name = f"{self.config.hydra.job.name}_ddp_process_{rank}"
        with read_write(self.config), read_write(self.config.hydra):
            self.config.hydra.overrides.hydra += [f"hydra.job.name={name}", "hydra.output_subdir=null"]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit what is neither done nor on its way, and wait for all, or not.

        Raises:
            UserError: the jobs cannot be submitted.
        """
        assert self.config is not None
        sweep = Path(self.config.hydra.sweep.dir)
        record = read_record(sweep)
        assert record, "lic.sweep.summary writes it before the first job"
        assert self.hydra_context is not None
        compositions = Compositions(self.hydra_context.config_loader, self.config)
        jobs = [Job(overrides, initial_job_idx + i) for i, overrides in enumerate(job_overrides)]
        folders = {self._folder(job): job for job in jobs}
        unfinished = {
            folder: record.jobs.get(folder.name)
            for folder, job in folders.items()
            if not _is_done(folder, job, compositions)
        }
        self._check_known(record)
        on_the_way = self._on_the_way(unfinished, {})
        if on_the_way is None:
            raise UserError("Slurm does not say what it runs already, so nothing was submitted; try again.")
        new = [folder for folder in unfinished if folder not in on_the_way]
        _log.info(
            "%d jobs: %d to submit, %d queued or running already, %d done.",
            *(len(jobs), len(new), len(on_the_way), len(jobs) - len(unfinished)),
        )
        submitted: dict[Path, Any] = {}
        try:
            with interruption.postponed():  # jobs that nobody knows of would be submitted again
                submitted |= zip(new, self._submit([folders[f] for f in new]) if new else (), strict=True)
                unfinished |= {folder: self._number(job) for folder, job in submitted.items()}
                named = {folder.name: number for folder, number in unfinished.items()}
                known = dict.fromkeys(folder.name for folder in folders) | dict(record.jobs) | named
                self._save(replace(record, jobs=known), submitted)
            if not detached(self.config):
                self._wait(unfinished, submitted)
        except interruption.Interrupted as stop:
            raise interruption.Interrupted(stop.signum, self._how_to_go_on(submitted)) from None
        return [self._returned(folder, job) for folder, job in folders.items()]

    def _folder(self, job: Job) -> Path:
        """Where Hydra will have it run; lic's own name of it needs no composition, which takes long."""
        assert self.config is not None
        if not lic_names_the_folders(self.config):
            composed = self._composed(job)
            return Path(composed.hydra.sweep.dir, composed.hydra.sweep.subdir)
        own = self.config.hydra.overrides.task
        with read_write(self.config), read_write(self.config.hydra):
            self.config.hydra.overrides.task = list(job.overrides)
            name = self.config.hydra.sweep.subdir
            self.config.hydra.overrides.task = own
        return Path(self.config.hydra.sweep.dir, name)

    def _composed(self, job: Job) -> DictConfig:
        assert self.hydra_context is not None and self.config is not None
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(job.overrides))
        with open_dict(composed.hydra.job):
            composed.hydra.job.num = job.number
        return composed

    def _submit(self, jobs: Sequence[Job], **asked: Any) -> list[Any]:
        """Submitit's own jobs, with what they ask for beside the launcher's options."""
        options = dict(self.params) | asked
        first = {f"{self._EXECUTOR}_{k}": options.pop(k) for k in ("max_num_timeout",) if k in options}
        executor = submitit.AutoExecutor(options.pop("submitit_folder"), cluster=self._EXECUTOR, **first)
        executor.update_parameters(
            **{k if k in _SHARED else f"{self._EXECUTOR}_{k}": value for k, value in options.items()}
        )
        state = Singleton.get_state()
        arguments = [(list(j.overrides), "hydra.sweep.dir", j.number, str(j.number), state) for j in jobs]
        return executor.map_array(self, *zip(*arguments, strict=True))

    def _number(self, job: Any) -> str | None:
        """By which Slurm knows a job."""
        return None

    def _save(self, record: Record, submitted: Mapping[Path, Any]) -> None:
        """Or, on a full disk, take the jobs back."""
        try:
            record.save()
        except OSError:
            for job in submitted.values():
                job.cancel(check=False)
            raise

    def _how_to_go_on(self, submitted: Mapping[Path, Any]) -> str:
        """What becomes of the jobs as the command is told to end, for its user."""
        raise NotImplementedError

    def _check_known(self, record: Record) -> None:
        """Refuse to submit beside jobs of the sweep that its record does not name."""

    def _on_the_way(
        self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]
    ) -> set[Path] | None:
        """Those of the jobs' folders whose jobs wait or run; None where nobody can say."""
        raise NotImplementedError

    def _wait(self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]) -> None:
        """Until all have ended, with a result or without."""
        start, told = time.monotonic(), False
        while (left := self._on_the_way(numbers, submitted)) is None or left:
            if left is None and not told:
                _log.warning("Slurm does not answer; waiting until it does.")
            told = left is None
            time.sleep(min(_LONGEST_WAIT, 1 + (time.monotonic() - start) / 20))

    def _returned(self, folder: Path, job: Job) -> JobReturn:
        """What a sweeper is told: the job's cost, NaN without one."""
        status = read_status(folder)
        cost = status.get("cost") if status.get("status") == "done" else None
        value = cost if isinstance(cost, float) else math.nan
        return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=value)
