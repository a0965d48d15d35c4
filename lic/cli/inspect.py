"""`lic info`, `lic export`, `lic report` and `lic complexity`: streams, models and runs."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lic.bitstream import Stream, describe
from lic.cli import batch
from lic.cli.files import read, refuse_existing
from lic.cli.options import Force, Json
from lic.errors import UserError

_MODEL_FILE = ".lic-model"
_MODELS = {".ckpt", _MODEL_FILE}
_SHOWN = 8  # numbers of a list; a large photo has hundreds of payloads


def info(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help=".lic files (- is standard input), or models.")
    ],
    json: Json = False,
) -> None:
    """Say what files hold: streams or models."""

    def work(index: int) -> tuple[str, batch.Result]:
        rows = _rows(files[index])
        lines = [f"  {name.replace('_', ' '):<16} {_words(value):<18} {why}" for name, value, why in rows]
        return "\n".join([f"{files[index]}:", *lines]), {name: value for name, value, _ in rows}

    batch.run(files, work, as_json=json)


def _rows(file: str) -> list[tuple[str, Any, str]]:
    """Name, value and meaning of all that a stream or a model says of itself."""
    if Path(file).is_dir() or Path(file).suffix in _MODELS:
        from lic.coding.model_file import describe_model_file

        return [(entry.name, entry.value, entry.meaning) for entry in describe_model_file(Path(file))]
    data = read(file)
    stream = Stream.unpack(data, max_pixels=sys.maxsize)
    bpp = 8 * len(data) / (stream.width * stream.height)
    return [
        *((entry.name, entry.value, entry.meaning) for entry in describe(data)),
        ("bytes", len(data), "of the whole file"),
        ("overhead", len(data) - sum(map(len, stream.payloads)), "bytes that are header and checksum"),
        ("bpp", round(bpp, 4), "bits of the whole file per pixel"),
    ]


def _words(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    shown = ", ".join(map(str, value[:_SHOWN])) or "none"
    return shown if len(value) <= _SHOWN else f"{shown}, … ({len(value)} in all)"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or a checkpoint.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .lic-model file to write.")],
    force: Force = False,
) -> None:
    """Write a trained model to one file."""
    if output.suffix != _MODEL_FILE:
        raise UserError(f"{output} does not end in {_MODEL_FILE}, by which lic knows its model files.")
    refuse_existing([str(output)], force)
    from lic.coding import model_file

    model_file.export(run, output)
    typer.echo(f"{output}")


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Runs or sweeps.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the first.")
    ] = None,
) -> None:
    """Write a report about runs and sweeps."""
    from rich.console import Console

    from lic.evaluation.points import collect, table
    from lic.evaluation.report import write_report
    from lic.evaluation.summary import REPORT_FILE

    target = output or folders[0] / REPORT_FILE
    points = collect(folders)
    write_report(folders, target, title=", ".join(folder.resolve().name for folder in folders))
    Console().print(table(points))
    typer.echo(f"Report: {target}")


def complexity(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="OVERRIDE", help="As for train.py.")
    ] = None,
) -> None:
    """Print a model's size and its cost.

    Parameters, FLOPs and MACs, as in Tables 8 and 9 of Cheng et al. 2019.
    """
    from rich.console import Console

    from lic.evaluation.complexity import layer_table, network_table

    options = _model_options(overrides or [])
    console = Console()
    console.print(layer_table(options), network_table(options))


def _model_options(overrides: list[str]) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from lic.coding.checkpoint import model_options
    from lic.sweep import register_resolvers

    register_resolvers()
    conf = Path(__file__).parents[2] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("train", overrides)
    return model_options({"model": OmegaConf.to_container(config.model, resolve=True)})
