"""What surrounds Weights & Biases: the mode of its runs, and the one run that sums up a sweep."""

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lic.errors import UserError

if TYPE_CHECKING:  # wandb takes half a second; whoever only asks for the mode from the environment waits not
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    from lic.evaluation.gallery import Scene
    from lic.evaluation.points import Curve, Point

_log = logging.getLogger(__name__)
MODES = ("online", "offline", "shared", "disabled")
MAX_IMAGES = 2
_LONGEST_NAME = 128  # more are refused online; offline nobody says so


def wandb_mode() -> str:
    """The mode for ``wandb.init``: "online", "offline", "disabled", "shared".

    It is what ``WANDB_MODE`` or wandb's settings say; else "online" when an API key is configured
    (``WANDB_API_KEY``, netrc, wandb's settings), else "offline", with one line that says so. wandb itself
    would ask at a terminal and fail without one. Never prompts, never touches the network.

    Raises:
        UserError: The configured API key cannot be one.
    """
    if mode := os.environ.get("WANDB_MODE"):
        if mode not in MODES:
            raise UserError(f"WANDB_MODE={mode} is not a mode of W&B; use one of {', '.join(MODES)}.")
        return mode
    import wandb

    settings = wandb.setup().settings
    if settings.mode != "online":
        return settings.mode
    silent, settings.silent = settings.silent, True  # or login asks the server for the name to greet
    try:
        if wandb.login(prompt=False, verify=False):
            return "online"
    except (wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
        message = f"The API key for W&B is unusable ({error}); run `wandb login` or set WANDB_MODE=offline."
        raise UserError(message) from error
    finally:
        settings.silent = silent
    _say_offline()
    return "offline"


@cache
def _say_offline() -> None:
    _log.warning(
        "W&B: no API key is configured, so runs are recorded offline. "
        "To go online run `wandb login`; to upload what is recorded run `wandb sync` on its folder."
    )


def start_run(folder: Path, **options: Any) -> "wandb.Run":
    """Begin a W&B run whose files land in ``folder``; offline ones say nothing but what `wandb_mode` says.

    Args:
        folder: The folder of the run.
        options: Of ``wandb.init``: project, name, group, job_type.

    Raises:
        UserError: The server cannot be reached.
    """
    import wandb

    options |= {key: _short(options[key]) for key in ("name", "group") if options.get(key)}
    mode = wandb_mode()
    settings = wandb.Settings(silent=mode != "online")
    try:
        return wandb.init(dir=folder, mode=mode, settings=settings, **options)  # type: ignore[arg-type]
    except wandb.errors.CommError as error:
        raise UserError(f"W&B cannot be reached ({error}); try again or set WANDB_MODE=offline.") from error


def _short(name: str) -> str:
    """A name that the server takes; long ones stay different."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run_logger(project: str, save_dir: str, **options: Any) -> "WandbLogger":
    """Lightning's logger around `start_run`: what ``logger=wandb`` instantiates."""
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(experiment=start_run(Path(save_dir), project=project, **options))


def log_sweep(folder: Path, points: Sequence["Point"], project: str) -> None:
    """Record a whole sweep as one W&B run beside those of its jobs.

    The run (job type "rd-summary", its group the name of the sweep's folder, as for the jobs) holds the
    table of all points, each quality against the rate as W&B's own line series and as an interactive
    figure, and a few reconstructions. Its files land in ``folder``. It is finished whatever happens.

    Args:
        folder: The sweep's folder.
        points: Its points, at least one.
        project: The W&B project of the jobs' runs.
    """
    import wandb

    from lic.evaluation.figures import AXES, rd_figure
    from lic.evaluation.gallery import gallery
    from lic.evaluation.points import curves

    all_curves = curves(points)
    name = folder.resolve().name
    run = start_run(folder, project=project, name=f"{name} (R-D)", group=name, job_type="rd-summary")
    exit_code = 1
    try:
        run.log({"rd/table": _table(all_curves)})
        for axis in AXES:
            run.log({f"rd/{axis.measure}": _line_series(all_curves, axis.measure, axis.title)})
            run.log({f"rd/{axis.measure}_figure": wandb.Plotly(rd_figure(all_curves, axis))})
        for i, scene in enumerate(gallery(all_curves)[:MAX_IMAGES], 1):
            run.log({f"rd/image_{i}": _images(scene)})
        exit_code = 0
    finally:
        run.finish(exit_code=exit_code)


def _table(curves: Sequence["Curve"]) -> Any:
    import wandb

    measures = ["bpp", "estimated_bpp", "psnr", "ms_ssim", "ms_ssim_db", "encode_s", "decode_s"]
    table = wandb.Table(columns=["curve", "setting", "lambda", "data", "images", *measures])
    for curve in curves:
        for point in curve.points:
            codec, result = point.result.codec, point.result
            numbers = (point.mean[name] for name in measures)
            table.add_data(
                curve.label,
                codec.setting,
                codec.lmbda,
                result.data,
                len(result.rows),
                *(number if math.isfinite(number) else None for number in numbers),
            )
    return table


def _line_series(curves: Sequence["Curve"], measure: str, title: str) -> Any:
    import wandb

    drawn = [[p for p in curve.points if math.isfinite(p.mean[measure])] for curve in curves]
    return wandb.plot.line_series(
        xs=[[point.mean["bpp"] for point in points] for points in drawn],
        ys=[[point.mean[measure] for point in points] for points in drawn],
        keys=[curve.label for curve in curves],
        title=f"{title} against bits per pixel",
        xname="bits per pixel",
    )


def _images(scene: "Scene") -> list[Any]:
    import wandb
    from PIL import Image

    return [
        wandb.Image(
            Image.open(BytesIO(picture.webp)), caption=f"{scene.name}: {picture.label}, {picture.caption}"
        )
        for picture in scene.pictures
    ]
