"""Options that several commands share."""

from typing import Annotated

import typer

Models = Annotated[
    list[str],
    typer.Option("--model", "-m", metavar="MODEL", help="A run's folder, a checkpoint or a .lic-model file."),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace outputs that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array, an object per file, and no words.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Files to work on at the same time.")]
Tile = Annotated[
    int,
    typer.Option("--tile", min=1, help="Largest side in pixels of the parts of a large image."),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse larger images.")]
