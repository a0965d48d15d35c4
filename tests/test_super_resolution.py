"""model=srgan as people train and measure it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic import eval as evaluation
from lic import train
from lic.data import write_png
from lic.entropy import update_tables
from lic.models import CompressionModel, build_model
from lic.store.checkpoint import read_checkpoint
from lic.store.model_file import describe_model_file

from .saved import save_run

BASELINE: dict[str, Any] = {"name": "baseline", "width": 4, "kernel_size": 3}

TINY = (
    "model=srgan", "model.width=4", "model.blocks=1", "data.patch_size=24", "data.batch_size=2",
    "trainer.accelerator=cpu", "trainer=debug", "data.num_workers=0",
)  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rows, columns = np.mgrid[:42, :58]
    waves = [128 + 100 * np.sin(rows / (4 + c)) * np.cos(columns / (7 - c)) for c in range(3)]
    for name, image in (("a", np.stack(waves, -1)), ("b", np.stack(waves[::-1], -1))):
        write_png(tmp_path / "photos" / f"{name}.png", image.astype(np.uint8))
    return tmp_path / "photos"


@pytest.mark.slow
def test_from_a_sweep_to_srgan(run_python: Any, repository: Path, photos: Path, tmp_path: Path) -> None:
    data = (f"data.valid={photos}", f"data.test={photos}")
    done = run_python(
        repository / "train.py", "-m", *TINY, *data, "model.blocks=1,0,2", "hydra.sweep.dir=sweep"
    )
    assert done.returncode == 3 and "model.blocks must be a positive number" in done.stderr, done.stderr
    assert "Super-resolution" in done.stdout and "Means over images" not in done.stdout
    page = (tmp_path / "sweep" / "report.html").read_text("utf-8")
    assert "srgan on photos: 2 enlargements" in page and "1 job failed" in page
    assert not (tmp_path / "sweep" / "rd.csv").exists() and not (tmp_path / "sweep" / "classical").exists()
    first = tmp_path / "sweep" / "model.blocks-1"
    result = json.loads((first / "super_resolution.json").read_text())
    logged = _summary(run_python, first)
    for name in ("psnr", "psnr_bicubic"):
        assert logged[f"test/{name}"] == pytest.approx(result["mean"][name])
    own = _summary(run_python, tmp_path / "sweep")
    assert {"super_resolution/table", "super_resolution/image_1"} <= own.keys() and "rd/table" not in own

    done = run_python(
        repository / "train.py", *TINY, *data, "training=adversarial", "discriminator.width=2", "logger=csv",
        "start_from=sweep/model.blocks-1", "hydra.run.dir=gan",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gan" / "report.html").exists() and "Super-resolution" in done.stdout
    best = read_checkpoint(tmp_path / "gan" / "checkpoints" / "best.ckpt")
    assert best["global_step"] == 4 and best["objective"]["values"]["content"] == "mse"
    entries = {entry.name: entry.value for entry in describe_model_file(tmp_path / "gan")}
    own = json.loads((tmp_path / "gan" / "super_resolution.json").read_text())
    assert "validation_cost" not in entries  # no value judges a duel
    assert entries["test_psnr"] == own["mean"]["psnr"] and entries["test_data"] == "photos"

    both = "ckpt=sweep/model.blocks-1,gan"
    done = run_python(
        repository / "eval.py", both, "data=folder", f"data.root={photos}", "hydra.run.dir=both"
    )
    assert done.returncode == 0, done.stderr
    for place, run in {"model-1": first, "model-2": tmp_path / "gan"}.items():
        again = json.loads((tmp_path / "both" / place / "super_resolution.json").read_text())
        before = json.loads((run / "super_resolution.json").read_text())
        assert [row["measures"] for row in again["rows"]] == [row["measures"] for row in before["rows"]]


def _summary(run_python: Any, folder: Path) -> dict[str, Any]:
    """What the W&B run in a folder has last logged."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    done = run_python("-m", "wandb", "leet", "inspect", "--summary", "--json", run)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert isinstance(summary, dict)
    return summary


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("lambda=5",), "There is no option 'lambda'"),
        (("upsample=bicubic",), "takes no upsample="),
        (("distortion=mse",), "There is no option 'distortion'"),
        (("classical=[jpeg]",), "classical= are codecs beside one, and the model is none"),
        (("training=rate_distortion",), "training=rate_distortion is of codecs, and the model is none"),
        (("training=compact",), "training=compact is of"),
        (("training=two_phase",), "training=two_phase is of"),
        (("start=thumbnail",), "start=thumbnail needs"),
        (("data.channels=1",), "give data.channels=3"),
        (("data.patch_size=30",), "data.patch_size=30 is no multiple of that; give data.patch_size=28."),
        (
            ("training=adversarial", "content.weights=none.pth"),
            "none.pth cannot be read; give the state dict",
        ),
        (("training=adversarial", "start_from=nowhere"), "nowhere does not exist"),
        (("model=baseline", "training=super_resolution"), "training=super_resolution is of model=srgan"),
        (("model=baseline", "training=adversarial"), "training=adversarial is of model=srgan"),
    ],
)
def test_what_has_no_meaning_is_refused(
    options: tuple[str, ...],
    sentence: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = {option.partition("=")[0] for option in options}
    given = [one for one in TINY if one.partition("=")[0] not in named]
    if "model=baseline" in options:
        given = [one for one in given if not one.startswith("model.")]
    words = [
        *given,
        f"data.valid={photos}",
        f"data.test={photos}",
        "logger=none",
        "hydra.run.dir=run",
        *options,
    ]
    assert sentence in said(train.run, ["train.py", *words], monkeypatch, capsys, tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("ckpt=one", "codec=jpeg"), "codec= is for codecs, and ckpt names networks that enlarge images"),
        (("ckpt=one", "setting=huffman"), "setting= is for codecs"),
        (("ckpt=one", "classical=[jpeg]"), "classical= is for codecs"),
        (("ckpt=one,one", "target_bpp=0.5"), "target_bpp= is for codecs"),
        (("ckpt=one,other",), "ckpt names codecs, and networks that enlarge images; evaluate them apart."),
    ],
)
def test_an_evaluation_of_both_is_refused(
    options: tuple[str, ...],
    sentence: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, model in {"one": {"name": "srgan", "width": 2, "blocks": 1}, "other": BASELINE}.items():
        net = build_model(**model)
        if isinstance(net, CompressionModel):
            update_tables(net)
        save_run(tmp_path / name, net, model)
    words = ["data=folder", f"data.root={photos}", "hydra.run.dir=run", *options]
    assert sentence in said(evaluation.run, ["eval.py", *words], monkeypatch, capsys, tmp_path)


def said(
    run: Callable[[], None],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> str:
    """The one sentence of a command that is refused."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        run()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.startswith("Error: ") and error.count("\n") == 1
    return error
