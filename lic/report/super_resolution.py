"""What a report shows of networks that enlarge images: tables, and pictures beside interpolated ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.table import Table

from lic.console import plain_table
from lic.evaluation.points import headings, number, relative, thousands
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, kept_picture
from lic.evaluation.super_resolution import BICUBIC, SUPER_RESOLUTION_FILE, EnlargementPoint, Row
from lic.metrics.measures import Measure, all_measures, averages
from lic.report.crops import Crop
from lic.report.gallery import MAX_IMAGES, Picture, Scene, cost, original_picture, webp

_INTERPOLATION = "Bicubic interpolation"


@dataclass(frozen=True)
class Section:
    """The networks that were measured on one set of images.

    ``rows`` are texts, the averages of interpolation first; ``details`` are tables of a row per image.
    """

    data: str
    rows: list[list[str]]
    details: list["Details"]


@dataclass(frozen=True)
class Details:
    """Every image of one network: texts below `image_headings`."""

    label: str
    rows: list[list[str]]


def sections(found: Sequence[EnlargementPoint], start: Path) -> list[Section]:
    """The tables of a page, whose links start from the folder ``start``."""
    return [
        Section(
            _called(group[0]),
            [
                [
                    name,
                    *(number(one.result.mean[key + ending], m.digits) for key, m in averages().items()),
                    *([""] * 4 if ending else _cost(one, start)),
                ]
                for name, one, ending in _lines(group)
            ],
            [Details(label(one), [_image(row) for row in one.result.rows]) for one in group],
        )
        for group in _sets(found)
    ]


def section_headings() -> list[str]:
    """Of `Section.rows`."""
    return ["Network", *headings(averages()), "Parameters", "kMAC/pixel", "Seconds\nper image", "Run"]


def image_headings() -> list[str]:
    """Of `Details.rows`."""
    names = [f"{measure.title}\n{measure.unit}".rstrip() for measure in all_measures().values()]
    return ["Image", "Pixels", *(f"{name}\n{kind}" for name in names for kind in ("bicubic", "network"))]


def enlarged_table(found: Sequence[EnlargementPoint]) -> Table:
    """The averages as a small table for the console, a section for each set of images."""
    shown = averages(measure for measure in all_measures().values() if measure.table)
    view = plain_table("Super-resolution, four times, means over images")
    view.add_column("network", overflow="fold")
    view.add_column("images", overflow="fold")
    for heading in headings(shown):
        view.add_column(heading, justify="right", no_wrap=True)
    for group in _sets(found):
        view.add_section()
        for name, one, ending in _lines(group):
            numbers = (number(one.result.mean[key + ending], m.digits) for key, m in shown.items())
            view.add_row(name, _called(one) if ending else "", *numbers)
    return view


def scenes(found: Sequence[EnlargementPoint], budget: int) -> list[Scene]:
    """A few images of every set that fit the budget: the original, interpolation, what each network made.

    Raises:
        UserError: a picture cannot be read, or has another size than its row says.
    """
    made: list[Scene] = []
    for group in _sets(found):
        names = [row for row in group[0].result.rows if _kept(group[0], row, ORIGINALS)][:MAX_IMAGES]
        for row in names:
            crop = Crop.centre(row.width, row.height)
            pictures = list(_pictures(group, row, crop))
            while pictures and sum(cost(picture.webp) for picture in pictures) > budget // MAX_IMAGES:
                pictures.pop()
            if len(pictures) > 1:
                name = f"{row.file} · {group[0].result.data} · enlarged four times"
                left_out = len(group) + 2 - len(pictures)
                made.append(Scene(name, crop.width, crop.height, tuple(pictures), left_out))
    return made


def label(one: EnlargementPoint) -> str:
    """What a report calls a network."""
    network = one.result.network
    return f"{network.curve}, {network.setting}"


def _sets(found: Sequence[EnlargementPoint]) -> list[list[EnlargementPoint]]:
    """Those that were measured on the same images together."""
    return [list(group) for _, group in groupby(found, lambda one: (one.result.data, one.result.images))]


def _called(one: EnlargementPoint) -> str:
    count = len(one.result.rows)
    return f"{one.result.data}, {count} image{'s'[: count > 1]}"


def _lines(group: Sequence[EnlargementPoint]) -> list[tuple[str, EnlargementPoint, str]]:
    """Interpolation and each network: its name, who measured it, and how the names of its averages end."""
    return [(_INTERPOLATION, group[0], f"_{BICUBIC}"), *((label(one), one, "") for one in group)]


def _cost(one: EnlargementPoint, start: Path) -> list[str]:
    network = one.result.network
    return [
        thousands(network.parameters),
        number(network.macs / 1000, 1) if network.macs else "–",
        number(one.result.mean["seconds"], 3),
        relative(one.run, start),
    ]


def _image(row: Row) -> list[str]:
    pairs = (
        number(values.get(name, float("nan")), measure.digits)
        for name, measure in all_measures().items()
        for values in (row.bicubic, row.measures)
    )
    return [row.file, f"{row.width} × {row.height}", *pairs]


def _kept(one: EnlargementPoint, row: Row, kind: str) -> Path | None:
    return kept_picture(one.run, kind, row.file)


def _pictures(group: Sequence[EnlargementPoint], row: Row, crop: Crop) -> Iterator[Picture]:
    """The original, interpolation, and what each network made of the same image."""
    size = (row.width, row.height)

    def shown(one: EnlargementPoint, kind: str) -> bytes | None:
        file = _kept(one, row, kind)
        return webp(file, size, crop, SUPER_RESOLUTION_FILE) if file else None

    if original := shown(group[0], ORIGINALS):
        yield original_picture(original, crop, size)
    if bicubic := shown(group[0], BICUBIC):
        yield Picture(BICUBIC, _INTERPOLATION, _caption(row.bicubic), bicubic)
    for index, one in enumerate(group):
        if content := shown(one, RECONSTRUCTIONS):
            own = next(other for other in one.result.rows if other.file == row.file)
            yield Picture(f"network-{index}", label(one), _caption(own.measures), content)


def _caption(values: dict[str, float]) -> str:
    shown: list[Measure] = [measure for measure in all_measures().values() if measure.caption]
    return " · ".join(
        f"{m.title} {number(values.get(m.name, float('nan')), m.digits)} {m.unit}".rstrip() for m in shown
    )
