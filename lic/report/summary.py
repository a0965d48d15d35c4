"""The end of a run or a sweep, for people: classical codecs beside it, rd.csv, report.html."""

import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from lic.console import Console
from lic.data import ImageSet
from lic.evaluation.evaluate import CLASSICAL, evaluate_classical
from lic.evaluation.points import Point, table, write_rd_csv
from lic.evaluation.result import RESULT_FILE, Result
from lic.evaluation.super_resolution import EnlargementPoint, collect_all
from lic.locking import LOCK_FILE, in_turn
from lic.report.page import write_report
from lic.report.super_resolution import enlarged_table

RD_FILE, REPORT_FILE = "rd.csv", "report.html"
_LONGEST_NAME = 60  # letters, of up to four bytes


def summarize(folder: Path, wandb_project: str | None = None) -> Path:
    """Write the folder's ``rd.csv`` and ``report.html`` and print its points; the report's path.

    Args:
        folder: a run, a sweep, or any folder above some.
        wandb_project: also record the points as a W&B run of this project.

    Raises:
        UserError: there is no result below ``folder``.
    """
    points, enlarged = collect_all([folder])
    classical = folder / CLASSICAL
    if learned := [point for point in points if classical not in point.run.parents]:
        write_rd_csv(folder / RD_FILE, learned)
    if beside := [point for point in points if classical in point.run.parents]:
        write_rd_csv(classical / RD_FILE, beside)
    report = folder / REPORT_FILE
    write_report([folder], report, source=folder.resolve().name)
    print_results(points, enlarged)
    said = [f"Points: {folder / RD_FILE}"] if learned else []
    Console().print("\n".join([*said, f"Report: {report}"]), soft_wrap=True)
    if wandb_project:
        from lic.report.sweep_run import log_sweep  # only where W&B is wanted

        log_sweep(folder, points, enlarged, wandb_project)
    return report


def print_results(points: Sequence[Point], enlarged: Sequence[EnlargementPoint]) -> None:
    """The averages of codecs and of networks that enlarge images, as far as there are some."""
    console = Console()
    if points:
        console.print(table(points))
    if enlarged:
        console.print(enlarged_table(enlarged))


def add_classical(folder: Path, names: Iterable[str], images: ImageSet, beside: Result) -> None:
    """Measure classical codecs on the images that ``beside`` was measured on, for the report of ``folder``.

    The jobs of a sweep share its folder and may run at the same time: one measures, and the others wait and
    find it done. What an interrupted one left out is measured by the next.

    Args:
        folder: of a run or of a sweep.
        names: see `lic.codecs.classical.classical_codec`.
        images: the test set.
        beside: a result on it.
    """
    wanted = tuple(names)
    if not wanted:
        return
    classical = folder / CLASSICAL
    with in_turn(classical / LOCK_FILE, "measures the classical codecs"):
        place = _place(classical, beside)
        for name in wanted:
            evaluate_classical(name, images, place, beside.data, again=False)


def _place(classical: Path, beside: Result) -> Path:
    """The folder of a set of images, named after it as folders can be; sets of one name get numbers."""
    name = re.sub(r"[^\w.+-]+", "_", beside.data)[:_LONGEST_NAME].strip("_.") or "images"
    places = (classical / (name if n == 1 else f"{name}-{n}") for n in count(1))
    known = ((place, next(place.glob(f"*/{RESULT_FILE}"), None)) for place in places)
    return next(place for place, file in known if file is None or _same_set(Result.load(file), beside))


def _same_set(a: Result, b: Result) -> bool:
    return (a.data, a.images) == (b.data, b.images)
