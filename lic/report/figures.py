"""Rate-distortion curves and sizes of files as interactive figures."""

import html
import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lic.evaluation.points import Curve
from lic.evaluation.result import Row
from lic.metrics.measures import Measure
from lic.report.formats import Size

COLOURS = (  # told apart on white and on black, and by most colour-blind eyes
    "#3b82f6",
    "#e8590c",
    "#12a594",
    "#c2459d",
    "#b7860b",
    "#7c66dc",
    "#46a758",
    "#e5484d",
)
MOST_MARKS = 3000
"""Of the files of a figure; of more, some evenly spread ones are drawn."""
CLASSICAL_COLOURS = ("#868e96", "#a18072", "#5f8aa0", "#8f8a4f", "#9678a6", "#5e9478")


def colours(curves: Sequence[Curve]) -> list[str]:
    """A colour per curve: bright for the learned codecs, muted for the classical ones."""
    used = {True: 0, False: 0}
    chosen = []
    for curve in curves:
        palette = COLOURS if curve.learned else CLASSICAL_COLOURS
        chosen.append(palette[used[curve.learned] % len(palette)])
        used[curve.learned] += 1
    return chosen


def rd_figure(curves: Sequence[Curve], measure: Measure) -> go.Figure:
    """A quality against bits per pixel, one trace per curve in their order; classical codecs are dashed.

    Points without a finite quality (lossless, or MS-SSIM of small images) cannot be drawn; a curve of
    such points keeps an empty trace. Plotly reads a subset of HTML in every text, so names are escaped.

    The axes begin around the range of the learned codecs, if there are some: classical ones reach far beyond
    it, and are seen there as soon as the axes are set to show everything.
    """
    figure = go.Figure()
    for curve, colour in zip(curves, colours(curves), strict=True):
        drawn = [point for point in curve.points if math.isfinite(point.mean[measure.name])]
        label = html.escape(curve.label)
        figure.add_scatter(
            x=[point.mean["bpp"] for point in drawn],
            y=[point.mean[measure.name] for point in drawn],
            customdata=[[label, html.escape(point.result.codec.setting)] for point in drawn],
            name=label,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": "solid" if curve.learned else "dash"},
            marker={"size": 7, "symbol": "circle" if curve.learned else "diamond"},
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{x:.4f} bpp<br>"
            f"%{{y:.{measure.digits}f}} {html.escape(measure.unit or measure.title)}<extra></extra>",
        )
    rates, qualities = _ranges(curves, measure.name)
    figure.update_layout(
        template="plotly_white",
        xaxis={"title": "Rate (bits per pixel)", "rangemode": "tozero", "range": rates},
        yaxis={"title": measure.axis_title, "range": qualities},
        legend={"orientation": "h", "y": -0.2},
        margin={"l": 60, "r": 15, "t": 15, "b": 50},
    )
    return figure


def sizes_figure(curves: Sequence[Curve]) -> go.Figure | None:
    """The bytes of each image's file before and after a learned codec, one trace per curve in their order.

    Classical codecs, which share the colours' order, keep empty traces. None where no source file is known.
    """
    files = [[(p, row) for p in curve.points for row in p.result.rows if _known(row)] for curve in curves]
    drawn = [found if curve.learned else [] for curve, found in zip(curves, files, strict=True)]
    count = sum(map(len, drawn))
    if not count:
        return None
    step = math.ceil(count / MOST_MARKS)
    figure = go.Figure()
    for curve, colour, found in zip(curves, colours(curves), drawn, strict=True):
        label, marks = html.escape(curve.label), found[::step]
        figure.add_scatter(
            x=[row.source_bytes for _, row in marks],
            y=[row.bytes for _, row in marks],
            customdata=[
                [label, html.escape(point.result.codec.setting), html.escape(row.file), row.source_format]
                for point, row in marks
            ],
            name=label,
            mode="markers",
            marker={"size": 7, "color": colour, "opacity": 0.75},
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<br>"
            "%{x:,} bytes %{customdata[3]} → %{y:,} bytes<extra></extra>",
        )
    ends = [edge(row.source_bytes for found in drawn for _, row in found) for edge in (min, max)]
    figure.add_scatter(
        x=ends, y=ends, name="as large as before", mode="lines", hoverinfo="skip",
        line={"color": "#868e96", "width": 1, "dash": "dot"},
    )  # fmt: skip
    formats = sorted({row.source_format.upper() for found in drawn for _, row in found} - {""})
    source = f"Source file ({', '.join(formats)}; bytes)" if formats else "Source file (bytes)"
    axis = {"type": "log", "tickformat": "~s", "dtick": "D2"}
    figure.update_layout(
        template="plotly_white",
        xaxis={"title": source, **axis},
        yaxis={"title": "File of the codec (bytes)", **axis},
        margin={"l": 60, "r": 15, "t": 15, "b": 50},
    )
    return figure


def _known(row: Row) -> bool:
    return 1 <= row.source_bytes < math.inf and row.bytes >= 1  # what a logarithmic axis can show


def formats_figure(networks: Sequence[tuple[str, Sequence[Size]]]) -> go.Figure:
    """Mean bytes in each format as bars, and PSNR as a mark beside, of networks by their labels."""
    figure = go.Figure()
    for index, (label, sizes) in enumerate(networks):
        names = [html.escape(size.name) for size in sizes]
        shared = {"name": html.escape(label), "offsetgroup": str(index)}
        figure.add_bar(
            x=names, y=[size.bytes for size in sizes], marker={"color": COLOURS[index], "opacity": 0.55},
            hovertemplate="<b>%{x}</b><br>%{y:,.0f} bytes<extra></extra>", **shared,
        )  # fmt: skip
        finite = [(name, s) for name, s in zip(names, sizes, strict=True) if math.isfinite(s.psnr)]
        figure.add_scatter(
            x=[name for name, _ in finite], y=[size.psnr for _, size in finite], yaxis="y2", mode="markers",
            marker={"color": COLOURS[index], "size": 9, "symbol": "diamond",
                    "line": {"color": "#868e96", "width": 1}},
            customdata=[f"{size.ssim:.4f}" for _, size in finite],
            hovertemplate="<b>%{x}</b><br>PSNR %{y:.2f} dB<br>SSIM %{customdata}<extra></extra>", **shared,
        )  # fmt: skip
    psnrs = [size.psnr for _, sizes in networks for size in sizes if math.isfinite(size.psnr)]
    figure.update_layout(
        template="plotly_white",
        barmode="group",
        scattermode="group",
        xaxis={"type": "category", "automargin": True},
        yaxis={"title": "Mean bytes", "tickformat": "~s"},
        yaxis2={
            "title": "PSNR (dB)", "overlaying": "y", "side": "right", "showgrid": False, "automargin": True,
            "tickmode": "auto", "nticks": 6, "range": [min(psnrs) - 1, max(psnrs) + 1] if psnrs else None,
        },
        margin={"l": 60, "r": 50, "t": 15, "b": 50},
    )  # fmt: skip
    return figure


def _ranges(curves: Sequence[Curve], measure: str) -> tuple[list[float] | None, list[float] | None]:
    """Of bpp, half as far again as the learned codecs reach to both sides, and of all qualities therein.

    None where no learned codec can be drawn.
    """
    drawn = [
        (point.mean["bpp"], point.mean[measure], curve.learned)
        for curve in curves
        for point in curve.points
        if math.isfinite(point.mean["bpp"]) and math.isfinite(point.mean[measure])
    ]
    rates = [rate for rate, _, learned in drawn if learned]
    if not rates:
        return None, None
    low, high = min(rates) / 1.5, max(rates) * 1.5
    qualities = [quality for rate, quality, _ in drawn if low <= rate <= high]
    margin = 0.08 * (max(qualities) - min(qualities)) or 1.0
    return [low, high], [min(qualities) - margin, max(qualities) + margin]
