"""A package of somebody else's, installed beside lic: its network is trained, measured, exported, resumed."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lic.data import write_png
from lic.store.checkpoint import read_checkpoint

STRANGER = Path(__file__).parent / "stranger"
SMALL = (
    "data.patch_size=32",
    "data.batch_size=2",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.limit_val_batches=1",
    "classical=[]",
    "logger=csv",
)


@pytest.fixture
def lic(run_python: Any, tmp_path: Path) -> Any:
    """The commands of lic where the stranger's package is installed; they succeed, or as ``code`` says."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "stranger.py").write_bytes((STRANGER / "stranger.py").read_bytes())
    info = site / "stranger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[lic.models]\nhalf = stranger:Half\n[lic.measures]\nworst = stranger:WORST\n"
        "[lic.codecs]\ntiff = stranger:Tiff\n"
    )
    path = os.pathsep.join([str(site), str(STRANGER.parents[1])])

    def run(command: str, *arguments: str, code: int = 0) -> str:
        program: tuple[str, ...] = ("-c", "from lic.cli import main; main()", command)
        if command in ("train", "eval"):
            program = ("-m", f"lic.{command}", "--config-dir", str(STRANGER / "conf"))
        done = run_python(*program, *arguments, PYTHONPATH=path)
        assert done.returncode == code, done.stderr
        return str(done.stdout + done.stderr)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rows, columns = np.mgrid[:40, :56]
    waves = [128 + 100 * np.sin(rows / (4 + c)) * np.cos(columns / (7 - c)) for c in range(3)]
    for name, image in (("a", np.stack(waves, -1)), ("b", np.stack(waves[::-1], -1))):
        write_png(tmp_path / "photos" / f"{name}.png", image.astype(np.uint8))
    return tmp_path / "photos"


@pytest.mark.slow
def test_a_strangers_network_lives_here(lic: Any, photos: Path, tmp_path: Path) -> None:
    data = (f"data.valid={photos}", f"data.test={photos}")
    schedule = ("trainer.max_steps=30", "trainer.val_check_interval=10")
    first, second = tmp_path / "first", tmp_path / "second"
    lic("train", "model=half", *SMALL, *data, *schedule, f"hydra.run.dir={first}")
    saved = read_checkpoint(first / "checkpoints" / "last.ckpt")
    assert saved["global_step"] == 30, "steps are batches, whatever the number of optimizers"
    assert saved["objective"]["values"] == {"phase": 1, "rate": 0.01}
    means = {}
    for setting in ("jpeg-30", "jpeg-60", "jpeg-90"):
        result = json.loads((first / setting / "test.json").read_text())
        assert {"worst", "psnr", "ssim"} <= result["mean"].keys()
        means[setting] = result["mean"]
    assert means["jpeg-30"]["bpp"] < means["jpeg-60"]["bpp"] < means["jpeg-90"]["bpp"]
    assert means["jpeg-90"]["psnr"] > 15, "30 steps teach it something"
    with (first / "rd.csv").open() as file:
        points = list(csv.DictReader(file))
    assert [point["setting"] for point in points] == ["quality 30", "quality 60", "quality 90"]
    assert all(float(point["worst"]) > 0 and point["phase"] == "1" for point in points)
    assert "Worst pixel" in (first / "report.html").read_text()

    often = "trainer.val_check_interval=10"
    phase_2 = ("model=half", "phase=2", "seed=1", often, f"start_from={first}", *SMALL, *data)
    lic("train", *phase_2, "trainer.max_steps=10", f"hydra.run.dir={second}")
    before = saved["state_dict"]["net.enlarge.0.weight"]
    after = read_checkpoint(second / "checkpoints" / "last.ckpt")
    moved = (after["state_dict"]["net.enlarge.0.weight"] - before).abs().max()
    assert 0 < moved <= 0.1001, "ten steps of Adam at 0.01, and not from the weights of another seed"
    (first / "checkpoints" / "best.ckpt").rename(tmp_path / "moved.ckpt")
    (first / "checkpoints" / "last.ckpt").unlink()
    go_on = ("trainer.max_steps=20", f"hydra.run.dir={second}", "ckpt_path=last")
    assert "Continuing from" in lic("train", *phase_2, *go_on), "without the first run"
    assert read_checkpoint(second / "checkpoints" / "last.ckpt")["global_step"] == 20

    lic("export", str(second), "-o", "second.lic-model")
    assert "phase" in lic("info", "second.lic-model")
    photo = str(photos / "a.png")
    lic("compress", photo, "a.lic", "-m", "second.lic-model", "--setting", "jpeg-30")
    lic("decompress", "a.lic", "a.png", "-m", str(second))
    assert Image.open(tmp_path / "a.png").size == (56, 40)
    assert (tmp_path / "a.lic").read_bytes() == (second / "jpeg-30" / "streams" / "a.lic").read_bytes()
    lic("report", str(first), str(second), "-o", "both.html")
    said = lic("eval", "ckpt=second.lic-model", "data=folder", f"data.root={photos}", "classical=[]")
    assert "quality 90" in said


@pytest.mark.slow
def test_gray_from_file_to_file(lic: Any, photos: Path, tmp_path: Path) -> None:
    data = (f"data.valid={photos}", f"data.test={photos}", "model.channels=1")
    run = tmp_path / "run"
    lic("train", "model=half", *SMALL, *data, "trainer=debug", f"hydra.run.dir={run}")
    row = json.loads((run / "jpeg-60" / "test.json").read_text())["rows"][0]
    assert Image.open(run / "jpeg-60" / "reconstructions" / f"{row['file']}.png").mode == "L"
    Image.open(photos / "a.png").convert("L").save(tmp_path / "gray.png")
    lic("compress", "gray.png", "gray.lic", "-m", str(run))
    lic("decompress", "gray.lic", "back.png", "-m", str(run))
    assert Image.open(tmp_path / "back.png").mode == "L"
    conf = ("--config-dir", str(STRANGER / "conf"))
    assert "Layers of half" in lic("complexity", *conf, "model=half", "model.channels=1")
    said = lic("compress", str(photos / "a.png"), "x.lic", "-m", str(run), code=2)
    assert said.startswith("Error: ") and "in colour" in said and said.count("\n") == 1


@pytest.mark.slow
def test_a_codec_without_a_network(lic: Any, photos: Path, tmp_path: Path) -> None:
    lic("eval", "codec=tiff", "data=folder", f"data.root={photos}", f"hydra.run.dir={tmp_path / 'run'}")
    with (tmp_path / "run" / "rd.csv").open() as file:
        points = {point["compression"]: point for point in csv.DictReader(file)}
    assert list(points) == ["tiff_adobe_deflate", "raw"], "by rate"
    assert all(point["psnr"] == "inf" for point in points.values())
    assert 24 < float(points["raw"]["bpp"]) < 26
    said = lic("eval", "codec=bpg", "data=folder", f"data.root={photos}", code=2)
    assert "choose one of jpeg, jpeg_444, jpeg2000, webp, avif, png, bmp, tiff." in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("lambda=5",), "There is no option 'lambda'"),
        (("phase=3",), "phase must be 1 or 2, not 3."),
        (("rate=-1",), "rate must be a positive number, not -1."),
        (("+pace=1",), "Unknown option pace"),
        (("training=rate_distortion", "distortion=mse", "lambda=0.01"), "has no rate"),
        (("start_from=nowhere",), "nowhere does not exist"),
    ],
)
def test_its_options_are_used_or_refused(lic: Any, options: tuple[str, ...], sentence: str) -> None:
    said = lic("train", "model=half", *SMALL, *options, code=2)
    assert sentence in said and "Traceback" not in said
