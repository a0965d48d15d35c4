"""Which files a command reads and where each result goes: decided, and refused, before any work."""

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO

from lic.atomic import replacing
from lic.entry import drop_output
from lic.errors import UserError

STANDARD = "-"
"""Standard input as a source, standard output as a target."""


@dataclass(frozen=True)
class Job:
    """A file to read and the one to write."""

    source: str
    output: str


@dataclass(frozen=True)
class Kind:
    """What a command reads: its name in sentences, and how folders and patterns tell it from other files."""

    name: str
    holds: Callable[[Path], bool]


def _is_image(path: Path) -> bool:
    from lic.data.sources import SUFFIXES  # with torch, which no refusal of plain names should wait for

    return path.suffix.lower() in SUFFIXES


IMAGE = Kind("image", _is_image)
STREAM = Kind(".lic file", lambda path: path.suffix.lower() == ".lic")


def plan(sources: Sequence[str], target: str, kind: Kind, suffix: str, force: bool) -> list[Job]:
    """What to read and what to write, with ``suffix``, as `cp` would understand the arguments.

    One file goes to the file ``target``, or into it if that is a folder or ends with a slash. Several files,
    a folder or a pattern go to the folder ``target``, each at its place below the given folder or below the
    part of the pattern that has no wildcard.

    Raises:
        UserError: a source is missing or holds nothing, two results would be one file, or an output exists
            and is not to be replaced.
    """
    if STANDARD in sources and len(sources) > 1:
        raise UserError("Standard input (-) cannot be read together with other sources; give it alone.")
    several = len(sources) > 1 or _is_many(sources[0])
    if several and target == STANDARD:
        raise UserError("Standard output (-) takes one file; give a folder for several.")
    if several and Path(target).is_file():
        raise UserError(f"{target} is a file; several files need a folder.")
    if several or target.endswith(os.sep) or Path(target).is_dir():
        if STANDARD in sources:
            raise UserError(f"{target} is a folder; give a file for what standard input holds.")
        found = [file for source in sources for file in expand(source, kind)]
        jobs = [Job(str(file), str(Path(target, place).with_suffix(suffix))) for file, place in found]
    else:
        if target != STANDARD and Path(target).suffix.lower() != suffix:
            raise UserError(f"{target} does not end in {suffix}; end the name of a folder with {os.sep}.")
        jobs = [Job(_existing(sources[0]), target)]
    _check(jobs, force)
    return jobs


def expand(source: str, kind: Kind) -> list[tuple[Path, Path]]:
    """The files that ``source`` means, each with its place below it; hidden ones only if named.

    Raises:
        UserError: there is none.
    """
    root = Path(source)
    if not _is_many(source):
        return [(Path(_existing(source)), Path(root.name))]
    found: Iterable[Path]
    if root.is_dir():
        found = root.rglob("*")
    else:
        root = Path(*takewhile(lambda part: not glob.has_magic(part), root.parts[:-1]))
        found = map(Path, glob.iglob(source, recursive=True))  # noqa: PTH207 - Path.glob refuses a**b
    below = (path.relative_to(root) for path in found if kind.holds(path) and path.is_file())
    places = sorted(place for place in below if not any(part.startswith(".") for part in place.parts))
    if not places:
        verb = "holds" if root == Path(source) else "matches"
        raise UserError(f"{source} {verb} no {kind.name}; give a folder or a pattern of some.")
    return [(root / place, place) for place in places]


def read(source: str) -> bytes:
    """The bytes of a file, or of standard input.

    Raises:
        UserError: the file cannot be read.
    """
    if source == STANDARD:
        if sys.stdin is None:
            raise UserError("Standard input is closed; give a file.")
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}.") from error


@contextmanager
def writing(output: str) -> Iterator[IO[bytes]]:
    """A file that becomes ``output`` once it is whole, or standard output.

    Raises:
        UserError: the output cannot be written.
    """
    try:
        if output == STANDARD:
            if sys.stdout is None:
                raise UserError("Standard output is closed; give a file.")
            yield sys.stdout.buffer
            sys.stdout.flush()
        else:
            with replacing(output) as temporary, temporary.open("wb") as file:
                yield file
    except BrokenPipeError:  # the reader has seen enough
        raise
    except OSError as error:
        if output == STANDARD:
            drop_output()
        name = "Standard output" if output == STANDARD else output
        raise UserError(
            f"{name} cannot be written: {error.strerror}; check the path, its permissions and the free space."
        ) from error


def refuse_existing(outputs: Iterable[str], force: bool) -> None:
    """A `UserError` for the first of ``outputs`` that exists and is not to be replaced.

    Nor does ``force`` replace folders, devices, and the files of an evaluation.
    """
    for output in map(Path, outputs):
        if output.is_dir():
            raise UserError(f"{output} is a folder; give the path of a file.")
        if not os.path.lexists(output):  # a link to nothing exists
            continue
        if output.exists() and not output.is_file():
            raise UserError(f"{output} is no ordinary file; give the path of one.")
        if not force:
            raise UserError(f"{output} exists; give --force to replace it.")
        if holds_results(output.parent):
            raise UserError(
                f"{output} belongs to an evaluation, which it would no longer fit; write elsewhere."
            )


def holds_results(folder: Path) -> bool:
    """Whether an evaluation left its streams or pictures in a folder."""
    from lic.evaluation.evaluate import STREAMS  # with torch, which a refusal need not wait for
    from lic.evaluation.result import PICTURES, RESULT_FILE

    place = folder.resolve()
    return place.name in (STREAMS, *PICTURES) and (place.parent / RESULT_FILE).exists()


def _is_many(source: str) -> bool:
    """Folders and patterns may turn out to be many files; what exists under its own name is no pattern."""
    path = Path(source)
    return source != STANDARD and (path.is_dir() or (glob.has_magic(source) and not path.exists()))


def _existing(source: str) -> str:
    if source != STANDARD and not Path(source).exists():
        raise UserError(f"{source} does not exist; check the path.")
    return source


def _check(jobs: list[Job], force: bool) -> None:
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    writers: dict[str, str] = {}
    for job in jobs:
        if job.output == STANDARD:
            continue
        place = os.path.realpath(job.output)
        if place in sources:
            raise UserError(f"{job.output} would replace {sources[place]}, a source; write elsewhere.")
        if place in writers:
            raise UserError(f"{writers[place]} and {job.source} would both become {job.output}; rename one.")
        writers[place] = job.source
    refuse_existing((job.output for job in jobs if job.output != STANDARD), force)
