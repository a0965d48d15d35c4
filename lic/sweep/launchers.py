"""Submitit's launchers for Hydra, with what a sweep of trainings needs beside them.

The plugin waits for the results that its jobs pickle, and asks `sacct` whether they live: without accounting
it waits for ever for a job that was killed. These launchers ask `squeue`, and read what a job leaves in its
``status.json``. They submit no job that is done, queued or running, can leave at once (``sweep.detach``), and
have a job that nears its time limit save its state before it is queued again.
"""

import logging
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import submitit
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher import config, submitit_launcher
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from submitit.core.utils import FailedJobError

from lic import interruption
from lic.entry import is_main_process
from lic.errors import UserError
from lic.locking import is_held
from lic.runs import cost_if_done, digest
from lic.status import SLOW_FILES, last_written, read_status
from lic.sweep import slurm
from lic.sweep.composition import Compositions
from lic.sweep.names import register_resolvers
from lic.sweep.record import detached, read_record
from lic.sweep.tasks import allotment

_SHARED = {field.name for field in fields(config.BaseQueueConf)}
_LONGEST_WAIT = 30.0  # seconds between two questions
_TOGETHER = ["--kill-on-bad-exit=1"]  # a task that fails would have the others wait for it

_log = logging.getLogger(__name__)


class _Job(NamedTuple):
    overrides: Sequence[str]
    number: int


def _is_done(folder: Path, job: _Job, compositions: Compositions) -> bool:
    if read_status(folder).get("status") != "done":
        return False
    return cost_if_done(folder, digest(compositions[job.overrides])) is not None


class _Launcher(submitit_launcher.BaseSubmititLauncher):
    """What both have in common; in a job, ``__call__`` is what submitit unpickles and runs."""

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
        jobs = [_Job(overrides, initial_job_idx + i) for i, overrides in enumerate(job_overrides)]
        folders = {self._folder(job): job for job in jobs}
        unfinished = {
            folder: record.jobs.get(folder.name)
            for folder, job in folders.items()
            if not _is_done(folder, job, compositions)
        }
        on_the_way = self._on_the_way(unfinished, {})
        if on_the_way is None:
            raise UserError("Slurm does not say what it runs already, so nothing was submitted; try again.")
        new = [folder for folder in unfinished if folder not in on_the_way]
        _log.info(
            "%d jobs: %d to submit, %d queued or running already, %d done.",
            *(len(jobs), len(new), len(on_the_way), len(jobs) - len(unfinished)),
        )
        submitted = dict(zip(new, self._submit([folders[f] for f in new]) if new else (), strict=True))
        unfinished |= {folder: self._number(job) for folder, job in submitted.items()}
        named = {folder.name: number for folder, number in unfinished.items()}
        replace(record, jobs=dict.fromkeys(f.name for f in folders) | dict(record.jobs) | named).save()
        if not detached(self.config):
            self._wait(unfinished, submitted)
        return [self._returned(folder, job) for folder, job in folders.items()]

    def _folder(self, job: _Job) -> Path:
        """Where Hydra will have it run; lic's own name of it needs no composition, which takes long."""
        assert self.config is not None
        if not str(OmegaConf.to_container(self.config.hydra.sweep)["subdir"]).startswith("${job_name:"):  # type: ignore[call-overload, index]
            composed = self._composed(job)
            return Path(composed.hydra.sweep.dir, composed.hydra.sweep.subdir)
        own = self.config.hydra.overrides.task
        with read_write(self.config), read_write(self.config.hydra):
            self.config.hydra.overrides.task = list(job.overrides)
            name = self.config.hydra.sweep.subdir
            self.config.hydra.overrides.task = own
        return Path(self.config.hydra.sweep.dir, name)

    def _composed(self, job: _Job) -> DictConfig:
        assert self.hydra_context is not None and self.config is not None
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(job.overrides))
        with open_dict(composed.hydra.job):
            composed.hydra.job.num = job.number
        return composed

    def _submit(self, jobs: Sequence[_Job], **asked: Any) -> list[Any]:
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

    def _returned(self, folder: Path, job: _Job) -> JobReturn:
        """What a sweeper is told: the job's cost, NaN without one."""
        status = read_status(folder)
        cost = status.get("cost") if status.get("status") == "done" else None
        value = cost if isinstance(cost, float) else math.nan
        return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=value)


class SlurmLauncher(_Launcher):
    """An array of jobs; several, where jobs of one sweep want different numbers of devices."""

    _EXECUTOR = "slurm"

    def _submit(self, jobs: Sequence[_Job], **asked: Any) -> list[Any]:
        if not slurm.is_here():
            raise UserError(
                "There is no Slurm on this machine (no sbatch on the PATH); submit from a login node of a "
                "cluster, or choose hydra/launcher=local."
            )
        assert self.hydra_context is not None and self.config is not None
        compositions = Compositions(self.hydra_context.config_loader, self.config)
        arrays: dict[tuple[tuple[str, int], ...], list[_Job]] = {}
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

    def _wait(self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]) -> None:
        assert self.config is not None
        sweep = shlex.quote(str(self.config.hydra.sweep.dir))
        before = {folder: last_written(folder) for folder in numbers}
        try:
            super()._wait(numbers, submitted)
        except interruption.Interrupted as stop:
            raise interruption.Interrupted(
                stop.signum,
                f"The jobs go on at Slurm: `lic sweep status {sweep}` shows them, `lic sweep cancel {sweep}` "
                "ends them, and the same command waits for them again.",
            ) from None
        ended = slurm.ended_as(number for number in numbers.values() if number)
        states = {folder: ended.get(number or "", "COMPLETED") for folder, number in numbers.items()}
        _await_words({folder: before[folder] for folder, how in states.items() if how == "COMPLETED"})
        for folder, how in states.items():
            if how != "COMPLETED" and read_status(folder).get("status") != "failed":
                _log.error("%s has ended without a result; Slurm says %s.", folder.name, how)


def _await_words(before: Mapping[Path, os.stat_result | None]) -> None:
    """Until this machine sees what jobs that ended in order have left, whose ``status.json`` was another."""
    give_up = time.monotonic() + SLOW_FILES
    while time.monotonic() < give_up and any(
        last_written(folder) == earlier or read_status(folder).get("status") == "running"
        for folder, earlier in before.items()
    ):
        time.sleep(0.5)


class LocalLauncher(_Launcher):
    """A process for each job."""

    _EXECUTOR = "local"

    def _submit(self, jobs: Sequence[_Job], **asked: Any) -> list[Any]:
        assert self.config is not None
        if detached(self.config):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the jobs inherit it, and outlive the terminal
        # Ctrl-C reaches all processes of a terminal, and submitit's kill the jobs a second after it.
        own = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super()._submit(jobs, **asked)
        finally:
            signal.signal(signal.SIGINT, own)

    def _wait(self, numbers: Mapping[Path, str | None], submitted: Mapping[Path, Any]) -> None:
        try:
            super()._wait(numbers, submitted)
        except interruption.Interrupted as stop:
            for job in submitted.values():
                with suppress(ProcessLookupError):
                    os.kill(int(job.job_id), signal.SIGTERM)  # submitit's process, which tells the job
            while not all(job.done() for job in submitted.values()):
                time.sleep(0.2)
            raise interruption.Interrupted(stop.signum, "The same command continues the sweep.") from None

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
