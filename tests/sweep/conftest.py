"""Slurm's commands as a test wants them to answer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Answering = Callable[[str, str], Path]


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Put a command on the PATH that runs a line of shell; the file to which it adds its arguments."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def answer(name: str, line: str) -> Path:
        asked = tmp_path / f"{name}.txt"
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{line}\n')
        program.chmod(0o755)
        return asked

    return answer
