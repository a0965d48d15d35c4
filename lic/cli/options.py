"""Options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # torch only where a network runs
    from lic.codecs.base import FileCodec

Models = Annotated[
    list[str],
    typer.Option("--model", "-m", metavar="MODEL", help="A run's folder, a checkpoint or a .lic-model file."),
]
Setting = Annotated[
    str | None, typer.Option(help="Of a model that has several settings, the one to code with.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace outputs that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array, an object per file, and no words.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Files to work on at the same time.")]
Tile = Annotated[
    int,
    typer.Option("--tile", min=1, help="Largest side in pixels of the parts of a large image."),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse larger images.")]


def at_setting(setting: str | None, model: str, codec: "FileCodec") -> "FileCodec":
    """The codec of ``model`` at one of its settings; without one as it is.

    Raises:
        UserError: it has none of this name.
    """
    if setting is None:
        return codec
    from lic.codecs.base import chosen

    return chosen(codec, model, [setting])[setting]
