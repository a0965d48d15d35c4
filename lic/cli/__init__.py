"""`lic`: what people do with runs and files once a codec is trained.

A command is a function of a module below, registered here. Modules import torch only where a network runs:
``lic --help``, completion and ``lic info`` would wait for it.
"""

import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from textwrap import dedent
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lic import __version__, entry
from lic.cli.coding import compress, decompress
from lic.cli.compare import compare
from lic.cli.inspect import complexity, export, info, inspect, report
from lic.cli.rate_control import rate_control
from lic.cli.sweep import cancel, collect, resume, status
from lic.cli.training import PASS_ON, evaluate, train
from lic.errors import UserError

EXAMPLES: dict[Callable[..., None], str] = {
    compress: """
        lic compress photo.png photo.lic -m RUN
        lic compress photos streams -m RUN --jobs 2
        lic compress 'photos/**/*.png' streams -m RUN
        lic compress - - -m RUN < photo.jpg > photo.lic
        lic compress photo.png photo.lic -m LOW -m HIGH --target-bpp 0.3""",
    decompress: """
        lic decompress photo.lic back.png -m RUN
        lic decompress streams pictures -m LOW -m HIGH
        lic decompress - - -m RUN < photo.lic > back.png""",
    info: """
        lic info photo.lic
        lic info streams/*.lic --json
        lic info RUN""",
    inspect: """
        lic inspect RUN photo.png -o inside.png""",
    export: """
        lic export RUN -o model.lic-model""",
    rate_control: """
        lic rate-control LOW HIGH photos --target-bpp 0.15 -o streams""",
    report: """
        lic report multirun/SWEEP outputs/RUN -o both.html""",
    compare: """
        lic compare multirun/SWEEP -o figure.png
        lic compare outputs/A outputs/B --image kodim15 --crop 256,128,256,256 --bpp 0.2 -o figure.png""",
    complexity: """
        lic complexity model=hyperprior model.kernel_size=9""",
}

SWEEP_EXAMPLES: dict[Callable[..., None], str] = {
    status: """
        lic sweep status multirun/SWEEP
        lic sweep status multirun/SWEEP --watch""",
    resume: """
        lic sweep resume multirun/SWEEP --yes""",
    cancel: """
        lic sweep cancel multirun/SWEEP""",
    collect: """
        lic sweep collect multirun/SWEEP""",
}

app = typer.Typer(
    name="lic",
    epilog="Example: lic compress photo.png photo.lic --model RUN",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, passed_on in {"train": train, "eval": evaluate}.items():
    app.command(name, add_help_option=False, context_settings=PASS_ON)(passed_on)


class _TwoNames(TyperCommand):
    """A command with SOURCE... and TARGET: of a single name typer would say that the source is missing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if not error.param or error.param.name not in ("sources", "target"):
                raise
            names = "two names are needed, SOURCE to read and TARGET to write"
            raise UserError(f"For {ctx.command_path}, {names}; see {ctx.command_path} --help.") from None


for command, examples in EXAMPLES.items():
    kind = _TwoNames if command in (compress, decompress) else None
    app.command(cls=kind, epilog=f"\b\nExamples:{dedent(examples)}")(command)

sweeps = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at a sweep's jobs, continue or end them, sum them up.",
)
for command, examples in SWEEP_EXAMPLES.items():
    sweeps.command(epilog=f"\b\nExamples:{dedent(examples)}")(command)
app.add_typer(sweeps, name="sweep")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lic {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compress images with trained codecs, and look at what a training produced."""


def main() -> None:
    """The entry point: a user's mistake is one line and exit code 2."""
    if isinstance(sys.stdout, TextIOWrapper):  # names of files need not be text, nor a terminal know λ
        sys.stdout.reconfigure(errors="backslashreplace")
    entry.run(_command)


def _command() -> None:
    """An unset variable of a script must not be taken for this folder, as which an empty path counts."""
    if empty := [a for a in sys.argv[1:] if re.fullmatch(r"(--[a-z-]+=)?", a)]:
        raise UserError(f"The argument {empty[0] or repr('')} is empty; give a name (. is this folder).")
    app()
