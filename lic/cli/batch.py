"""One piece of work on each of many files: in threads, with a bar, and with an answer for every file."""

import json
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import typer

from lic.entry import user_message
from lic.errors import visible
from lic.interruption import Interrupted

REFUSED = 2
"""Exit code of a mistake that ends a command; also of typer's own refusals."""
SOME_FAILED = 3
"""Exit code after several files of which at least one failed."""

Result = dict[str, Any]
"""What came of a file, for JSON."""


def run(
    names: Sequence[str],
    work: Callable[[int], tuple[str, Result]],
    *,
    threads: int = 1,
    as_json: bool = False,
    aside: bool = False,
) -> None:
    """Do ``work(i)`` for each file ``names[i]``, say what came of it, and go on after bad files.

    ``work`` gives words and a `Result`. The words are printed, on standard error if they go ``aside``; or
    ``as_json`` the results, as one array, each with the keys ``file`` and ``error``, a sentence or None.
    Faults of ours end everything.

    Raises:
        typer.Exit: files failed.
    """
    done: list[int] = []

    def attempt(index: int) -> tuple[str, Result]:
        try:
            words, result = work(index)
        except Exception as error:
            if (message := user_message(error)) is None:
                raise
            sentence = message if names[index] in message else f"{names[index]}: {message}"
            return "", {"file": names[index], "error": sentence}
        done.append(index)
        return words, {"file": names[index], **result, "error": None}

    results: list[Result] = []
    try:
        with _bar(len(names)) as advance, closing(_each(attempt, len(names), threads)) as outcomes:
            for words, result in outcomes:
                results.append(result)
                if result["error"]:
                    typer.echo(visible(f"Error: {result['error']}"), err=True)
                elif not as_json:
                    typer.echo(visible(words), err=aside)
                advance()
    except Interrupted as stop:
        raise Interrupted(stop.signum, f"{len(done)} of {len(names)} files are done.") from None
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    if failed := sum(result["error"] is not None for result in results):
        if len(names) == 1:
            raise typer.Exit(REFUSED)
        typer.echo(f"{failed} of {len(names)} files failed.", err=True)
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _bar(count: int) -> Iterator[Callable[[], object]]:
    """A bar on standard error, if that is a terminal and there is more than one file to wait for."""
    if count == 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    from lic.console import progress

    with progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)


def _each(
    attempt: Callable[[int], tuple[str, Result]], count: int, threads: int
) -> Generator[tuple[str, Result]]:
    """The outcomes in order; the threads share the ones that torch would take for one file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Image size")  # Pillow's, from 89 megapixels; it refuses from 179
        if min(threads, count) == 1:  # in the main thread Ctrl-C stops the work at once
            yield from map(attempt, range(count))
            return
        import torch

        together = torch.get_num_threads()
        torch.set_num_threads(max(1, together // min(threads, count)))
        pool = ThreadPoolExecutor(threads)
        try:
            yield from pool.map(attempt, range(count))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(together)
