"""The one W&B run that sums up a sweep."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from lic.evaluation.points import Curve, Point, curves, own_columns, symbol_columns
from lic.evaluation.super_resolution import BICUBIC, EnlargementPoint
from lic.metrics.measures import Measure, averages, axes
from lic.report.figures import rd_figure
from lic.report.gallery import BUDGET, Scene, gallery
from lic.report.super_resolution import label, scenes
from lic.tracking import finish_run, start_run

MAX_IMAGES = 2


def log_sweep(
    folder: Path, points: Sequence[Point], enlarged: Sequence[EnlargementPoint], project: str
) -> None:
    """Record a whole sweep as one W&B run beside those of its jobs.

    The run (job type "rd-summary", its group the name of the sweep's folder, as for the jobs) holds the
    table of all points, each quality against the rate as W&B's own line series and as an interactive
    figure, and a few reconstructions; and the same of networks that enlarge images, but for the rate. Its
    files land in ``folder``. It is finished whatever happens.

    Args:
        folder: The sweep's folder.
        points: Its points.
        enlarged: The results of networks that enlarge images.
        project: The W&B project of the jobs' runs.
    """
    import wandb

    all_curves = curves(points)
    name = folder.resolve().name
    run = start_run(folder, project=project, name=f"{name} (R-D)", group=name, job_type="rd-summary")
    exit_code = 1
    try:
        if points:
            run.log({"rd/table": _table(all_curves)})
            for measure in axes():
                run.log({f"rd/{measure.name}": _line_series(all_curves, measure)})
                run.log({f"rd/{measure.name}_figure": wandb.Plotly(rd_figure(all_curves, measure))})
        if enlarged:
            run.log({"super_resolution/table": _enlarged_table(enlarged)})
        shown = {"rd": gallery(all_curves), "super_resolution": scenes(enlarged, BUDGET)}
        for kind, found in shown.items():
            for i, scene in enumerate(found[:MAX_IMAGES], 1):
                run.log({f"{kind}/image_{i}": _images(scene)})
        exit_code = 0
    finally:
        finish_run(exit_code)


def _table(all_curves: Sequence[Curve]) -> Any:
    import wandb

    points = [point for curve in all_curves for point in curve.points]
    codecs = [point.result.codec for point in points]
    measures = ["bpp", "estimated_bpp", *averages(), *symbol_columns(points), "encode_s", "decode_s"]
    who, where = ["curve", "setting"], ["data", "images", *measures]
    own = own_columns(codecs, [*who, *where])
    table = wandb.Table(columns=[*who, *own.values(), *where])
    for curve in all_curves:
        for point in curve.points:
            codec, result = point.result.codec, point.result
            numbers = (point.mean[name] for name in measures)
            table.add_data(
                curve.label,
                codec.setting,
                *(getattr(codec, kind).get(key) for kind, key in own),
                result.data,
                len(result.rows),
                *(number if math.isfinite(number) else None for number in numbers),
            )
    return table


def _enlarged_table(enlarged: Sequence[EnlargementPoint]) -> Any:
    import wandb

    names = [*averages(), *(f"{name}_{BICUBIC}" for name in averages())]
    table = wandb.Table(columns=["network", "data", "images", *names])
    for one in enlarged:
        means = one.result.mean
        numbers = (means[name] if math.isfinite(means[name]) else None for name in names)
        table.add_data(label(one), one.result.data, len(one.result.rows), *numbers)
    return table


def _line_series(all_curves: Sequence[Curve], measure: Measure) -> Any:
    import wandb

    drawn = [[p for p in curve.points if math.isfinite(p.mean[measure.name])] for curve in all_curves]
    return wandb.plot.line_series(
        xs=[[point.mean["bpp"] for point in points] for points in drawn],
        ys=[[point.mean[measure.name] for point in points] for points in drawn],
        keys=[curve.label for curve in all_curves],
        title=f"{measure.axis_title} against bits per pixel",
        xname="bits per pixel",
    )


def _images(scene: Scene) -> list[Any]:
    import wandb

    return [
        wandb.Image(
            Image.open(BytesIO(picture.webp)), caption=f"{scene.name}: {picture.label}, {picture.caption}"
        )
        for picture in scene.pictures
    ]
