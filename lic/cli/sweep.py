"""`lic sweep`: look at a sweep's jobs, run what is unfinished, end them, sum up what is there."""

import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from lic.cli.training import become
from lic.configuration import CONF
from lic.console import Console, plain_table
from lic.entry import flags_first
from lic.errors import UserError, visible
from lic.locking import holder, is_held
from lic.sweep import slurm
from lic.sweep.record import Record, read_record
from lic.sweep.states import STATES, State, Sweep, read_sweep

Folder = Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep's folder, below multirun/.")]
_COLUMNS = ("job", "number", "state", "step", "pace", "left", "bpp", "PSNR dB")
_WIDE = 300  # letters of a line that no terminal shows
_NAMED = 3  # jobs of one error
_FLAGS = {"-m", "--multirun"}
_OVERRIDE = re.compile(r"[+~]{0,2}\w[\w./@-]*=.*", re.ASCII | re.DOTALL)
_CODE = re.compile(r"_target_|searchpath")
_OF_HYDRA = re.compile(
    r"hydra\.(sweep\.(dir|subdir)|sweeper\.max_batch_size|launcher\.(partition|account|qos|constraint|gres|"
    r"timeout_min|max_num_timeout|signal_delay_s|nodes|\w+_per_\w+|mem_gb|array_parallelism|n_jobs))"
)
_NAMES = re.compile(r"[\w+-]+(/[\w+-]+)*(,[\w+-]+(/[\w+-]+)*)*|glob\([\w+*?-]+\)", re.ASCII)


def status(
    sweep: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Renew the table until no job is under way.")
    ] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 10,
) -> None:
    """Show how far the jobs of a sweep are."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    if not watch:
        console.print(_shown(read_sweep(sweep)))
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        while True:
            seen = read_sweep(sweep)
            live.update(_shown(seen), refresh=True)
            if not console.is_terminal:
                console.print(_shown(seen))
            if not seen.mute and not any(seen.named(name) for name in ("queued", "running")):
                return
            time.sleep(every)


def resume(
    sweep: Folder,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Run the command that is shown without asking.")
    ] = False,
) -> None:
    """Run the command again that made a sweep: it runs what is unfinished."""
    record = read_record(sweep)
    if record is None:
        raise UserError(f"{sweep} does not say which command made it; give that command again.")
    _check(sweep, record)
    typer.echo(visible(f"In {record.directory}: {shlex.join(['lic', record.program, *record.arguments])}"))
    if not yes and not typer.confirm("Run it?"):
        raise typer.Exit(1)
    os.chdir(record.directory)
    become(record.program, record.arguments)


def _check(sweep: Path, record: Record) -> None:
    """A sweep may come from others; what its record would have run is looked at first."""
    directory = Path(record.directory)
    is_here = record.is_of(sweep) and directory.is_dir()
    if not is_here or directory.resolve().is_relative_to(sweep.resolve()):
        raise UserError(
            f"{sweep} was made as {record.folder}, in {record.directory}, and is elsewhere now; give its "
            "command again there."
        )
    for argument in flags_first(record.arguments):
        if argument not in _FLAGS and not _is_harmless(argument):
            raise UserError(
                f"The command that made {sweep} has {argument!r}, which is not run from a file; give the "
                "command yourself."
            )


def _is_harmless(override: str) -> bool:
    """Whether it chooses nothing but lic's own files, and gives Hydra nothing that it would run."""
    if not _OVERRIDE.fullmatch(override) or _CODE.search(override):
        return False
    key, _, value = override.lstrip("+~").partition("=")
    key = key.partition("@")[0]
    if (Path(CONF) / key.replace(".", "/")).is_dir() or "/" in key:
        return _NAMES.fullmatch(value) is not None
    return not key.startswith("hydra") or _OF_HYDRA.fullmatch(key) is not None


def cancel(sweep: Folder) -> None:
    """End the jobs of a sweep: the running ones save their state first, and can be continued."""
    seen = read_sweep(sweep)
    queue = slurm.queue() if (sweep / ".submitit").is_dir() else {}
    if queue is None:
        raise UserError("Slurm does not answer, so nothing was ended; try again.")
    numbers = sorted(slurm.of_folder(queue, sweep))
    if numbers:
        try:
            slurm.cancel(numbers)
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(
                f"Slurm ends no jobs ({error}); try scancel yourself: {' '.join(numbers)}."
            ) from error
    processes = [said[0] for state in seen.states if is_held(state.folder) and (said := holder(state.folder))]
    own = [process for process in processes if not numbers and _tell(process)]
    typer.echo(f"Told to end: {len(numbers)} jobs at Slurm, {len(own)} processes of this machine.")


def _tell(process: int) -> bool:
    try:
        os.kill(process, signal.SIGTERM)
    except OSError:  # it has just ended
        return False
    return True


def collect(sweep: Folder) -> None:
    """Write rd.csv and report.html from whatever is finished."""
    seen = read_sweep(sweep)
    if not seen.named("finished"):
        raise UserError(
            f"No job of {sweep} is finished; lic sweep status {shlex.quote(str(sweep))} shows them."
        )
    from lic.report.summary import summarize

    summarize(sweep)
    typer.echo(_counts(seen))


def _counts(seen: Sweep) -> str:
    counted = [f"{len(jobs)} {name}" for name in STATES if (jobs := seen.named(name))]
    return (
        f"{len(seen.states)} jobs: {', '.join(counted)}"
        + (". Slurm does not answer" if seen.mute else "")
        + "."
    )


def _shown(seen: Sweep) -> Any:
    """A row for each job, without the columns of which nothing is known; below it what went wrong."""
    table = plain_table("")
    rows = [_cells(state) for state in seen.states]
    known = [any(cells) for cells in zip(*rows, strict=True)]
    for column in compress(_COLUMNS, known):
        words = column in ("job", "state")
        table.add_column(
            column, justify="left" if words else "right", no_wrap=column != "job", overflow="fold"
        )
    for cells in rows:
        table.add_row(*map(visible, compress(cells, known)))
    lines = [f"{seen.folder}: {_counts(seen)}", *_errors(seen)]  # a terminal may have no room for all jobs
    return Group(*(Text(visible(line)) for line in lines), table)


def _errors(seen: Sweep) -> list[str]:
    """What went wrong, once where it is the same of many."""
    jobs: dict[tuple[str, str], list[str]] = {}
    for state in seen.states:
        if state.error:
            jobs.setdefault((state.name, state.error), []).append(state.folder.name)
    return [f"{_named(names)} {name}: {error}" for (name, error), names in jobs.items()]


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _cells(state: State) -> Sequence[str]:
    step = f"{state.step:,.0f}/{state.steps:,.0f}" if math.isfinite(state.step + state.steps) else ""
    pace = f"{state.seconds:.3g} s/step" if math.isfinite(state.seconds) else ""
    left = _duration(state.left) if state.name == "running" and math.isfinite(state.left) else ""
    quality = [
        f"{value:{form}}" if math.isfinite(value) else ""
        for value, form in ((state.bpp, ".4f"), (state.psnr, ".2f"))
    ]
    return [state.folder.name, state.number, state.name, step, pace, left, *quality]


def _duration(seconds: float) -> str:
    """As 12:34:56."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
