"""``sweep.json``: the command that made a sweep, and its jobs; data, as people may receive it from others."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lic.atomic import write_text
from lic.foreign import read_json

SWEEP_FILE = "sweep.json"
PROGRAMS = ("train", "eval")
_LARGEST, _MOST_JOBS = 1 << 24, 20_000  # bytes; jobs, of which each is looked at
_SLURM_ID = re.compile(r"\d+(_\d+)?", re.ASCII)


@dataclass(frozen=True)
class Record:
    """Of a sweep: what began it, and where.

    Args:
        program: one of `PROGRAMS`.
        arguments: of the command.
        directory: in which it was given.
        folder: of the sweep; another one holds a copy.
        jobs: names of folders, and the numbers that Slurm gave; None where it is not Slurm that runs them.
    """

    program: str
    arguments: tuple[str, ...]
    directory: str
    folder: str
    jobs: Mapping[str, str | None] = field(default_factory=dict)

    def save(self) -> None:
        """Replace the folder's record."""
        write_text(Path(self.folder, SWEEP_FILE), json.dumps(asdict(self), indent=1) + "\n")

    def is_of(self, folder: Path) -> bool:
        """Whether it was made for this very folder."""
        return Path(self.folder) == folder.resolve()


def read_record(folder: Path) -> Record | None:
    """The record in a folder; None if it has none that can be read."""
    try:
        content = read_json(folder, SWEEP_FILE, _LARGEST)
        made = Record(**content)
    except (ValueError, TypeError):
        return None
    texts = [made.program, made.directory, made.folder]
    sound = (
        all(isinstance(text, str) and "\0" not in text for text in texts)
        and made.program in PROGRAMS
        and isinstance(made.arguments, list)
        and all(isinstance(argument, str) for argument in made.arguments)
        and isinstance(made.jobs, dict)
        and len(made.jobs) <= _MOST_JOBS
        and all(_is_job(name, number) for name, number in made.jobs.items())
    )
    return replace(made, arguments=tuple(made.arguments)) if sound else None


def _is_job(name: str, number: object) -> bool:
    is_number = number is None or (isinstance(number, str) and _SLURM_ID.fullmatch(number) is not None)
    return is_number and Path(name).name == name and name not in ("", ".", "..") and name.isprintable()


def detached(config: DictConfig) -> bool:
    """Whether the command leaves its jobs to themselves; `lic eval` never does."""
    return bool(OmegaConf.select(config, "sweep.detach"))
