"""eval.py as people call it."""

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lic import eval as evaluation
from lic.data import read_image, write_png
from lic.models import build_model

from .saved import save_run


@pytest.fixture
def runs(make_net: Any, tmp_path: Path) -> list[str]:
    """Folders of two runs below ``tmp_path``."""
    model = {"name": "baseline", "kernel_size": 3, "width": 8}
    for i, name in enumerate(("low", "high")):
        net = make_net(seed=i, **model)
        with torch.no_grad():
            net.g_a[-1].weight.mul_(0.3 + i)
        save_run(tmp_path / name, net, model, 5 + 5 * i)
    return ["low", "high"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(3):
        image = rng.integers(0, 80 * (i + 1), (64 + 16 * i, 80, 3))
        write_png(tmp_path / "photos" / f"{i}.png", image.astype(np.uint8))
    return tmp_path / "photos"


def test_models_and_their_mixture(
    run_python: Any, repository: Path, runs: list[str], photos: Path, tmp_path: Path
) -> None:
    common = ("data=folder", f"data.root={photos}", "classical=[]", "metric=psnr", "hydra.run.dir=run")
    done = run_python(repository / "eval.py", "ckpt=low,high", "target_bpp=1000", *common)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "rd.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert [(rows[run]["setting"], rows[run]["lambda"]) for run in ("model-1", "model-2", ".")] == [
        ("λ = 5", "5.0"), ("λ = 10", "10.0"), ("to 1000 bpp", ""),
    ]  # fmt: skip
    mixture = rows["."]
    assert (
        mixture["curve"]
        == "rate control by PSNR: baseline · kernel_size 3 · width 8 (ms_ssim), λ = 5 | λ = 10"
    )
    assert float(mixture["psnr"]) >= max(float(rows[run]["psnr"]) for run in ("model-1", "model-2"))
    assert "rate control by PSNR" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert len(list((tmp_path / "run" / "streams").iterdir())) == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("data._target_=builtins.dict", "data must be an ImageData (see conf/data/), not a dict"),
        ("data=folder data.test={_target_:builtins.set}", "data.test is a set, which lacks"),
    ],
)
def test_what_is_no_image_set_is_refused(
    data: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["eval.py", "codec=jpeg", f"hydra.run.dir={tmp_path}", *data.split()])
    with pytest.raises(SystemExit) as stop:
        evaluation.run()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and "Traceback" not in error


@pytest.mark.slow
@pytest.mark.parametrize("models", ["gray", "low,gray"])
def test_a_gray_model_names_the_image_in_colour_before_the_work(
    models: str,
    runs: list[str],
    make_net: Any,
    run_python: Any,
    repository: Path,
    photos: Path,
    tmp_path: Path,
) -> None:
    model = {"name": "baseline", "kernel_size": 3, "width": 8, "channels": 1}
    save_run(tmp_path / "gray", make_net(**model), model, 20)
    write_png(photos / "0.png", np.zeros((64, 80, 1), np.uint8))
    command = (repository / "eval.py", f"ckpt={models}", "data=folder", f"data.root={photos}", "classical=[]")
    done = run_python(*command, "hydra.run.dir=run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "1 is stored in colour and baseline" in done.stderr and "data.channels=1" in done.stderr
    assert not list((tmp_path / "run").rglob("*.lic")) and not list((tmp_path / "run").rglob("*.png"))
    done = run_python(*command, "hydra.run.dir=run", "data.channels=1")
    assert done.returncode == 0, done.stderr


def test_classical_codecs_at_some_settings(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("codec=webp", "data=folder", f"data.root={photos}", "hydra.run.dir=run")
    monkeypatch.setattr(sys, "argv", ["eval.py", *options, "setting=webp-80,webp-50"])
    evaluation.run()
    with (tmp_path / "run" / "rd.csv").open() as file:
        assert {row["run"] for row in csv.DictReader(file)} == {"webp-80", "webp-50"}
    monkeypatch.setattr(sys, "argv", ["eval.py", *options, "setting=nonsense", "hydra.run.dir=other"])
    with pytest.raises(SystemExit):
        evaluation.run()
    assert "webp has no setting 'nonsense'; give one of webp-" in capsys.readouterr().err
    assert not list((tmp_path / "other").rglob("test.json"))


def test_classical_codecs_at_all_their_settings(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (photos / "0.png").unlink()
    write_png(photos / "1.png", read_image(photos / "1.png")[..., :1])
    monkeypatch.chdir(tmp_path)
    names = ("jpeg", "jpeg_444", "jpeg2000", "webp", "avif", "png", "bmp")
    options = (f"codec={','.join(names)}", "data=folder", f"data.root={photos}", "hydra.run.dir=run")
    monkeypatch.setattr(sys, "argv", ["eval.py", *options])
    evaluation.run()
    with (tmp_path / "run" / "rd.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["model"] for row in rows) == {
        name: 1 if name in ("png", "bmp") else 12 for name in names
    }
    libraries = {(row["model"], row["library"].rsplit(" ")[0]) for row in rows}
    assert libraries >= {
        ("jpeg2000", "OpenJPEG"),
        ("webp", "libwebp"),
        ("avif", "libavif"),
        ("bmp", "Pillow"),
    }
    for row in rows:
        folder = tmp_path / "run" / row["run"]
        result = json.loads((folder / "test.json").read_text())
        assert result["codec"]["options"]["library"] == row["library"]
        files = sorted((folder / "streams").iterdir())
        assert [one["bytes"] for one in result["rows"]] == [file.stat().st_size for file in files]
        assert [read_image(file).shape[2] for file in files] == [3 if row["model"] == "webp" else 1, 3]
        kept = [read_image(folder / "reconstructions" / f"{i}.png") for i in (1, 2)]
        assert [image.shape for image in kept] == [(80, 80, 1), (96, 80, 3)]
        assert (row["psnr"] == "inf") == (row["setting"] == "lossless")
    report = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert all(label in report for label in ("JPEG 4:2:0", "JPEG 4:4:4", "JPEG 2000", "AVIF", "lossless"))


@pytest.mark.usefixtures("runs")
def test_a_target_needs_a_choice(run_python: Any, repository: Path) -> None:
    done = run_python(repository / "eval.py", "ckpt=low", "target_bpp=0.15", "hydra.run.dir=run")
    assert done.returncode == 2 and "give several, as in ckpt=A,B" in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_another_up_sampler_leaves_its_model_for_the_streams(
    run_python: Any, repository: Path, photos: Path, tmp_path: Path
) -> None:
    models: dict[str, dict[str, Any]] = {
        "compact": {"name": "icm_irm", "width": 4},
        "generator": {"name": "srgan", "width": 4, "blocks": 1},
    }
    for name, options in models.items():
        save_run(tmp_path / name, build_model(**options), options)
    write_png(photos / "0.png", read_image(photos / "0.png")[..., :1])
    common = ("data=folder", f"data.root={photos}", "classical=[]", "setting=huffman", "hydra.run.dir=run")
    program = (repository / "eval.py", "ckpt=compact")
    done = run_python(*program, "upsample=srgan", "upsample.weights=generator", *common)
    assert done.returncode == 0, done.stderr
    assert "run/model.lic-model is the model of its streams" in done.stdout + done.stderr
    with (tmp_path / "run" / "rd.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["upsample"] == "srgan" and "srgan · generator_width 4" in row["curve"]
    stream = tmp_path / "run" / "huffman" / "streams" / "0.lic"
    decode = (
        "-m",
        "lic.cli",
        "decompress",
        stream,
        "back.png",
        "--model",
        tmp_path / "run" / "model.lic-model",
    )
    decoded = run_python(*decode)
    assert decoded.returncode == 0, decoded.stderr
    kept = read_image(tmp_path / "run" / "huffman" / "reconstructions" / "0.png")
    assert kept.shape[2] == 1 and np.array_equal(read_image(tmp_path / "back.png"), kept)
    for given, words in {
        "upsample=bicubic upsample.weights=generator": "The chosen upsample has no option 'weights'",
        "upsample.weights=generator": "The chosen upsample has no option 'weights'",
        "upsample=srgan": "needs a trained generator",
    }.items():
        refused = run_python(*program, *given.split(), *common[:-1], "hydra.run.dir=no")
        assert refused.returncode == 2 and words in refused.stderr and refused.stderr.count("\n") == 1
        assert not list((tmp_path / "no").glob("*.lic-model"))


@pytest.mark.gpu
def test_a_checkpoint_from_the_gpu_is_coded_without_one(
    run_python: Any, repository: Path, photos: Path, tmp_path: Path
) -> None:
    """A process that sees no GPU writes the same files as the one that trained."""
    common = ("data=folder", f"data.root={photos}", "classical=[]")
    model = ("model=hyperprior", "model.width=8", "model.kernel_size=3", "distortion=mse", "lambda=0.01")
    steps = ("trainer.max_steps=4", "trainer.val_check_interval=2", "data.patch_size=64", "data.batch_size=2")
    trained = run_python(
        repository / "train.py", "trainer=gpu", "logger=csv", "hydra.run.dir=run", *model, *steps, *common
    )
    assert trained.returncode == 0, trained.stderr
    evaluated = run_python(
        repository / "eval.py", "ckpt=run", "hydra.run.dir=again", *common, CUDA_VISIBLE_DEVICES=""
    )
    assert evaluated.returncode == 0, evaluated.stderr
    files = list((tmp_path / "run" / "streams").iterdir())  # of the test split; eval.py measures all
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "again" / "streams" / file.name).read_bytes()


def test_some_settings_of_a_model(
    run_python: Any, repository: Path, runs: list[str], photos: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"name": "icm_irm", "width": 4, "stride": 4}
    save_run(tmp_path / "compact", build_model(**options), options)
    common = ("data=folder", f"data.root={photos}", "classical=[]", "hydra.run.dir=run")
    done = run_python(repository / "eval.py", "ckpt=compact", "setting=png,jpeg-90", *common)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "rd.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert {run: (row["inner"], row["quality"]) for run, row in rows.items()} == {
        "png": ("png", ""), "jpeg-90": ("jpeg", "90"),
    }  # fmt: skip
    assert all(row["library"] for row in rows.values())
    done = run_python(repository / "eval.py", "ckpt=compact,low", "setting=png", *common)
    assert done.returncode == 2
    assert "low has no setting 'png'; leave the setting out." in done.stderr
