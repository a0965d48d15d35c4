"""Checkpoints as trainings leave them, and how they are found."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lic.codecs.learned import LearnedCodec
from lic.data import DeadLeaves, write_png
from lic.errors import UserError
from lic.store.checkpoint import find_model, read_checkpoint
from lic.store.load import load_codec

MODEL: dict[str, Any] = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}


@pytest.fixture
def run(make_codec: Any, fit: Any, tmp_path: Path) -> Path:
    """A run folder as training leaves it."""
    fit(make_codec(**MODEL), tmp_path / "run", max_steps=2)
    return tmp_path / "run"


CODE = """
import sys, lic
from lic.data import read_image, write_png

run, photo, stream, decoded = sys.argv[1:]
codec = lic.load(run)
data = codec.encode(read_image(photo)).data
assert data == open(stream, "rb").read(), "other bytes"
write_png(decoded, codec.decode(data))
print(codec.fingerprint.hex())
"""


def test_a_new_process_writes_the_same_bytes(run: Path, run_python: Any, tmp_path: Path) -> None:
    image = DeadLeaves(1, 100)[0][:77]
    codec = load_codec(run)
    encoded = codec.encode(image)
    write_png(tmp_path / "photo.png", image)
    (tmp_path / "photo.lic").write_bytes(encoded.data)
    done = run_python("-c", CODE, run, "photo.png", "photo.lic", "decoded.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == codec.fingerprint.hex()
    write_png(tmp_path / "expected.png", encoded.reconstruct())
    assert (tmp_path / "decoded.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_the_codec_is_the_trained_network(run: Path) -> None:
    codec = load_codec(run)
    assert isinstance(codec, LearnedCodec)
    saved = read_checkpoint(run / "checkpoints" / "best.ckpt")
    for name, value in codec.net.state_dict().items():
        assert torch.equal(value, saved["state_dict"][f"net.{name}"]), name
    info = codec.info
    assert (info.model, info.objective) == ("hyperprior", {"lambda": 0.015, "distortion": "mse"})
    assert info.curve == "hyperprior · width 8 · kernel_size 3 · aux_kernel_size 3 (mse)"
    assert info.setting == "λ = 0.015"
    assert info.parameters == sum(p.numel() for p in codec.net.parameters())
    assert not codec.net.training


def test_checkpoints_hold_plain_containers(run: Path) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                assert isinstance(key, str | int)
                check(item)
        elif isinstance(value, list | tuple):
            for item in value:
                check(item)
        else:
            assert value is None or isinstance(value, str | int | float | bool | Tensor), type(value)

    for name in ("best", "last"):
        check(torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True))


def test_best_comes_before_last_and_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("last", "best"):
        (folder / f"{name}.ckpt").touch()
        assert find_model(tmp_path / "run").name == f"{name}.ckpt"
    assert find_model(folder / "last.ckpt") == folder / "last.ckpt"


def test_a_received_run_is_not_left_through_its_links(tmp_path: Path) -> None:
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    (tmp_path / "mine" / "checkpoints" / "best.ckpt").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "mine" / "checkpoints")
    with pytest.raises(UserError, match=r"best\.ckpt is a link out of its run"):
        find_model(tmp_path / "run")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; give the folder of a run"):
        find_model(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no checkpoints/best.ckpt; give the folder of a run"):
        find_model(tmp_path)
    for job in ("b", "a"):
        (tmp_path / job / "checkpoints").mkdir(parents=True)
        (tmp_path / job / "checkpoints" / "best.ckpt").touch()
    with pytest.raises(UserError, match=r"give one of its runs: a, b"):
        find_model(tmp_path)
