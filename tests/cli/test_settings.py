"""A model with several settings on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lic.codecs.compact import METHODS
from lic.data import write_png
from lic.models import MODELS, build_model
from lic.store.load import load_codec

from ..outside import image, save_half
from ..saved import save_run
from ..stranger.stranger import Half
from .conftest import Lic, Refused


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "half", Half)


def test_the_command_line_takes_a_setting(lic: Lic, refused: Refused, tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", image(60, 90))
    save_half(tmp_path / "run")
    sizes = {}
    for setting in ("jpeg-30", "jpeg-60", "jpeg-90"):
        arguments = ("photo.png", f"{setting}.lic", "-m", "run", "--setting", setting)
        assert lic("compress", *arguments)[0] == 0
        sizes[setting] = (tmp_path / f"{setting}.lic").stat().st_size
        assert lic("decompress", f"{setting}.lic", f"{setting}.png", "-m", "run")[0] == 0
        assert Image.open(tmp_path / f"{setting}.png").size == (90, 60)
    assert sizes["jpeg-30"] < sizes["jpeg-60"] < sizes["jpeg-90"]
    lic("compress", "photo.png", "plain.lic", "-m", "run")
    assert (tmp_path / "plain.lic").read_bytes() == (tmp_path / "jpeg-60.lic").read_bytes(), "its own setting"
    said = refused("compress", "photo.png", "x.lic", "-m", "run", "--setting", "jpeg-50")
    assert said == "Error: run has no setting 'jpeg-50'; give one of jpeg-30, jpeg-60, jpeg-90.\n"
    target = str(8 * sizes["jpeg-60"] / 5400 + 0.001)
    _, out, _ = lic("compress", "photo.png", "x.lic", "-m", "run", "--target-bpp", target, "--json")
    assert json.loads(out)[0]["model"] == "run jpeg-60", "settings are candidates for a target"


def test_the_inside_at_a_setting(lic: Lic, refused: Refused, tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", image(60, 90))
    save_half(tmp_path / "run")
    rates = {}
    for options in (["--setting", "jpeg-30"], ["--setting", "jpeg-60"], []):
        lic("compress", "photo.png", "photo.lic", "-m", "run", "--force", *options)
        bpp = 8 * (tmp_path / "photo.lic").stat().st_size / 5400
        code, out, err = lic("inspect", "run", "photo.png", "--force", *options)
        assert code == 0 and f"dB PSNR, {bpp:.4f} bpp so far" in out, err
        rates[" ".join(options)] = bpp
    assert rates["--setting jpeg-30"] < rates["--setting jpeg-60"] == rates[""], "without one, its own"
    said = refused("inspect", "run", "photo.png", "-o", "x.png", "--setting", "jpeg-50")
    assert said == "Error: run has no setting 'jpeg-50'; give one of jpeg-30, jpeg-60, jpeg-90.\n"


def test_rate_control_chooses_among_settings(lic: Lic, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(tmp_path / "photos" / f"{name}.png", image(60, 90))
    save_half(tmp_path / "run")
    arguments = (
        "rate-control",
        "run",
        "photos",
        "--metric",
        "psnr",
        "-o",
        "out",
        "--target-bpp",
        "9",
        "--json",
    )
    code, out, err = lic(*arguments)
    assert code == 0, err
    names = [model["model"] for model in json.loads(out)["models"]]
    assert names == ["run jpeg-30", "run jpeg-60", "run jpeg-90"]
    assert load_codec(tmp_path / "run").decode((tmp_path / "out" / "a.lic").read_bytes()).shape == (60, 90, 3)


@pytest.mark.parametrize("setting", ["huffman-left", "png", "jpeg-90"])
def test_a_compact_image_in_a_coder_of_ones_choice(
    lic: Lic, refused: Refused, tmp_path: Path, setting: str
) -> None:
    """Gray all the way: photo, network, what is inside the file, and what comes back."""
    write_png(tmp_path / "photo.png", image(40, 61, 1))
    options: dict[str, Any] = {"name": "icm_irm", "width": 4, "channels": 1}
    save_run(tmp_path / "run", build_model(**options), options)
    assert lic("compress", "photo.png", "photo.lic", "-m", "run", "--setting", setting)[0] == 0
    code, out, _ = lic("info", "photo.lic", "--json")
    method = METHODS[json.loads(out)[0]["method"]]
    assert code == 0 and setting.startswith(method)
    assert lic("decompress", "photo.lic", "back.png", "-m", "run")[0] == 0, "the file says what is inside"
    back = Image.open(tmp_path / "back.png")
    assert (back.mode, back.size) == ("L", (61, 40))
    assert lic("inspect", "run", "photo.png", "-o", "inside.png", "--setting", setting)[0] == 0
    said = refused("compress", "photo.png", "x.lic", "-m", "run", "--setting", "zip")
    assert "run has no setting 'zip'; give one of huffman, huffman-runs" in said and "jpeg-90" in said
