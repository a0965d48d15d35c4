"""train.py as a shell sees it: what it completes, without waiting for torch, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lic import train


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


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("model.channels=2", "model.channels must be 1 (gray) or 3 (colour), not 2."),
        ("model.width='8'", "model.width must be a positive even number of channels, not '8'."),
        ("model.kernel_size='3'", "(the paper has 3, 5 and 9), not '3'."),
        ("model.pixel_unshuffle='2'", "model.pixel_unshuffle must be 1, 2 or 4, not '2'."),
    ],
)
def test_an_impossible_network_is_refused_by_its_own_option(
    option: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["train.py", "model=baseline", "data=builtin", "hydra.run.dir=run", option]
    )
    with pytest.raises(SystemExit) as stop:
        train.run()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and "Traceback" not in error
