"""``report.html``: one file that shows what was measured, on any machine, without a network."""

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.offline

from lic.atomic import write_text
from lic.drawing.panels import SIDE
from lic.errors import visible
from lic.evaluation.points import (
    ANCHOR,
    BDRate,
    Curve,
    Point,
    bd_rates,
    collect_failures,
    curves,
    headings,
    number,
    relative,
    symbol_columns,
    thousands,
)
from lic.evaluation.super_resolution import EnlargementPoint, collect_all
from lic.metrics.measures import Measure, all_measures, averages, axes
from lic.papers import Paper, paper_of
from lic.report import super_resolution
from lic.report.figures import COLOURS, MOST_MARKS, colours, formats_figure, rd_figure, sizes_figure
from lic.report.formats import Sizes, sizes_by_format
from lic.report.gallery import BUDGET, Scene, gallery
from lic.report.insides import Inside, insides
from lic.report.singles import single_tables
from lic.report.speed import speed_of

MAX_NAMES, MAX_NAME = 4, 20
"""Of a title: names that it lists, and letters of each."""


def write_report(folders: Sequence[Path], output: Path, source: str) -> None:
    """Write one self-contained page about all runs in or below the folders, of codecs and of others.

    Every name goes through Jinja's escaping, plotly's entities or JSON with escaped angle brackets: names
    are text. A content security policy in the page forbids any request.

    Args:
        folders: Run folders, sweep folders, or folders of them.
        output: The HTML file; it replaces an older one at once.
        source: What the page says of where its results are from.

    Raises:
        UserError: The folders hold no result, or a picture is not what its result says.
    """
    points, enlarged = collect_all(folders)
    all_curves = curves(points)
    drawn = [axis for axis in axes() if any(math.isfinite(point.mean[axis.name]) for point in points)]
    budget = BUDGET // 2 if points and enlarged else BUDGET
    scenes = [*gallery(all_curves, budget), *super_resolution.scenes(enlarged, budget)]
    inner, inner_found = insides(all_curves)
    learned = [curve for curve in all_curves if curve.learned]
    printed = list(dict.fromkeys(paper for curve in learned if (paper := _timed_by(curve))))
    files, networks, networks_found = sizes_figure(all_curves), *sizes_by_format(all_curves)
    symbols = symbol_columns(points)
    charts = _charts(files, networks)
    figures = [*(rd_figure(all_curves, axis) for axis in drawn), *charts.values()]
    content = {
        "figures": [json.loads(figure.to_json()) for figure in figures],
        "axes": len(drawn),
        "curved": len(drawn) + bool(files),  # figures with a trace for each curve
        "scenes": [_scene(scene) for scene in scenes],
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lic.report", "."),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # not what is markup already
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=_title(all_curves, enlarged),
        source=source,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        data=_data([*points, *enlarged]),
        points=len(points),
        failures=[
            {"run": relative(failure.run, output.parent), "error": failure.error}
            for failure in collect_failures(folders)
        ],
        curves=[
            _curve(curve, all_curves, colour, symbols, output.parent)
            for curve, colour in zip(all_curves, colours(all_curves), strict=True)
        ],
        axes=drawn,
        headings=_headings(symbols),
        singles=single_tables(all_curves),
        charts=list(charts),
        most_marks=MOST_MARKS if files else 0,
        networks=list(zip(COLOURS, networks, strict=False)),
        networks_left_out=networks_found - len(networks),
        notes=[measure.note for measure in all_measures().values() if measure.note],
        smallest=_smallest_sides(),
        narrowed=0 < len(learned) < len(all_curves),
        costs=[
            {"label": curve.label, "colour": colour, "cells": _costs(curve, bool(printed))}
            for curve, colour in zip(learned, colours(learned), strict=True)
        ],
        printed=[paper.speed_note for paper in printed],
        scenes=scenes,
        side=SIDE,
        shown=sum(len(scene.pictures) - 1 for scene in scenes),
        left_out=sum(scene.left_out for scene in scenes),
        insides=[_inside(inside) for inside in inner],
        insides_left_out=inner_found - len(inner),
        enlarged=super_resolution.sections(enlarged, output.parent),
        enlarged_headings=super_resolution.section_headings(),
        image_headings=super_resolution.image_headings(),
        content=content,
        plotly=_base64(zlib.compress(plotly.offline.get_plotlyjs().encode(), 9)) if points else "",
    )
    write_text(output, page)


def _title(all_curves: Sequence[Curve], enlarged: Sequence[EnlargementPoint]) -> str:
    """The title: what is compared, on which images, in how many points."""
    models = [c.points[0].result.codec.model if c.learned else c.name for c in all_curves]
    models += [one.result.network.model for one in enlarged]
    data = {*(curve.data for curve in all_curves), *(one.result.data for one in enlarged)}
    images = _listed(data) if len(data) == 1 else f"{len(data)} sets of images"
    counts = {"point": sum(len(curve.points) for curve in all_curves), "enlargement": len(enlarged)}
    counted = [f"{count} {name}{'s'[: count > 1]}" for name, count in counts.items() if count]
    return f"{_listed(models)} on {images}: {', '.join(counted)}"


def _listed(names: Iterable[str]) -> str:
    short = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in dict.fromkeys(names)]
    if len(short) > MAX_NAMES:
        short[MAX_NAMES - 1 :] = [f"{len(short) - MAX_NAMES + 1} more"]
    return " and ".join(filter(None, [", ".join(short[:-1]), short[-1]]))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _data(points: Sequence[Point | EnlargementPoint]) -> list[str]:
    images: dict[str, int] = {}
    for point in points:
        images[point.result.data] = max(images.get(point.result.data, 0), len(point.result.rows))
    return [f"{data}, {count} image{'s'[: count > 1]}" for data, count in images.items()]


def _charts(files: go.Figure | None, networks: Sequence[Sizes]) -> dict[str, go.Figure]:
    """The figures of files' sizes by their titles."""
    charts = {"File size before and after": files} if files else {}
    for title, kind in (("Compact image in each format", "compact"), ("Decoded image saved", "decoded")):
        sizes = [(network.label, getattr(network, kind)) for network in networks]
        if any(each for _, each in sizes):
            charts[title] = formats_figure(sizes)
    return charts


def _curve(
    curve: Curve, all_curves: Sequence[Curve], colour: str, symbols: Iterable[str], start: Path
) -> dict[str, Any]:
    return {
        "label": curve.label,
        "colour": colour,
        "learned": curve.learned,
        "bd_rate": _bd_text(curve, bd_rates(curve, all_curves)),
        "rows": [_cells(point, symbols, start) for point in curve.points],
    }


def _bd_text(curve: Curve, rates: dict[str, BDRate] | None) -> str:
    if curve.anchors:
        return "the reference of the BD-rates"
    if rates is None:
        return f"no BD-rate: {ANCHOR.upper()} was not measured on this data"
    if len(curve.points) < 2:
        return "no BD-rate: one point is no curve"
    return f"BD-rate against {ANCHOR.upper()}: " + ", ".join(
        _on(all_measures()[name], rate) for name, rate in rates.items()
    )


def _on(measure: Measure, rate: BDRate) -> str:
    if not rate.interval:
        return f"no overlap on {measure.title}"
    low, high = (number(end, max(1, measure.digits - 1)) for end in rate.interval)
    percent = number(rate.percent, 1, signed=True, unit=" %")
    return f"{percent} on {measure.title} ({low} to {high} {measure.unit}".rstrip() + ")"


def _headings(symbols: Mapping[str, str]) -> list[str]:
    return [
        "Setting", "bpp", "Estimated\nbpp", "Gap", *headings(averages()), *symbols.values(),
        "Parameters", "Encode\ns", "Decode\ns", "Run",
    ]  # fmt: skip


def _smallest_sides() -> str:
    """Which images a measure is not defined for."""
    sides = {
        measure.title: measure.smallest_side
        for measure in all_measures().values()
        if measure.smallest_side > 1
    }
    return ", ".join(f"{title} below {side} pixels a side" for title, side in sides.items())


def _scene(scene: Scene) -> dict[str, Any]:
    pictures = [
        {
            "key": picture.key,
            "label": picture.label,
            "caption": picture.caption,
            "src": _source(picture.webp),
        }
        for picture in scene.pictures
    ]
    return {"name": scene.name, "width": scene.width, "height": scene.height, "pictures": pictures}


def _inside(inside: Inside) -> dict[str, Any]:
    return {**asdict(inside), "src": _source(inside.webp)}


def _source(webp: bytes) -> str:
    return "data:image/webp;base64," + _base64(webp)


def _cells(point: Point, symbols: Iterable[str], start: Path) -> list[str]:
    codec, mean = point.result.codec, point.mean
    return [
        codec.setting,
        number(mean["bpp"], 4),
        number(mean["estimated_bpp"], 4),
        number(point.gap_percent, 2, signed=True, unit=" %"),
        *(number(mean[name], measure.digits) for name, measure in averages().items()),
        *(number(mean[name], 1 if name == "distinct_values" else 3) for name in symbols),
        thousands(codec.parameters),
        number(mean["encode_s"], 3),
        number(mean["decode_s"], 3),
        relative(point.run, start),
    ]


def _costs(curve: Curve, printed: bool) -> list[str]:
    codec, speed = curve.points[0].result.codec, speed_of(curve)
    return [
        thousands(codec.parameters),
        number(codec.macs / 1000 if codec.macs else math.nan, 1),
        ", ".join(map(str, speed.threads)) or "–",
        number(speed.analysis, 2),
        number(speed.synthesis, 2),
        number(speed.encode, 2),
        number(speed.decode, 2),
        number(speed.set_s, 2),
        *([number(_printed(curve), 2)] if printed else []),
    ]


def _timed_by(curve: Curve) -> Paper | None:
    """The paper that says how fast the network decodes."""
    return None if math.isnan(_printed(curve)) else paper_of(curve.points[0].result.codec.model)


def _printed(curve: Curve) -> float:
    """Images per second that the paper of its network says to decode; NaN where it says none."""
    codec = curve.points[0].result.codec
    paper = paper_of(codec.model)
    return paper.decoding_speed({**codec.options, "name": codec.model}) if paper else math.nan
