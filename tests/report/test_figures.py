import math
from dataclasses import replace
from pathlib import Path

import pytest

from lic.evaluation.points import collect, curves
from lic.metrics.measures import Measure, axes
from lic.report.figures import MOST_MARKS, colours, formats_figure, rd_figure, sizes_figure
from lic.report.formats import Size

from ..made_runs import MakeRun, jpeg, learned


@pytest.mark.parametrize("axis", axes())
def test_a_trace_per_curve(sweep: Path, axis: Measure) -> None:
    all_curves = curves(collect([sweep]))
    figure = rd_figure(all_curves, axis)
    assert [trace.name for trace in figure.data] == ["resnet · subpixel", "JPEG"]
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash"]
    assert [len(trace.x) for trace in figure.data] == [2, 3]
    assert figure.data[0].customdata[1][1] == "λ = 10"


def test_what_cannot_be_drawn_keeps_its_trace(sweep: Path, make_run: MakeRun) -> None:
    make_run("sweep/lossless", learned("lossless", 5), 9, math.inf)
    figure = rd_figure(curves(collect([sweep])), axes()[0])
    assert [len(trace.x) for trace in figure.data] == [0, 2, 3]


@pytest.mark.parametrize("axis", axes())
def test_axes_begin_around_the_learned_codecs(sweep: Path, axis: Measure) -> None:
    """0.2 to 0.4 bpp and half as far again, whatever JPEG's 2.0; JPEG's points therein are seen."""
    all_curves = curves(collect([sweep]))
    layout = rd_figure(all_curves, axis).layout
    low, high = layout.xaxis.range
    assert (low, high) == pytest.approx((0.2 / 1.5, 0.4 * 1.5), rel=0.02)
    means = [point.mean for curve in all_curves for point in curve.points]
    seen = [mean[axis.name] for mean in means if low <= mean["bpp"] <= high]
    assert 2 < len(seen) < len(means)
    low, high = layout.yaxis.range
    assert min(seen) - 1 < low < min(seen) and max(seen) < high < max(seen) + 1


def test_axes_of_one_point_and_of_none(make_run: MakeRun, tmp_path: Path) -> None:
    def ranges(folder: Path) -> list[list[float] | None]:
        layout = rd_figure(curves(collect([folder])), axes()[0]).layout
        return [layout.xaxis.range, layout.yaxis.range]

    assert ranges(make_run("classical", jpeg(50), 1, 30)) == [None, None]
    assert ranges(make_run("lossless", learned("lossless", 5), 9, math.inf)) == [None, None]
    rates, qualities = ranges(make_run("one", learned("net", 5), 1, 30, images=("bee",)))
    assert rates == pytest.approx((1.1 / 1.5, 1.1 * 1.5)) and qualities == pytest.approx((30, 32))


def test_sizes_have_a_trace_per_curve_and_the_diagonal(sweep: Path, make_run: MakeRun) -> None:
    """JPEG's remains empty, so that the legend of the curves is theirs, too."""
    assert sizes_figure(curves(collect([sweep]))) is None
    for i, form in enumerate(("jpg", "png")):
        known = {"source_bytes": 50 * (i + 1), "source_format": form}
        make_run(f"sweep/{form}", learned("other", i + 1), 1, 30, columns=known)
    figure = sizes_figure(curves(collect([sweep])))
    assert figure is not None
    assert [len(trace.x) for trace in figure.data] == [4, 0, 0, 2]
    assert sorted(figure.data[0].x) == [50, 50, 100, 100] and set(figure.data[0].y) == {132, 108}
    assert list(figure.data[3].x) == list(figure.data[3].y) == [50, 100]
    assert figure.layout.xaxis.title.text == "Source file (JPG, PNG; bytes)"


def test_of_many_files_some_are_drawn(make_run: MakeRun) -> None:
    names = [str(i) for i in range(5000)]
    folder = make_run("run", learned("net", 5), 1, 30, images=names, columns={"source_bytes": 90})
    figure = sizes_figure(curves(collect([folder])))
    assert figure is not None and 1000 < len(figure.data[0].x) <= MOST_MARKS


def test_formats_are_bars_and_marks_for_each_network() -> None:
    sizes = (Size("png", 300, 30, 0.8), Size("bmp", 900, math.inf, 1))
    figure = formats_figure([("<b>one", sizes), ("two", sizes[:1])])
    assert [type(trace).__name__ for trace in figure.data] == ["Bar", "Scatter"] * 2
    assert list(figure.data[0].y) == [300, 900] and list(figure.data[1].y) == [30]
    assert list(figure.data[1].customdata) == ["0.8000"] and "<" not in figure.data[0].name
    assert tuple(figure.layout.yaxis2.range) == (29, 31)


def test_names_are_no_markup(make_run: MakeRun) -> None:
    folder = make_run("run", learned("<a href='x'>name</a>", 5), 1, 30)
    trace = rd_figure(curves(collect([folder])), axes()[0]).data[0]
    assert "<" not in trace.name and "<" not in trace.customdata[0][0]


def test_colours_repeat_only_when_they_must(make_run: MakeRun, tmp_path: Path) -> None:
    for i in range(10):
        make_run(f"run{i}", learned(f"curve {i}", 5), 1, 30)
    chosen = colours(curves(collect([tmp_path])))
    assert len(set(chosen[:8])) == 8 and chosen[8] == chosen[0]


def test_six_classical_curves_have_colours_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    for name in ("jpeg", "jpeg_444", "jpeg2000", "webp", "avif", "png"):
        make_run(f"runs/{name}", replace(jpeg(50), curve=name, model=name), 1, 30)
    assert len(set(colours(curves(collect([tmp_path / "runs"]))))) == 6
