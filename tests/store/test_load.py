"""Every way to name a model gives the same codec."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lic
from lic.codecs.learned import LearnedCodec
from lic.data import DeadLeaves
from lic.errors import UserError
from lic.store.load import load_codec
from lic.store.model_file import export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("load")


@pytest.fixture
def run(make_codec: Any, fit: Any, folder: Path) -> Path:
    """A run folder as training leaves it, and ``exported.lic-model`` beside it."""
    run = folder / "run"
    if not run.exists():
        fit(make_codec(), run, max_steps=2)
        export(run, folder / "exported.lic-model")
    return run


CODE = """
import sys, lic, numpy
model, stream, image = sys.argv[1:]
codec = lic.load(model)
data = open(stream, "rb").read()
pixels = codec.decode(data)
assert codec.encode(numpy.load(image)).data == data, "other bytes"
numpy.save("decoded.npy", pixels)
"""


def test_a_run_its_checkpoint_and_its_model_file_are_one_codec(
    run: Path, run_python: Any, tmp_path: Path
) -> None:
    image = DeadLeaves(1, 100)[0][:77]
    names = [run, run / "checkpoints" / "best.ckpt", run.parent / "exported.lic-model"]
    codecs = [load_codec(name) for name in names]
    data = [codec.encode(image).data for codec in codecs]
    assert data[0] == data[1] == data[2]
    assert len({codec.fingerprint for codec in codecs}) == 1
    assert len({codec.info for codec in codecs}) == 1
    expected = codecs[0].decode(data[0])
    for codec in codecs:
        assert np.array_equal(codec.decode(data[0]), expected)

    (tmp_path / "photo.lic").write_bytes(data[0])
    np.save(tmp_path / "photo.npy", image)
    done = run_python("-c", CODE, names[2], "photo.lic", "photo.npy")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "decoded.npy"), expected)


def test_the_content_tells_what_a_file_is(run: Path, tmp_path: Path) -> None:
    shutil.copy(run.parent / "exported.lic-model", tmp_path / "renamed.bin")
    shutil.copy(run / "checkpoints" / "best.ckpt", tmp_path / "renamed.model")
    assert (
        load_codec(tmp_path / "renamed.bin").fingerprint == load_codec(tmp_path / "renamed.model").fingerprint
    )


def test_a_checkpoint_named_like_a_model_file_is_a_checkpoint(run: Path, tmp_path: Path) -> None:
    named = tmp_path / "named.lic-model"
    named.write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    assert load_codec(named).fingerprint == load_codec(run).fingerprint


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_elsewhere_is_not_passed_over(run: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    link = copy / "checkpoints" / f"{name}.ckpt"
    for target in (run / "checkpoints" / "best.ckpt", tmp_path / "gone"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(UserError, match=rf"{name}.ckpt is a link out of its run"):
            load_codec(copy)


def test_a_tile_and_a_limit_reach_the_codec(run: Path) -> None:
    codec = load_codec(run, tile=256, max_pixels=100)
    assert isinstance(codec, LearnedCodec) and (codec.tile, codec.max_pixels) == (256, 100)
    data = load_codec(run).encode(DeadLeaves(1, 64)[0]).data
    with pytest.raises(UserError, match="64x64"):
        codec.decode(data)


def test_what_is_not_there_or_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        lic.load(tmp_path / "nowhere")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a model")
    with pytest.raises(UserError, match=r"photo.jpg is not a readable checkpoint"):
        lic.load(tmp_path / "photo.jpg")
    (tmp_path / "photo.lic-model").write_bytes(b"\xff\xd8\xff\xe0 not a model")
    with pytest.raises(UserError, match=r"photo.lic-model cannot be used\. It is not a model file"):
        lic.load(tmp_path / "photo.lic-model")
