"""`lic train` and `lic eval`: train.py and eval.py wherever lic is installed."""

import runpy
import sys
from collections.abc import Sequence

import typer

PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
"""For a command whose arguments, ``--help`` too, are Hydra's."""


def train(context: typer.Context) -> None:
    """Train a codec, or with -m a sweep of them."""
    become("train", context.args)


def evaluate(context: typer.Context) -> None:
    """Measure codecs on the files that they write."""
    become("eval", context.args)


def become(program: str, arguments: Sequence[str]) -> None:
    """Go on as ``python -m lic.PROGRAM``: Lightning, Slurm and data workers can start this command again."""
    sys.argv = [sys.argv[0], *arguments]
    runpy.run_module(f"lic.{program}", run_name="__main__", alter_sys=True)
