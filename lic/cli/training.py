"""`lic train` and `lic eval`: train.py and eval.py wherever lic is installed."""

import runpy
import sys

import typer

PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
"""For a command whose arguments, ``--help`` too, are Hydra's."""


def train(context: typer.Context) -> None:
    """Train a codec, or with -m a sweep of them."""
    _become("lic.train", context.args)


def evaluate(context: typer.Context) -> None:
    """Measure codecs on the files that they write."""
    _become("lic.eval", context.args)


def _become(module: str, arguments: list[str]) -> None:
    """Go on as ``python -m module``: so Lightning, Slurm and data workers can start this command again."""
    sys.argv = [sys.argv[0], *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
