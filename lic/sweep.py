"""Jobs of a sweep: what state each is in, which are skipped, and what the whole sweep leaves behind.

Light on purpose: Hydra imports this module to compose a configuration, before anything heavy is needed.
"""

import functools
import hashlib
import logging
import math
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lic.atomic import write_text
from lic.entry import end, is_main_process, user_message
from lic.errors import UserError, visible
from lic.interruption import Interrupted
from lic.locking import only_writer
from lic.status import STATUS_FILE, read_status, write_status

ERROR_FILE = "error.txt"
_LONGEST_NAME = 120
_sweeps_lock = ExitStack()  # not kept by the callback: launchers pickle it

_log = logging.getLogger(__name__)


def register_resolvers() -> None:
    """Names of folders and curves, for ``hydra.sweep.dir`` and ``hydra.sweep.subdir``.

    ``${sweep_name:}`` is made of the command's overrides, so that the same command finds its folder again;
    ``${job_name:${hydra.overrides.task},${swept_keys:}}`` of what differs between the jobs. What depends on
    the command is looked up once, in the process that starts the sweep; Hydra hands it on to the jobs.
    """
    OmegaConf.register_new_resolver("sweep_name", _sweep_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("swept_keys", _swept_keys, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("job_name", _job_name, replace=True)
    OmegaConf.register_new_resolver("variant", _variant, replace=True)


def _command() -> list[Override]:
    overrides = [a for a in sys.argv[1:] if "=" in a and not a.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(overrides)
    return [o for o in parsed if not o.get_key_element().lstrip("+~").startswith("hydra")]


def _sweep_name() -> str:
    return _folder_name(o.input_line or "" for o in _command())


def _swept_keys() -> list[str]:
    return [o.get_key_element() for o in _command() if o.is_sweep_override()]


def _job_name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """The swept overrides; all of them where a sweeper of its own varies others."""
    return _folder_name([o for o in overrides if o.split("=")[0] in swept] or overrides)


def _variant(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """What a sweep varies besides λ and the model, whose names curves have anyway."""
    named = ("lambda", "model", "upsample", "distortion")
    keys = [key for key in swept if key.split(".")[0] not in named]
    return ", ".join(o for o in overrides if o.split("=")[0] in keys)


def _folder_name(overrides: Iterable[str]) -> str:
    """A folder name that needs no quoting in a shell or in a Hydra override."""
    text = ",".join(overrides)
    name = re.sub(r"[^\w.+-]+", "_", text.replace("=", "-")).strip("_.") or "default"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def run_folder() -> Path:
    """The folder that Hydra made for this run or job."""
    return Path(HydraConfig.get().runtime.output_dir)


def in_sweep() -> bool:
    """Whether this is a job of a sweep (``-m``)."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def report_folder() -> Path:
    """The folder whose report shows this run: that of its sweep, or its own."""
    return Path(HydraConfig.get().runtime.cwd, HydraConfig.get().sweep.dir) if in_sweep() else run_folder()


def job(main: Callable[[DictConfig], float]) -> Callable[[DictConfig], float]:
    """Decorate a Hydra main function: keep ``status.json``, skip what is done, survive what fails.

    What is done is believed only for the same configuration. A folder has one writer at a time.

    A single run raises its error. A job of a sweep leaves it in its folder and returns NaN, so that the
    others go on; `SweepSummary` reports it at the end. A signal ends the whole sweep.
    """

    @functools.wraps(main)
    def locked(cfg: DictConfig) -> float:
        with ExitStack() as lock:
            try:
                if is_main_process():
                    lock.enter_context(only_writer(run_folder()))
            except (UserError, OSError) as error:  # nothing is written into a folder that is another's
                if not in_sweep():
                    raise
                _log.error("%s", user_message(error) or error)
                return math.nan
            return guarded(cfg)

    def guarded(cfg: DictConfig) -> float:
        folder, sweeping = run_folder(), in_sweep()
        status = read_status(folder)
        digest = hashlib.sha256(OmegaConf.to_yaml(cfg).encode()).hexdigest()[:16]
        if sweeping and status.get("config", digest) != digest:
            end(
                f"{folder} holds a job of another configuration; give the sweep another hydra.sweep.dir, or "
                "delete that folder."
            )
        if sweeping and status.get("status") == "done" and isinstance(cost := status.get("cost"), float):
            _log.info("%s is done; skipped.", folder.name)
            return cost
        try:
            _write_status(folder, config=digest, status="running")
            cost = main(cfg)
            _write_status(folder, config=digest, status="done", cost=cost)
            return cost
        except Interrupted as stop:
            _write_status(folder, config=digest, status="interrupted")
            raise Interrupted(stop.signum, _how_to_continue(folder)) from None
        except BaseException as error:
            message = user_message(error)
            reason = message or f"{type(error).__name__}: {error}"
            try:
                _write_status(folder, config=digest, status="failed", error=reason)
                if is_main_process():
                    write_text(folder / ERROR_FILE, message or traceback.format_exc())
            except OSError as unwritable:  # the disk is full, and that is why we are here
                _log.error("%s", user_message(unwritable) or unwritable)
            if not sweeping and message:
                end(message)  # raised, Hydra would print a line of its own before it
            if not sweeping or not isinstance(error, Exception):
                raise
            _log.error("%s failed: %s", folder.name, message or traceback.format_exc())
            return math.nan

    return locked


def _how_to_continue(folder: Path) -> str:
    if in_sweep():
        return "The same command continues the sweep."
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return ""
    module = sys.modules["__main__"].__spec__  # None where a file was run
    program = ["lic", module.name.rpartition(".")[2]] if module else ["python", sys.argv[0]]
    given = [a for a in sys.argv[1:] if not a.startswith(("hydra.run.dir=", "ckpt_path="))]
    return "To continue: " + shlex.join([*program, *given, f"hydra.run.dir={folder}", "ckpt_path=last"])


def _write_status(folder: Path, **content: Any) -> None:
    if is_main_process():
        (folder / ERROR_FILE).unlink(missing_ok=True)
        write_status(folder, **content)


class SweepSummary(Callback):
    """Before the first job: the sweep's lock, or exit with 2 where the same sweep runs already.

    After the last one: ``rd.csv``, ``report.html``, a W&B run of the sweep, and the failures by name. Exits
    with 3 if a job failed.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the process that starts the sweep, which keeps the lock to its end."""
        try:
            _sweeps_lock.enter_context(only_writer(Path(config.hydra.sweep.dir)))
        except (UserError, OSError) as error:  # Hydra would turn it into a warning
            end(user_message(error) or str(error))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the process that started the sweep."""
        try:
            self._summarize(config)
        finally:
            _sweeps_lock.close()

    def _summarize(self, config: DictConfig) -> None:
        from lic.evaluation.summary import summarize  # Hydra composes without torch

        folder = Path(config.hydra.sweep.dir)
        jobs = sorted(status.parent for status in folder.glob(f"*/{STATUS_FILE}"))
        states = {job: read_status(job) for job in jobs}
        try:
            if any(state.get("status") == "done" for state in states.values()):
                summarize(folder, OmegaConf.select(config, "logger.wandb.project"))
        except Exception:  # Hydra would turn it into a warning
            _log.exception(
                "The jobs are done, but their summary failed; `lic report %s` tries again.", folder
            )
            sys.exit(1)
        failed = {
            job: s.get("error", "it did not finish") for job, s in states.items() if s.get("status") != "done"
        }
        for job_folder, error in failed.items():
            print(visible(f"Failed: {job_folder}: {error}"), file=sys.stderr)
        if failed:
            print(
                f"{len(failed)} of {len(jobs)} jobs failed; the same command runs only what is unfinished.",
                file=sys.stderr,
            )
            sys.exit(3)
