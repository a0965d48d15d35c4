"""`lic info`, `lic inspect`, `lic export`, `lic report` and `lic complexity`: streams, models and runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lic.bitstream import MAGIC, MAX_PIXELS, Entry, describe
from lic.cli import batch
from lic.cli.files import STANDARD, read, refuse_existing
from lic.cli.options import Force, Json, MaxPixels, Setting, Tile, at_setting
from lic.codecs import TILE
from lic.configuration import CONF
from lic.entry import quoted
from lic.errors import UserError, visible
from lic.store import MODEL_SUFFIX

_SHOWN = 8  # numbers of a list; a large photo has hundreds of payloads


def info(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help=".lic files (- is standard input), or models.")
    ],
    json: Json = False,
) -> None:
    """Say what files hold: streams or models."""

    def work(index: int) -> tuple[str, batch.Result]:
        entries = _entries(files[index])
        lines = [f"  {e.name.replace('_', ' '):<16} {_words(e.value):<18} {e.meaning}" for e in entries]
        return "\n".join([f"{files[index]}:", *lines]), {entry.name: entry.value for entry in entries}

    batch.run(files, work, as_json=json)


def _entries(file: str) -> list[Entry]:
    """All that a stream says of itself, or else a model. Only the content tells which of them it is."""
    if file == STANDARD or _is_stream(Path(file)):
        return describe(read(file))
    from lic.store.model_file import describe_model_file

    return describe_model_file(file)


def _is_stream(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _words(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:g}" if isinstance(value, float) else str(value)
    shown = ", ".join(map(str, value[:_SHOWN])) or "none"
    return shown if len(value) <= _SHOWN else f"{shown}, … ({len(value)} in all)"


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run's folder, a checkpoint or a .lic-model file.")
    ],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to code with it.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The PNG file to write. Default: NAME-inside.png of IMAGE, here."
        ),
    ] = None,
    setting: Setting = None,
    tile: Tile = TILE,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
) -> None:
    """Draw how a model codes an image: where the bits go, and what its stages add.

    Heat maps over the image, of an importance map or of the bits that each position of a latent takes. Of a
    codec of several stages also the image and the residual after each, with PSNR and bits per pixel so far,
    and how the residuals are distributed.
    """
    target = output or Path(f"{Path(image).stem}-inside.png")
    if target.suffix.lower() != ".png":
        raise UserError(f"{target} does not end in .png; other formats would add losses of their own.")
    refuse_existing([str(target)], force)
    from lic.data import read_image, write_png
    from lic.drawing.inner import numbers, picture, range_of
    from lic.store.load import load_codec

    codec = at_setting(setting, model, load_codec(model, tile=tile, max_pixels=max_pixels))
    pixels = read_image(image, managed=True)
    encoded = codec.encode(pixels)
    inner, symbols = encoded.inner(), encoded.symbols()
    if inner is None:
        raise UserError(f"{codec.info.curve} shows nothing of its inside; inspect a model of another family.")
    write_png(target, picture(pixels, inner))
    lines = [f"  {one.name}: {range_of(one)}" for one in inner.maps]
    lines += [f"  {stage.name}: {numbers(stage, pixels)}" for stage in inner.stages]
    if symbols:
        bpp = symbols.bits / pixels[..., 0].size
        distinct = f"{symbols.distinct} different values among {symbols.count:,}"
        lines.append(f"  8-bit values: {distinct}, entropy {symbols.entropy:.4f} bits each, {bpp:.4f} bpp")
    typer.echo(visible("\n".join([f"{target}:", *lines])))


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, a checkpoint or a .lic-model file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .lic-model file to write.")],
    force: Force = False,
) -> None:
    """Write a trained model to one file."""
    if output.suffix != MODEL_SUFFIX:
        raise UserError(f"{output} does not end in {MODEL_SUFFIX}, by which lic knows its model files.")
    refuse_existing([str(output)], force)
    from lic.store import model_file

    model_file.export(run, output)
    typer.echo(f"{output}")


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Runs or sweeps.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The .html file to write. Default: report.html in the first."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a report about runs and sweeps."""
    if output and output.suffix != ".html":
        raise UserError(f"{output} does not end in .html, as reports do.")
    refuse_existing([str(output)] if output else [], force)
    from lic.evaluation.super_resolution import collect_all
    from lic.report.page import write_report
    from lic.report.summary import REPORT_FILE, print_results

    target = output or folders[0] / REPORT_FILE
    results = collect_all(folders)
    write_report(folders, target, source=", ".join(folder.resolve().name for folder in folders))
    print_results(*results)
    typer.echo(f"Report: {target}")


def complexity(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="OVERRIDE", help="As for train.py.")
    ] = None,
    config_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Has configurations of other packages' models, as for train.py."),
    ] = None,
) -> None:
    """Print a model's size and its cost.

    Parameters, FLOPs and MACs, layer by layer and beside the networks of the model's paper.
    """
    from lic.console import Console
    from lic.report.complexity import complexity_tables

    Console().print(*complexity_tables(_model_options(overrides or [], config_dir)))


def _model_options(overrides: list[str], config_dir: Path | None) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from lic.store.description import model_options
    from lic.sweep.names import register_resolvers

    register_resolvers()
    if config_dir:
        if not config_dir.is_dir():
            raise UserError(f"{config_dir} is no folder; give --config-dir one with model/NAME.yaml.")
        overrides = [f"hydra.searchpath=[{quoted(config_dir.resolve().as_uri())}]", *overrides]
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", overrides)
    return model_options({"model": OmegaConf.to_container(config.model, resolve=True)})
