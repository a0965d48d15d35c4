"""`lic`: what people do with runs and files once a codec is trained."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lic import entry
from lic.errors import UserError

app = typer.Typer(
    name="lic",
    help="Compress images with trained codecs, and look at what a training produced.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[Path, typer.Option("--model", "-m", help="Folder of a run, or a checkpoint file.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace the output if it exists.")]


@app.command()
def compress(image: Path, output: Path, model: Model, force: Force = False) -> None:
    """Code an image to a .lic file."""
    from lic.atomic import write_bytes  # torch only where a network runs
    from lic.coding.checkpoint import load_codec
    from lic.data import read_image

    _may_write(output, force)
    pixels = read_image(image)
    data = load_codec(model).encode(pixels).data
    write_bytes(output, data)
    height, width = pixels.shape[:2]
    typer.echo(f"{output}: {len(data):,} bytes, {8 * len(data) / (width * height):.4f} bpp, {width}x{height}")


@app.command()
def decompress(stream: Path, output: Path, model: Model, force: Force = False) -> None:
    """Decode a .lic file to a PNG."""
    from lic.coding.checkpoint import load_codec
    from lic.data import write_png

    _may_write(output, force)
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} does not end in .png, the lossless format that decompress writes.")
    data = _read(stream)
    write_png(output, load_codec(model).decode(data))
    typer.echo(f"{output}")


@app.command()
def info(stream: Path) -> None:
    """Say what a .lic file holds, without its model."""
    from lic.bitstream import Stream

    data = _read(stream)
    content = Stream.unpack(data)
    payloads = sum(map(len, content.payloads))
    bpp = 8 * len(data) / (content.width * content.height)
    typer.echo(f"{stream}: {content.width}x{content.height}, {len(data):,} bytes, {bpp:.4f} bpp")
    typer.echo(f"model fingerprint {content.fingerprint.hex()}")
    lengths = ", ".join(f"{len(p):,}" for p in content.payloads)
    typer.echo(f"payloads of {lengths} bytes, {len(data) - payloads} bytes of header and checksum")


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Runs or sweeps.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the first.")
    ] = None,
) -> None:
    """Write report.html about runs and sweeps, and print their points."""
    from rich.console import Console

    from lic.evaluation.points import collect, table
    from lic.evaluation.report import write_report
    from lic.evaluation.summary import REPORT_FILE

    target = output or folders[0] / REPORT_FILE
    points = collect(folders)
    write_report(folders, target, title=", ".join(folder.resolve().name for folder in folders))
    Console().print(table(points))
    typer.echo(f"Report: {target}")


@app.command()
def complexity(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for train.py: model=hyperprior model.kernel_size=9")
    ] = None,
) -> None:
    """Print parameters, FLOPs and MACs of a model: Tables 8 and 9 of Cheng et al. 2019."""
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
    conf = Path(__file__).parents[1] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("train", overrides)
    return model_options({"model": OmegaConf.to_container(config.model, resolve=True)})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def _may_write(output: Path, force: bool) -> None:
    if output.is_dir():
        raise UserError(f"{output} is a folder; give the path of a file.")
    if output.exists() and not force:
        raise UserError(f"{output} exists; give --force to replace it.")


def main() -> None:
    """The entry point: a user's mistake is one line and exit code 2."""
    entry.run(app)
