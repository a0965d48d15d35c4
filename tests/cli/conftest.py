"""The command in this process, two small models, and a picture."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lic import cli
from lic.data import write_png
from lic.models import TransformCoding

from ..saved import save_run

MODEL: dict[str, Any] = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}
Lic = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture
def lic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Lic:
    """Run `lic` with arguments in ``tmp_path``: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # it is for a process of its own

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lic", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture
def refused(lic: Lic, tmp_path: Path) -> Refused:
    """Run `lic` with arguments that it must refuse: in one line, which is returned, and writing nothing."""

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, _, err = lic(*arguments)
        assert code == 2 and err.startswith("Error: ") and err.count("\n") == 1, err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


@pytest.fixture(scope="session")
def nets(make_net: Callable[..., TransformCoding]) -> list[TransformCoding]:
    """Two networks of one architecture and other weights."""
    nets = [make_net(seed=seed, **MODEL) for seed in (0, 1)]
    with torch.no_grad():
        nets[1].g_a[-1].weight.mul_(0.3)  # type: ignore[index]
    return nets


@pytest.fixture
def models(nets: list[TransformCoding], tmp_path: Path) -> tuple[str, str]:
    """The folders of two runs, ``run`` and ``other``; the first model's files are larger."""
    for name, net in zip(("run", "other"), nets, strict=True):
        save_run(tmp_path / name, net, MODEL)
    return "run", "other"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture 70 pixels wide and 50 high."""
    image = np.add.outer(np.arange(50), np.arange(70))[..., None] * np.ones(3)
    write_png(tmp_path / "photo.png", image.astype(np.uint8))
    return tmp_path / "photo.png"


@pytest.fixture
def photos(photo: Path) -> Path:
    """A folder with three pictures, one in a folder of its own, and what is to be passed over."""
    folder = photo.parent / "photos"
    for name in ("a.png", "b.png", "sub/a.png", ".hidden.png", ".git/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo.read_bytes())
    (folder / "notes.txt").write_text("not pixels")
    return folder
