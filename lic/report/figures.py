"""Rate-distortion curves as interactive figures."""

import html
import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lic.evaluation.points import Curve
from lic.metrics.measures import Measure

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
