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
from lic.entropy import tables
from lic.models import TransformCoding

from ..objectives import rd

Lic = Callable[..., tuple[int, str, str]]


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


@pytest.fixture(scope="session")
def checkpoints(make_net: Callable[..., TransformCoding]) -> tuple[dict[str, Any], ...]:
    """Two hyperpriors of one architecture and other weights, as training saves them."""
    options = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}
    nets = [make_net(seed=seed, **options) for seed in (0, 1)]
    with torch.no_grad():
        nets[1].g_a[-1].weight.mul_(0.3)  # type: ignore[index]
    return tuple(
        {
            "state_dict": {f"net.{k}": v for k, v in net.state_dict().items()},
            "hyper_parameters": {"config": {"model": options}},
            "objective": rd(5, "ms_ssim").plain(),
            "entropy_tables": tables(net),
        }
        for net in nets
    )


@pytest.fixture
def models(checkpoints: tuple[dict[str, Any], ...], tmp_path: Path) -> tuple[str, str]:
    """The folders of two runs, ``run`` and ``other``; the first model's files are larger."""
    for name, checkpoint in zip(("run", "other"), checkpoints, strict=True):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        torch.save(checkpoint, tmp_path / name / "checkpoints" / "best.ckpt")
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
