"""train.py as a shell sees it: what it completes, and without waiting for torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_bash_completes_a_choice(repository: Path, script: str) -> None:
    lines = (
        f'eval "$(python {script} -sc install=bash)"',
        f"COMP_LINE='python {script} data=ko' COMP_POINT=99 COMP_CWORD=2",
        "hydra_bash_completion",
        'echo "${COMPREPLY[@]}"',
    )
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=repository,
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["data=kodak"], done.stderr


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_fish_takes_it_for_a_program_of_hydra(repository: Path, script: str) -> None:
    """Its completion looks for this text before it runs anything."""
    assert "@hydra.main" in (repository / script).read_text()
