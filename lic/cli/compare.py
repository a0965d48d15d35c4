"""`lic compare`: a crop of one image as several codecs leave it, for papers and slides."""

from pathlib import Path
from typing import Annotated

import typer

from lic.cli.files import refuse_existing
from lic.cli.options import Force
from lic.errors import UserError, visible


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Evaluated runs, sweeps, or folders of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")],
    image: Annotated[
        str | None,
        typer.Option(help="Name without suffix. Default: the first of which all codecs kept the pixels."),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Part to show. Default: the central 256x256 pixels."),
    ] = None,
    bpp: Annotated[
        float | None,
        typer.Option(
            help="Of several settings of a codec, show the file nearest to this rate. Default: the lowest "
            "rate that all learned codecs have."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Draw one picture: an image's original, and what each codec made of it.

    Below each stand the bits per pixel, PSNR, SSIM and MS-SSIM of the whole image. A classical codec is
    shown at the quality whose file is nearest in size to the learned ones'.
    """
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} does not end in .png; other formats would add losses of their own.")
    refuse_existing([str(output)], force)
    if bpp is not None and not 0 < bpp < float("inf"):
        raise UserError(f"--bpp must be a positive number of bits per pixel, not {bpp:g}.")
    from lic.data import write_png
    from lic.evaluation.points import collect
    from lic.report.crops import Crop, choose, picture

    part = None if crop is None else Crop.parse(crop)
    shown = choose(collect(folders), image, bpp)
    write_png(output, picture(shown, part))
    rates = ", ".join(f"{kept.codec.curve} ({kept.codec.setting}) {kept.row.bpp:.4f} bpp" for kept in shown)
    typer.echo(visible(f"{output}: {shown[0].row.file}: {rates}"))
