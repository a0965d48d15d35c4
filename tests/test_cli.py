"""The `lic` command, in this process: what it writes, what it refuses and how."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lic import cli
from lic.data import read_image, write_png
from lic.entropy import tables
from lic.models import CompressionModel

Lic = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Lic:
    """Run `lic` with arguments: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lic", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def save(net: CompressionModel, path: Path, **model: object) -> Path:
    config = {"model": {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8, **model}}
    path.parent.mkdir(parents=True)
    torch.save(
        {
            "state_dict": {f"net.{k}": v for k, v in net.state_dict().items()},
            "hyper_parameters": {"config": config | {"lambda": 5, "distortion": "ms_ssim"}},
            "entropy_tables": tables(net),
        },
        path,
    )
    return path.parents[1]


@pytest.fixture
def run_folder(make_net: Callable[..., CompressionModel], tmp_path: Path) -> Path:
    return save(
        make_net(name="hyperprior", kernel_size=3, aux_kernel_size=3),
        tmp_path / "run" / "checkpoints" / "best.ckpt",
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = np.add.outer(np.arange(50), np.arange(70))[..., None] * np.ones(3)
    write_png(tmp_path / "photo.png", image.astype(np.uint8))
    return tmp_path / "photo.png"


def test_there_and_back(lic: Lic, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    code, out, _ = lic("compress", "photo.png", "photo.lic", "--model", "run")
    size = (tmp_path / "photo.lic").stat().st_size
    assert code == 0 and f"{size:,} bytes" in out and "70x50" in out

    code, out, _ = lic("info", "photo.lic")
    assert code == 0 and "70x50" in out and "fingerprint" in out

    assert lic("decompress", "photo.lic", "back.png", "--model", "run/checkpoints/best.ckpt")[0] == 0
    assert read_image(tmp_path / "back.png").shape == (50, 70, 3)


def test_an_existing_file_is_kept(lic: Lic, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.lic").write_text("precious")
    code, _, err = lic("compress", "photo.png", "photo.lic", "--model", "run")
    assert code == 2 and "--force" in err and (tmp_path / "photo.lic").read_text() == "precious"
    assert lic("compress", "photo.png", "photo.lic", "--model", "run", "--force")[0] == 0


def test_damaged_streams_write_nothing(lic: Lic, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    lic("compress", "photo.png", "photo.lic", "--model", "run")
    data = (tmp_path / "photo.lic").read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    for name, bad in {"cut": data[: len(data) // 2], "flipped": bytes(flipped), "text": b"hello"}.items():
        (tmp_path / name).write_bytes(bad)
        code, _, err = lic("decompress", name, "back.png", "--model", "run")
        assert code == 2 and err.startswith("Error: ") and err.count("\n") == 1, err
    assert not (tmp_path / "back.png").exists()


def test_another_model_is_refused(
    lic: Lic, make_net: Callable[..., CompressionModel], run_folder: Path, photo: Path, tmp_path: Path
) -> None:
    save(
        make_net(seed=1, name="hyperprior", kernel_size=3, aux_kernel_size=3),
        tmp_path / "other" / "checkpoints" / "best.ckpt",
    )
    lic("compress", "photo.png", "photo.lic", "--model", "run")
    code, _, err = lic("decompress", "photo.lic", "back.png", "--model", "other")
    assert code == 2 and "another model" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compress", "photo.png", "x.lic", "--model", "nowhere"], "nowhere does not exist"),
        (["compress", "absent.png", "x.lic", "--model", "run"], "absent.png does not exist"),
        (["compress", "text.png", "x.lic", "--model", "run"], "text.png"),
        (["compress", "photo.png", "x.lic", "--model", "photo.png"], "not a readable checkpoint"),
        (["decompress", "absent.lic", "x.png", "--model", "run"], "absent.lic"),
        (["decompress", "text.png", "x.jpg", "--model", "run"], ".png"),
        (["info", "text.png"], "not a lic stream"),
        (["report", "nowhere"], "nowhere"),
        (["complexity", "model=nonsense"], "nonsense"),
        (["complexity", "model=hyperprior", "upsample=tconv"], "takes no upsample="),
        (["complexity", "model.width=7"], "even number"),
    ],
)
def test_bad_input_is_one_line(
    lic: Lic, run_folder: Path, photo: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "text.png").write_text("not pixels")
    code, _, err = lic(*arguments)
    assert code == 2
    assert err.startswith("Error: ") and err.count("\n") == 1 and words in err, err
    assert not any(tmp_path.glob("x.*"))


def test_complexity_names_the_model(lic: Lic) -> None:
    code, out, _ = lic("complexity", "model=baseline", "model.kernel_size=3")
    assert code == 0 and "997,379" in out and "4.25e9" in out
