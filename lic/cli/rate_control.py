"""`lic rate-control`: images within a rate, each coded by the model that serves them all best."""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lic.atomic import write_text
from lic.cli.files import IMAGE, expand, holds_results
from lic.cli.options import Force, Tile
from lic.codecs import TILE
from lic.errors import UserError

if TYPE_CHECKING:  # torch only where a network runs
    from rich.table import Table

    from lic.evaluation.mixture import Mixture
    from lic.evaluation.result import Result

SUMMARY = "rate-control.json"


def rate_control(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL MODEL... IMAGES",
            help="Two or more models (runs, checkpoints, .lic-model files), then a folder, a quoted pattern "
            "or files of images.",
        ),
    ],
    target_bpp: Annotated[
        float, typer.Option(help="Bits of all files together over pixels of all images, at most.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to make, of .lic files and rate-control.json.")
    ],
    metric: Annotated[
        str,
        typer.Option(help="The measure whose mean over images is to be best: ms-ssim, psnr, ssim, …"),
    ] = "ms-ssim",
    tile: Tile = TILE,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rate-control.json, and no words.")] = False,
) -> None:
    """Code images with several models and keep, of each, the file with which all together look best."""
    models, files, names = _split(sources)
    _check_output(output, force)
    import lic
    from lic.codecs.base import each_setting
    from lic.data.sources import ImageFiles
    from lic.evaluation.evaluate import STREAMS
    from lic.evaluation.mixture import evaluate_mixture
    from lic.evaluation.result import json_text
    from lic.metrics.measures import measure_called
    from lic.rate_control.choice import check_different

    measure = measure_called(metric.replace("-", "_")).name
    loaded = [lic.load(path, tile=tile) for path in models]
    check_different(models, loaded)
    codecs = dict(each_setting(models, loaded))
    images = ImageFiles(files, names, managed=True)  # seen as people see them, by their colour profiles
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
        work = Path(temporary)
        bar = sys.stderr.isatty()
        mixture = evaluate_mixture(list(codecs.values()), images, work, "", target_bpp, measure, progress=bar)
        summary = json_text(mixture.summary(codecs))
        write_text(work / STREAMS / SUMMARY, summary)
        _put(work / STREAMS, output, work / "replaced")
    if as_json:
        typer.echo(summary, nl=False)
        return
    from lic.console import Console

    Console().print(_table(list(codecs), mixture))
    typer.echo(
        f"{output}: {len(images)} files, {mixture.result.mean['bpp_pooled']:.4f} of {target_bpp:g} bpp"
    )


def _split(sources: Sequence[str]) -> tuple[list[str], list[Path], list[str]]:
    """The models, and the images with names: what begins with the first image file, or the last argument."""
    last = len(sources) - 1
    first = next((i for i, source in enumerate(sources) if IMAGE.holds(Path(source))), last)
    found = [file for source in sources[first:] for file in expand(source, IMAGE)]
    names = [place.with_suffix("").as_posix() for _, place in found]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"Several images would become {twice[0]}.lic; rename one.")
    return list(sources[:first]), [file for file, _ in found], names


def _check_output(output: Path, force: bool) -> None:
    """Refuse to replace anything but, when asked to, what this command wrote."""
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise UserError(f"{output} is a file; give the path of a folder.")
    ours = all(f.is_dir() or f.suffix == ".lic" or f.name == SUMMARY for f in output.rglob("*"))
    if not ours or holds_results(output):
        raise UserError(f"{output} holds other files, which --force does not replace; give another folder.")
    if not force and any(output.iterdir()):
        raise UserError(f"{output} exists; give --force to replace it.")


def _put(folder: Path, place: Path, aside: Path) -> None:
    """Let ``folder`` take its ``place``; what stood there goes ``aside``, or stays if that fails."""
    if place.exists():
        place.rename(aside)
    try:
        folder.rename(place)
    finally:
        if aside.exists() and not place.exists():
            aside.rename(place)


def _table(models: Sequence[str], mixture: "Mixture") -> "Table":
    from lic.console import plain_table
    from lic.evaluation.points import headings, number
    from lic.metrics.measures import all_measures, averages

    shown = averages(measure for measure in all_measures().values() if measure.caption)
    view = plain_table(f"Rate control to {mixture.target_bpp:g} bpp, and each model alone")
    view.add_column("model", overflow="fold")
    for heading in ("chosen", "bpp", *headings(shown)):
        view.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, count: int, result: "Result") -> None:
        mean = result.mean
        numbers = (number(mean[key], measure.digits) for key, measure in shown.items())
        view.add_row(name, str(count), number(mean["bpp_pooled"], 4), *numbers)

    add("rate control", len(mixture.models), mixture.result)
    view.add_section()
    for index, (name, result) in enumerate(zip(models, mixture.alone, strict=True)):
        add(name, mixture.models.count(index), result)
    return view
