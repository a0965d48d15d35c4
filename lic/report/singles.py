"""Tables of single images: how every point of a curve fares on each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lic.evaluation.points import Curve, Point, number, symbol_columns
from lic.evaluation.result import Row
from lic.metrics.measures import all_measures
from lic.papers import Paper, paper_of

MOST_ROWS = 4_000
"""Of all tables together, unless there are so many points that each shows its `_LEAST`."""
_MOST, _LEAST = 200, 4  # rows of a point


@dataclass(frozen=True)
class Single:
    """The first images of a point, a row of cells each; ``left_out`` are in its ``test.json`` alone."""

    setting: str
    rows: list[list[str]]
    left_out: int


@dataclass(frozen=True)
class SingleTable:
    """One curve; ``note`` says what a paper's columns are, if there are some."""

    label: str
    headings: list[str]
    points: list[Single]
    note: str


def single_tables(curves: Sequence[Curve]) -> list[SingleTable]:
    """A table for each curve, of so many images that a page can hold them."""
    points = sum(len(curve.points) for curve in curves)
    shown = max(_LEAST, min(_MOST, MOST_ROWS // max(points, 1)))
    return [_table(curve, shown) for curve in curves]


def _table(curve: Curve, shown: int) -> SingleTable:
    qualities = {name: measure for name, measure in all_measures().items() if measure.caption}
    symbols, rows = symbol_columns(curve.points), [row for point in curve.points for row in point.result.rows]
    sources = any(math.isfinite(row.source_bytes) for row in rows)
    paper = _paper_of(curve)
    printed = {name for row in rows for name in _printed(paper, curve, row)}
    headings = [
        "Image", "Bytes", *(["Source\nbytes"] if sources else []), "bpp",
        *(f"{measure.title}\n{measure.unit}".rstrip() for measure in qualities.values()),
        *(f"Paper\n{measure.title}" for name, measure in qualities.items() if name in printed),
        *symbols.values(),
    ]  # fmt: skip

    def cells(row: Row) -> list[str]:
        paper_says = _printed(paper, curve, row)
        source = f"{number(row.source_bytes, 0)} {row.source_format}"
        return [
            row.file,
            number(row.bytes, 0),
            *([source] if sources else []),
            number(row.bpp, 4),
            *(number(row.measure(name), measure.digits) for name, measure in qualities.items()),
            *(
                number(paper_says.get(name, math.nan), 2)
                for name, measure in qualities.items()
                if name in printed
            ),
            *(number(getattr(row, name), 0 if name == "distinct_values" else 4) for name in symbols),
        ]

    return SingleTable(
        curve.label,
        headings,
        [_single(point, [cells(row) for row in point.result.rows[:shown]]) for point in curve.points],
        paper.image_note if paper and printed else "",
    )


def _single(point: Point, rows: list[list[str]]) -> Single:
    return Single(point.result.codec.setting, rows, len(point.result.rows) - len(rows))


def _paper_of(curve: Curve) -> Paper | None:
    return paper_of(curve.points[0].result.codec.model) if curve.learned else None


def _printed(paper: Paper | None, curve: Curve, row: Row) -> Mapping[str, float]:
    """What the paper of its network says of an image."""
    codec = curve.points[0].result.codec
    return paper.image_quality({**codec.options, "name": codec.model}, row.file) if paper else {}
