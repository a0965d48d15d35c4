import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lic.entropy import tables
from lic.errors import UserError
from lic.store.checkpoint import first_readable
from lic.store.load import load_codec

from ..objectives import rd

MODEL: dict[str, Any] = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}


@pytest.fixture
def checkpoint(make_net: Any) -> dict[str, Any]:
    """The parts of a checkpoint that load_codec needs, without a training."""
    net = make_net(**MODEL)
    return {
        "state_dict": {f"net.{name}": value for name, value in net.state_dict().items()},
        "hyper_parameters": {"config": {"model": MODEL, "seed": 0}},
        "objective": rd(0.015).plain(),
        "entropy_tables": tables(net),
    }


def _save(content: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


class Malicious:
    """Unpickling it would make a folder called "executed"."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    "kind", ["text", "empty", "cut", "another project's", "a tensor", "a list", "code", "pickle", "packed"]
)
def test_other_files_are_refused_and_nothing_runs(
    kind: str, checkpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.ckpt"
    if kind == "cut":
        _save(checkpoint, file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif kind == "code":
        _save(checkpoint | {"callbacks": Malicious()}, file)
    elif kind == "packed":
        stored = zipfile.ZipFile(_save(checkpoint, tmp_path / "stored.ckpt"))
        with stored, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in stored.namelist():
                packed.writestr(name, stored.read(name))
    elif kind in ("text", "empty", "pickle"):
        file.write_bytes({"text": b"hello\n" * 100, "empty": b"", "pickle": pickle.dumps(Malicious())}[kind])
    else:
        content = {
            "another project's": {"state_dict": {}, "epoch": 3},
            "a tensor": torch.zeros(3),
            "a list": [],
        }
        _save(content[kind], file)
    with pytest.raises(UserError, match=r"model.ckpt is not a (readable )?checkpoint of lic"):
        load_codec(file)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "damage",
    [
        *("missing weight", "other width", "missing tables", "foreign tables", "no tables", "text as tables"),
        *("text as weight", "sparse weight", "weight elsewhere", "other type", "too large", "stretched"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_model_is_refused(
    damage: str, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    if damage == "missing weight":
        checkpoint["state_dict"].pop("net.g_a.0.weight")
    elif damage == "other width":
        checkpoint["hyper_parameters"]["config"]["model"] = MODEL | {"width": 10}
    elif damage == "missing tables":
        checkpoint["entropy_tables"].pop("gaussian_conditional._offset")
    elif damage == "foreign tables":
        checkpoint["entropy_tables"]["other._offset"] = torch.zeros(1)
    elif damage == "no tables":
        checkpoint.pop("entropy_tables")
    elif damage == "text as tables":
        checkpoint["entropy_tables"] = "tables"
    elif damage == "too large":
        checkpoint["hyper_parameters"]["config"]["model"] = MODEL | {"width": 10**9}
    elif damage == "stretched":
        checkpoint["hyper_parameters"]["config"]["model"] = MODEL | {"width": 20000}
        checkpoint["state_dict"] = {
            name: torch.zeros(1).expand(*(20000 if side == 8 else side for side in value.shape))
            for name, value in checkpoint["state_dict"].items()
        }
    else:
        weight = checkpoint["state_dict"]["net.g_a.0.weight"]
        checkpoint["state_dict"]["net.g_a.0.weight"] = {
            "text as weight": "text",
            "sparse weight": weight.to_sparse(),
            "weight elsewhere": weight.to("meta"),
            "other type": weight.double(),
        }[damage]
    file = _save(checkpoint, tmp_path / "model.ckpt")
    odd = damage in ("text as weight", "sparse weight", "weight elsewhere", "stretched")
    said = "something else than ordinary tensors" if odd else "not fit the model"
    with pytest.raises(UserError, match=rf"model.ckpt cannot be used\. .* {said}"):
        load_codec(file)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"name": "vgg"}, "Unknown model 'vgg'"),
        (MODEL | {"name": "os.system", "command": "mkdir executed"}, "Unknown model 'os.system'"),
        (MODEL | {"depth": 3}, "cannot be built with"),
        ({}, "does not describe its model"),
        ("hyperprior", "does not describe its model"),
        (MODEL | {"name": ["hyperprior"]}, "does not describe its model"),
        (MODEL | {"width": [8]}, "does not describe its model"),
        (MODEL | {"width": math.nan}, "does not describe its model"),
        (MODEL | {"\x1b[31m": 8}, "does not describe its model"),
    ],
)
def test_a_checkpoint_names_a_model_and_nothing_else(
    model: Any, sentence: str, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    checkpoint["hyper_parameters"]["config"]["model"] = model
    with pytest.raises(UserError, match=sentence):
        load_codec(_save(checkpoint, tmp_path / "model.ckpt"))


@pytest.mark.parametrize(
    "objective",
    [
        None,
        [],
        {"setting": 5},
        {"curve": "\x1b[2J"},
        {"values": {"lambda": [1]}},
        {"values": {1: 1}},
        {"x": ""},
    ],
)
def test_what_reports_would_say_is_checked(
    objective: Any, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    checkpoint["objective"] = objective
    with pytest.raises(UserError, match=r"model.ckpt cannot be used\. "):
        load_codec(_save(checkpoint, tmp_path / "model.ckpt"))


def test_references_that_multiply_are_not_followed(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    many: list[Any] = []
    for _ in range(100):
        many = [many, many]
    checkpoint["hyper_parameters"]["config"]["model"] = MODEL | {"width": many}
    with pytest.raises(UserError, match="does not describe its model"):
        load_codec(_save(checkpoint, tmp_path / "model.ckpt"))


def test_a_checkpoint_that_rotted_is_refused(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    """torch's own loader takes any bits for weights."""
    file = _save(checkpoint, tmp_path / "best.ckpt")
    data = bytearray(file.read_bytes())
    weight = checkpoint["state_dict"]["net.g_s.0.weight"]
    place = data.index(weight.permute(0, 2, 3, 1).contiguous().numpy().tobytes())  # channels-last
    data[place + 1] ^= 1
    file.write_bytes(data)
    assert "state_dict" in torch.load(file, weights_only=True)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_codec(file)


def test_weights_that_are_not_numbers_are_refused(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    checkpoint["state_dict"]["net.g_a.0.weight"][0, 0, 0, 0] = torch.inf
    with pytest.raises(UserError, match="not finite"):
        load_codec(_save(checkpoint, tmp_path / "model.ckpt"))


def test_what_cannot_be_read_is_passed_over_with_a_line(
    checkpoint: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = _save(checkpoint, tmp_path / "best.ckpt")
    half = tmp_path / "last.ckpt"
    half.write_bytes(best.read_bytes()[: best.stat().st_size // 2])
    file, content = first_readable([half, best])
    assert file == best and content["state_dict"].keys() == checkpoint["state_dict"].keys()
    assert "last.ckpt is not a readable checkpoint" in caplog.text
    with pytest.raises(UserError, match=r"last.ckpt is not a readable checkpoint"):
        first_readable([half])


def test_loading_leaves_the_random_state_alone(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    """Evaluation in the middle of a sweep must not move what the next job draws."""
    file = _save(checkpoint, tmp_path / "model.ckpt")
    image = np.zeros((20, 20, 3), np.uint8)
    state = torch.get_rng_state()
    codec = load_codec(file)
    codec.decode(codec.encode(image).data)
    assert torch.equal(torch.get_rng_state(), state)
