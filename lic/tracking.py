"""Runs of Weights & Biases: their mode, their names, and a logger for Lightning."""

import hashlib
import logging
import os
import re
import secrets
import shlex
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lic.atomic import write_text
from lic.errors import UserError
from lic.foreign import inside

if TYPE_CHECKING:  # wandb takes half a second to import, and the mode may stand in the environment
    import wandb
    from lightning.pytorch.loggers import WandbLogger

_log = logging.getLogger(__name__)
MODES = ("online", "offline", "shared", "disabled")
ID_FILE = "wandb-id.txt"
_ID = re.compile(r"[a-z0-9]{8}", re.ASCII)
_LONGEST_NAME = 128  # more are refused online; offline nobody says so
_LONGEST_FINISH = 60.0  # seconds
_REFUSAL = re.compile(r"returned error 4(?!08|29)\d\d")  # those two mean that it is busy


def wandb_mode() -> str:
    """The mode for ``wandb.init``: "online", "offline", "disabled", "shared".

    It is what ``WANDB_MODE`` or wandb's settings say; else "online" when an API key is configured
    (``WANDB_API_KEY``, netrc, wandb's settings), else "offline", with one line that says so. wandb itself
    would ask at a terminal and fail without one. Never prompts, never touches the network.

    Raises:
        UserError: The configured API key cannot be one.
    """
    if mode := os.environ.get("WANDB_MODE"):
        if mode not in MODES:
            raise UserError(f"WANDB_MODE={mode} is not a mode of W&B; use one of {', '.join(MODES)}.")
        return mode
    import wandb

    settings = wandb.setup().settings
    if settings.mode != "online":
        return settings.mode
    silent, settings.silent = settings.silent, True  # or login asks the server for the name to greet
    try:
        if wandb.login(prompt=False, verify=False):
            return "online"
    except (wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
        message = f"The API key for W&B is unusable ({error}); run `wandb login` or set WANDB_MODE=offline."
        raise UserError(message) from error
    finally:
        settings.silent = silent
    _say_offline()
    return "offline"


@cache
def _say_offline() -> None:
    _log.warning(
        "W&B: no API key is configured, so runs are recorded offline. "
        "To go online run `wandb login`; to upload what is recorded run `wandb sync` on its folder."
    )


def start_run(folder: Path, **options: Any) -> "wandb.Run":
    """Begin a W&B run whose files land in ``folder``; offline ones say nothing but what `wandb_mode` says.

    Where the server does not answer, or with its own errors, the run is recorded offline: neither the first
    start of a training nor one after a preemption is worth less than its curves. `finish_run` ends it.

    Args:
        folder: The folder of the run.
        options: Of ``wandb.init``: project, name, group, job_type.

    Raises:
        UserError: The server refuses the run, its key or its project.
    """
    import wandb

    options |= {key: _short(options[key]) for key in ("name", "group") if options.get(key)}
    # absolute: W&B's process may be an earlier one, begun where another folder was the current one
    options |= {"dir": folder.absolute(), "mode": wandb_mode()}
    options["settings"] = wandb.Settings(
        silent=options["mode"] != "online",
        finish_timeout=wandb.setup().settings.finish_timeout or _LONGEST_FINISH,
        finish_timeout_raises=True,
    )
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # W&B's own figures, to the same server
    try:
        return wandb.init(**options)
    except wandb.errors.CommError as error:
        said = " ".join(str(error).split())
        if _REFUSAL.search(said):
            raise UserError(f"W&B refuses the run ({said}); mend that or set WANDB_MODE=offline.") from error
    wandb.teardown()  # its process keeps the id for the run that failed
    options["settings"].silent = True
    run = wandb.init(**options | {"mode": "offline"})
    _log.warning(
        "W&B cannot be reached (%s), so this run is recorded offline; to upload it: wandb sync %s",
        *(said, shlex.quote(run.settings.sync_dir)),
    )
    return run


def finish_run(exit_code: int) -> None:
    """End the W&B run that goes on, if one does; without this, the next job of a sweep would go on in it.

    A server that takes no values is waited for a minute (``WANDB_FINISH_TIMEOUT`` seconds): jobs are told to
    end two before their time limit.
    """
    wandb: Any = sys.modules.get("wandb")
    run = getattr(wandb, "run", None)  # not if a signal came while it was being imported
    if run is None:
        return
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        folder = shlex.quote(run.settings.sync_dir)
        _log.warning("W&B has not taken the whole run; to upload the rest: wandb sync %s", folder)
    except Exception as error:  # each of its layers has some of its own
        _say_gone(f"{type(error).__name__}: {error}")
        with suppress(Exception):
            wandb.teardown()  # the next run gets a process that lives


def run_id(folder: Path) -> str:
    """The id of a run's folder at W&B, made once: a run that is continued goes on under it."""
    kept = inside(folder, ID_FILE)
    said = kept.read_text("ascii", "replace")[:100].strip() if kept else ""
    if not _ID.fullmatch(said):
        said = secrets.token_hex(4)
        write_text(folder / ID_FILE, f"{said}\n")
    return said


@cache
def _say_gone(reason: str) -> None:
    """Warn, once, where W&B's process is gone, which is not worth a training."""
    _log.warning("W&B takes no more values (%s); metrics.csv has them all.", reason)


def _short(name: str) -> str:
    """A name that the server takes; long ones stay different."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run_logger(project: str, save_dir: str, **options: Any) -> "WandbLogger":
    """Lightning's logger around `start_run`: what ``logger=wandb`` instantiates; an id is continued."""
    from lightning.pytorch.loggers import WandbLogger

    class Lasting(WandbLogger):
        """Loses values rather than the training: schedulers' signals end W&B's own process, too."""

        def log_metrics(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().log_metrics(*args, **kwargs)
            except Exception as error:
                _say_gone(f"{type(error).__name__}: {error}")

    return Lasting(experiment=start_run(Path(save_dir), project=project, resume="allow", **options))
