"""`lic info`, `inspect`, `complexity` and `report`, and how the command itself behaves."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lic as library
from lic.cli import EXAMPLES, app, batch
from lic.codecs.classical import PillowCodec
from lic.data import read_image
from lic.models import build_model

from ..saved import save_run
from .conftest import Lic, Refused


@pytest.mark.usefixtures("models", "photo")
def test_info_of_a_stream(lic: Lic, tmp_path: Path) -> None:
    lic("compress", "photo.png", "photo.lic", "-m", "run")
    data = (tmp_path / "photo.lic").read_bytes()
    fingerprint = library.load(tmp_path / "run").fingerprint.hex()
    code, out, _ = lic("info", "photo.lic")
    assert code == 0 and fingerprint in out and "width" in out and "70" in out
    code, out, _ = lic("info", "photo.lic", "--json")
    (said,) = json.loads(out)
    assert (said["width"], said["height"], said["bytes"]) == (70, 50, len(data))
    assert said["fingerprint"] == fingerprint and said["error"] is None
    assert said["bpp"] == pytest.approx(8 * len(data) / 3500, abs=1e-4) and said["overhead"] < 24


@pytest.mark.usefixtures("models", "photo")
def test_info_of_many_goes_on_after_bad_ones(lic: Lic, tmp_path: Path) -> None:
    lic("compress", "photo.png", "photo.lic", "-m", "run")
    (tmp_path / "text.lic").write_text("hello")
    code, out, err = lic("info", "text.lic", "absent.lic", "photo.lic")
    assert code == batch.SOME_FAILED and out.startswith("photo.lic:")
    assert "text.lic is not a readable" in err and "absent.lic does not exist" in err
    assert err.endswith("2 of 3 files failed.\n")


@pytest.mark.usefixtures("models")
def test_info_of_a_model(lic: Lic, tmp_path: Path) -> None:
    fingerprint = library.load(tmp_path / "run").fingerprint.hex()
    (tmp_path / "renamed.lic").write_bytes((tmp_path / "run/checkpoints/best.ckpt").read_bytes())
    for name in ("run", "run/checkpoints/best.ckpt", "renamed.lic"):
        code, out, _ = lic("info", name)
        assert code == 0 and "hyperprior" in out and fingerprint in out


@pytest.mark.usefixtures("models", "photo")
def test_an_exported_model_is_a_model(lic: Lic, tmp_path: Path) -> None:
    assert lic("export", "run", "-o", "model.lic-model")[:2] == (0, "model.lic-model\n")
    assert "hyperprior" in lic("info", "model.lic-model")[1]
    lic("compress", "photo.png", "a.lic", "-m", "run")
    lic("compress", "photo.png", "b.lic", "-m", "model.lic-model")
    assert (tmp_path / "a.lic").read_bytes() == (tmp_path / "b.lic").read_bytes()
    assert "--force" in lic("export", "run", "-o", "model.lic-model")[2]
    assert lic("export", "run", "-o", "model.lic-model", "--force")[0] == 0


@pytest.fixture
def residual(tmp_path: Path) -> str:
    """The folder of a run of a codec of binary latents with two stages."""
    options: dict[str, Any] = {"name": "residual_gn", "width": 8, "bottleneck": 16}
    save_run(tmp_path / "residual", build_model(**options).eval(), options)
    return "residual"


@pytest.mark.usefixtures("photo")
def test_the_inside_of_a_codec_of_stages(lic: Lic, tmp_path: Path, residual: str) -> None:
    code, out, _ = lic("inspect", residual, "photo.png")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "photo-inside.png:" and "groups of bits kept" in lines[1]
    lic("compress", "photo.png", "photo.lic", "-m", residual)
    bpp = 8 * (tmp_path / "photo.lic").stat().st_size / 3500
    assert lines[2].startswith("  x_hat_0: ") and lines[3].endswith(f"dB PSNR, {bpp:.4f} bpp so far")
    page, photo = read_image(tmp_path / "photo-inside.png"), read_image(tmp_path / "photo.png")
    assert np.array_equal(page[12:212:4, 12:292:4], photo)  # enlarged four times
    assert page.shape[1] == 3 * (384 + 12) + 12
    assert "--force" in lic("inspect", residual, "photo.png")[2]
    assert lic("inspect", residual, "photo.png", "-f")[0] == 0


@pytest.mark.usefixtures("models", "photo")
def test_the_inside_of_a_codec_with_likelihoods(lic: Lic, tmp_path: Path) -> None:
    code, out, _ = lic("inspect", "run", "photo.png", "-o", "maps.png")
    assert code == 0 and "bits of y: " in out and "bits of z: " in out and "x_hat" not in out
    assert read_image(tmp_path / "maps.png").shape[1] == 3 * (4 * 70 + 12) + 12


@pytest.mark.usefixtures("photo")
def test_the_values_of_a_compact_image(lic: Lic, tmp_path: Path) -> None:
    options: dict[str, Any] = {"name": "icm_irm", "width": 4}
    save_run(tmp_path / "compact", build_model(**options).eval(), options)
    code, out, _ = lic("inspect", "compact", "photo.png")
    found = re.search(r"8-bit values: (\d+) .* among 2,625, entropy (.*) bits each, (.*) bpp", out)
    assert code == 0 and found and 1 < int(found[1]) <= 256
    assert float(found[3]) == pytest.approx(float(found[2]) * 2625 / 3500, abs=1e-4)


@pytest.mark.usefixtures("models", "photo")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "absent.png"], "absent.png does not exist"),
        (["run", "run"], "run cannot be read as an image"),
        (["absent", "photo.png"], "absent does not exist"),
        (["photo.png", "photo.png"], "photo.png is not a readable checkpoint"),
        (["run", "photo.png", "-o", "x.jpg"], "x.jpg does not end in .png"),
        (["run", "photo.png", "--max-pixels", "3000"], "The image has 70x50 pixels"),
        (["run", "photo.png", "--tile", "2"], "A tile must have at least 16 pixels"),
        (["jpeg", "photo.png"], "jpeg does not exist"),
        (["run", "photo.png", "--setting", "low"], "run has no setting 'low'; leave the setting out."),
    ],
)
def test_what_cannot_be_inspected(refused: Refused, arguments: list[str], words: str) -> None:
    assert words in refused("inspect", *arguments)


@pytest.mark.usefixtures("photo")
def test_an_image_that_cannot_be_coded(refused: Refused, tmp_path: Path) -> None:
    options: dict[str, Any] = {"name": "residual_gn", "width": 8, "bottleneck": 16}
    net = build_model(**options)
    torch.nn.init.constant_(net.get_parameter("main.g_a.0.body.0.weight"), 3e38)
    save_run(tmp_path / "diverged", net.eval(), options)
    for tile in ("48", "640"):
        assert "its training diverged" in refused("inspect", "diverged", "photo.png", "--tile", tile)


@pytest.mark.usefixtures("models", "photo")
def test_a_codec_that_shows_nothing(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lic.store.load.codec_of", lambda *_, **__: PillowCodec("jpeg", 50))
    said = refused("inspect", "run", "photo.png")
    assert said == "Error: JPEG 4:2:0 shows nothing of its inside; inspect a model of another family.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "text.png"], "text.png is not a readable checkpoint"),
        (["info", "cut.png"], "cut.png: The stream ends too early"),
        (["info", "absent"], "absent does not exist"),
        (["info", "."], "checkpoints"),
        (["export", "nowhere", "-o", "x.lic-model"], "nowhere does not exist"),
        (["export", ".", "-o", "x.zip"], "does not end in .lic-model"),
        (["report", "nowhere"], "nowhere"),
        (["report", ".", "-o", "test.json"], "does not end in .html"),
        (["report", ".", "-o", "test.json", "--force"], "does not end in .html"),
        (["complexity", "model=nonsense"], "nonsense"),
        (["complexity", "model=hyperprior", "upsample=tconv"], "takes no upsample="),
        (["complexity", "model.width=7"], "even number"),
        (["complexity", "--config-dir", "nowhere"], "nowhere is no folder"),
    ],
)
def test_bad_input_is_one_line(refused: Refused, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "text.png").write_text("not pixels")
    (tmp_path / "cut.png").write_text("lic")
    assert words in refused(*arguments)


def test_complexity_names_the_model(lic: Lic) -> None:
    code, out, _ = lic("complexity", "model=baseline", "model.kernel_size=3")
    assert code == 0 and "997,379" in out and "4.25e9" in out


def test_complexity_stands_beside_the_models_own_paper(lic: Lic) -> None:
    code, out, _ = lic("complexity", "model=slowdic")
    assert code == 0 and "Layers of slowdic" in out and "context" in out
    assert "87,080" in out and "0.85 images/s" in out and "(Table" not in out


def test_every_help_shows_an_example(lic: Lic) -> None:
    names = [command.name or command.callback.__name__.replace("_", "-") for command in commands()]
    code, out, _ = lic("--help")
    assert code == 0 and "Example: lic compress" in out and all(f"\n  {name}" in out for name in names)
    for name in names:
        code, out, _ = lic(name, "--help")
        assert code == 0 and f"\n  lic {name} " in out, out
        assert "\x08" not in out


def commands() -> list[Any]:
    assert len(app.registered_commands) == len(EXAMPLES) + 2  # train and eval, whose help is Hydra's
    return app.registered_commands


@pytest.mark.parametrize("arguments", [["nonsense"], ["compress"], ["compress", "a.png", "-m"], ["info"]])
def test_wrong_usage_is_refused(lic: Lic, arguments: list[str]) -> None:
    code, out, err = lic(*arguments)
    assert code == 2 and not out and "Error: " in err


def test_names_and_letters_that_the_terminal_lacks(
    lic: Lic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = b"\xff\xce\xbb.lic".decode(errors="surrogateescape")
    golden = Path(__file__).parents[1] / "golden" / "exact.lic"
    (tmp_path / name).write_bytes(golden.read_bytes())
    code, out, err = lic("info", name)
    assert code == 0
    assert "\\udcff" in out + err


def test_the_shell_completes(run_python: Any) -> None:
    ask = {"_LIC_COMPLETE": "complete_bash", "COMP_WORDS": "lic de", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['lic']\nfrom lic.cli import main\ntry:\n    main()\nfinally:\n"
    done = run_python("-c", code + "    assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)", **ask)
    assert done.stdout.split() == ["decompress"] and not done.stderr


def test_the_command_is_a_module(run_python: Any) -> None:
    done = run_python("-m", "lic.cli", "--version")
    assert (done.returncode, done.stdout) == (0, f"lic {library.__version__}\n"), done.stderr
