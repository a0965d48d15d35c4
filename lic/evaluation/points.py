"""The points of R-D curves: found below run folders, grouped, compared, written down."""

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table

from lic.atomic import write_text
from lic.codecs.base import CodecInfo
from lic.console import plain_table
from lic.errors import UserError
from lic.evaluation.result import RESULT_FILE, SYMBOLS, Result, Row
from lic.metrics.bd_rate import bd_rate, common_quality
from lic.metrics.measures import Measure, all_measures, averages, axes
from lic.status import STATUS_FILE, read_status

ANCHOR = "jpeg"
"""The model of the codec that BD-rates compare with."""


@dataclass(frozen=True)
class Point:
    """One codec at one setting on one set of images, and the run folder that holds it."""

    run: Path
    result: Result

    @cached_property
    def mean(self) -> dict[str, float]:
        """The averages of every measure, see `Result.mean`."""
        return self.result.mean

    @property
    def gap_percent(self) -> float:
        """How far the bytes of the files exceed the rate that the model promises; NaN without one."""
        estimate = self.mean["estimated_bpp"]
        return 100 * (self.mean["bpp"] / estimate - 1) if estimate else math.nan


@dataclass(frozen=True)
class Curve:
    """The points of one codec on one set of images, by rising rate.

    ``label`` is its name in a report: the codec's, followed by the data where the report has several sets,
    and by a number where that tells too little.
    """

    points: tuple[Point, ...]
    label: str

    @property
    def name(self) -> str:
        """The codec's name of its curve."""
        return self.points[0].result.codec.curve

    @property
    def data(self) -> str:
        """The name of the set of images."""
        return self.points[0].result.data

    def same_images(self, other: "Curve") -> bool:
        """Whether both were measured on the same set; names alone do not tell."""
        a, b = self.points[0].result, other.points[0].result
        return (a.data, a.images) == (b.data, b.images)

    @property
    def learned(self) -> bool:
        """Whether a network codes; classical codecs are drawn as background."""
        return self.points[0].result.codec.learned

    @property
    def anchors(self) -> bool:
        """Whether BD-rates compare with it."""
        codec = self.points[0].result.codec
        return codec.model == ANCHOR and not codec.learned

    def values(self, measure: str) -> list[float]:
        """One mean per point."""
        return [point.mean[measure] for point in self.points]


@dataclass(frozen=True)
class BDRate:
    """Rate against the anchor at equal quality.

    ``percent`` is negative where the curve saves, NaN where undefined; ``interval`` is the range of
    qualities that it averages over.
    """

    percent: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Failure:
    """A job that ended without a result."""

    run: Path
    error: str


def collect(folders: Sequence[Path], required: bool = True) -> list[Point]:
    """Read every ``test.json`` in or below the folders (runs, sweeps, or folders of them), each once.

    Every job of a sweep may have measured the same classical codec on the same images: one point is kept.

    Raises:
        UserError: There is none and one is ``required``, or one cannot be read.
    """
    points = [Point(file.parent, Result.load(file)) for file in find_files(folders, RESULT_FILE)]
    points = _without_repetitions(point for point in points if point.result.rows)
    if required and not points:
        names = ", ".join(str(folder) for folder in folders)
        raise UserError(f"There is no {RESULT_FILE} with results in or below {names}; evaluate a run first.")
    return points


def collect_failures(folders: Sequence[Path]) -> list[Failure]:
    """The jobs in or below the folders whose ``status.json`` says "failed"."""
    failures = []
    for file in find_files(folders, STATUS_FILE):
        status = read_status(file.parent)
        if status.get("status") == "failed":
            failures.append(Failure(file.parent, str(status.get("error") or "no message")))
    return failures


def _without_repetitions(points: Iterable[Point]) -> list[Point]:
    kept: dict[Hashable, Point] = {}
    for point in points:
        codec, result = point.result.codec, point.result
        kept.setdefault(point.run if codec.learned else (codec, result.data, result.images), point)
    return list(kept.values())


def find_files(folders: Sequence[Path], name: str) -> list[Path]:
    """The files of this name in or below the folders, each once."""
    found = {file.resolve(): file for folder in folders for file in sorted(folder.rglob(name))}
    return list(found.values())


def curves(points: Iterable[Point]) -> list[Curve]:
    """Group points by what their codecs have in common and by their images: learned codecs first, by name."""
    groups: dict[tuple[str, str, Hashable], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.mean["bpp"]):
        result = point.result
        groups.setdefault((result.codec.key, result.data, result.images), []).append(point)
    several = len({(data, images) for _, data, images in groups}) > 1
    found: list[Curve] = []
    used = Counter[str]()
    for group in sorted(groups.values(), key=_rank):
        result = group[0].result
        label = f"{result.codec.curve} · {result.data}" if several else result.codec.curve
        used[label] += 1
        found.append(Curve(tuple(group), f"{label} #{used[label]}" if used[label] > 1 else label))
    return found


def _rank(group: Sequence[Point]) -> tuple[Any, ...]:
    result = group[0].result
    return not result.codec.learned, result.codec.curve, result.data, result.images, result.codec.key


def bd_rates(curve: Curve, all_curves: Sequence[Curve]) -> dict[str, BDRate] | None:
    """BD-rate of a curve against `ANCHOR` on the same data, per measure that is an axis.

    None for that itself and where it was not measured on that data.
    """
    anchors = [other for other in all_curves if other.anchors and other.same_images(curve)]
    if not anchors or curve.anchors:
        return None
    anchor = anchors[0]
    return {
        name: BDRate(
            bd_rate(anchor.values("bpp"), anchor.values(name), curve.values("bpp"), curve.values(name)),
            common_quality(anchor.values(name), curve.values(name)),
        )
        for name in (measure.name for measure in axes())
    }


def write_rd_csv(path: Path, points: Iterable[Point]) -> None:
    """Write ``rd.csv``: a row per point, by curve and rate; empty where a measure does not exist.

    Each option of a codec, each part of an objective and each choice that occurs has a column of its own.
    """
    ordered = [point for curve in curves(points) for point in curve.points]
    codecs = [point.result.codec for point in ordered]
    numbers = (
        "bpp", "bpp_pooled", "estimated_bpp", "gap_percent", *averages(), *symbol_columns(ordered),
        "encode_s", "decode_s", "analysis_s", "synthesis_s",
    )  # fmt: skip
    who, where = ("curve", "setting", "model"), ("parameters", "data", "images", *numbers, "run")
    own = own_columns(codecs, (*who, *where))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*who, *own.values(), *where], lineterminator="\n")
    writer.writeheader()
    for point, codec in zip(ordered, codecs, strict=True):
        values = point.mean | {"gap_percent": point.gap_percent}
        writer.writerow({
            **{column: getattr(codec, kind).get(key) for (kind, key), column in own.items()},
            "curve": codec.curve, "setting": codec.setting, "model": codec.model,
            "parameters": codec.parameters, "data": point.result.data, "images": len(point.result.rows),
            **{name: "" if math.isnan(values[name]) else round(values[name], 6) for name in numbers},
            "run": relative(point.run, path.parent),
        })  # fmt: skip
    write_text(path, stream.getvalue())


def symbol_columns(points: Iterable[Point]) -> dict[str, str]:
    """`SYMBOLS`, if any of the points has them."""
    return SYMBOLS if any(math.isfinite(point.mean["distinct_values"]) for point in points) else {}


def own_columns(codecs: Sequence[CodecInfo], taken: Collection[str]) -> dict[tuple[str, str], str]:
    """The columns of all options, parts of objectives and choices that occur, by attribute and key.

    A column is called as its key, behind the attribute's name ("objective.bpp") where that is taken.
    """
    columns: dict[tuple[str, str], str] = {}
    for kind in ("options", "objective", "choices"):
        for key in dict.fromkeys(key for codec in codecs for key in getattr(codec, kind)):
            name = key
            while name in taken or name in columns.values():
                name = f"{kind}.{name}"
            columns[kind, key] = name
    return columns


def table(points: Iterable[Point]) -> Table:
    """The points as a small table for the console, a section per curve."""
    shown = averages(measure for measure in all_measures().values() if measure.table)
    view = plain_table("Means over images")
    view.add_column("curve", overflow="fold")
    view.add_column("setting", no_wrap=True)
    for heading in ("bpp", "gap", *headings(shown)):
        view.add_column(heading, justify="right", no_wrap=True)
    for curve in curves(points):
        view.add_section()
        for i, point in enumerate(curve.points):
            view.add_row(
                "" if i else curve.label,
                point.result.codec.setting,
                number(point.mean["bpp"], 4),
                number(point.gap_percent, 2, signed=True, unit=" %"),
                *(number(point.mean[name], measure.digits) for name, measure in shown.items()),
            )
    return view


def headings(shown: Mapping[str, Measure]) -> list[str]:
    """Of the columns of `averages`: titles and units below each other."""
    return [f"{measure.averages[name]}\n{measure.unit}".rstrip() for name, measure in shown.items()]


def quality(row: Row, measure: Measure) -> str:
    """A measure of one image for people, with its unit and name."""
    unit = f" {measure.unit}" if measure.unit else ""
    return f"{measure.title} {number(row.measure(measure.name), measure.digits)}{unit}"


def number(value: float, digits: int, *, signed: bool = False, unit: str = "") -> str:
    """A measure for people: a dash for NaN, ∞ for inf, a true minus sign."""
    if math.isnan(value):
        return "–"
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−").replace("inf", "∞")
    return text + unit


def thousands(count: int | None) -> str:
    """A whole number for people, a dash for none."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if count else "–"


def relative(run: Path, start: Path) -> str:
    """A run folder as seen from another folder, with forward slashes."""
    return Path(os.path.relpath(run.resolve(), start.resolve())).as_posix()
