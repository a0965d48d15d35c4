import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lic.evaluation.points import collect
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, CodecInfo, Result, Row
from lic.report import sweep_run


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    yield
    wandb.teardown()


def _net(lmbda: int) -> CodecInfo:
    return CodecInfo(
        "net <b> 蜂", f"λ = {lmbda}", True, "net", objective={"lambda": lmbda}, moving=["lambda"]
    )


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """One learned curve of two points with pictures, one JPEG point; odd names."""
    folder = tmp_path / "λ sweep"
    for name, codec, bpp, psnr in (
        ("lambda=5", _net(5), 0.2, 30.0),
        ("lambda=10", _net(10), 0.4, float("inf")),
        ("jpeg", CodecInfo("JPEG", "quality 50", False, "jpeg"), 0.8, 31.0),
    ):
        values = {"psnr": psnr, "ssim": 0.8, "ms_ssim": 0.9, "ms_ssim_db": 10.0}
        row = Row("bee-1", 8, 4, 1, bpp, float("nan"), values, 0.1, 0.1)
        Result(codec, "photos", (row,)).save(folder / name / "test.json")
        for pictures in (ORIGINALS, RECONSTRUCTIONS):
            file = folder / name / pictures / "bee-1.png"
            file.parent.mkdir(parents=True)
            Image.new("RGB", (8, 4), (int(100 * bpp), 0, 0)).save(file)
    return folder


def inspect(folder: Path, *options: str) -> list[dict[str, object]]:
    (run,) = folder.glob("wandb/offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *options, "--json", str(run)]
    text = subprocess.check_output(command, text=True)
    decoder, records, at = json.JSONDecoder(), [], 0
    while at < len(text):
        record, at = decoder.raw_decode(text, at)
        records.append(record)
        at += len(text[at:]) - len(text[at:].lstrip())
    return records


def test_a_sweep_becomes_one_run(sweep: Path) -> None:
    sweep_run.log_sweep(sweep, collect([sweep]), [], "proj")
    (summary,) = inspect(sweep, "--summary")
    assert (summary["state"], summary["exit_code"], summary["project"]) == ("finished", 0, "proj")
    logged = summary["summary"]
    assert isinstance(logged, dict)
    assert {"rd/table", "rd/psnr_table", "rd/psnr_figure", "rd/ms_ssim_db_figure", "rd/image_1"} <= set(
        logged
    )
    assert logged["rd/image_1"]["captions"][1].startswith("bee-1: net <b> 蜂, λ = 5, 0.2000 bpp")

    (files,) = sweep.glob("wandb/offline-run-*/files")
    table = json.loads((files / logged["rd/table"]["path"]).read_text("utf-8"))
    assert table["columns"][:4] == ["curve", "setting", "lambda", "data"]
    assert [row[1] for row in table["data"]] == ["λ = 5", "λ = 10", "quality 50"]
    series = json.loads((files / logged["rd/psnr_table"]["path"]).read_text("utf-8"))
    assert series["data"] == [[0.2, "net <b> 蜂", 30.0], [0.8, "JPEG", 31.0]]  # inf cannot be drawn
    figure = json.loads((files / logged["rd/psnr_figure"]["path"]).read_text("utf-8"))
    assert len(figure["data"]) == 2

    text = json.dumps(inspect(sweep), ensure_ascii=False)
    assert '"rd-summary"' in text and '"λ sweep"' in text and "wandb/lineseries/v0" in text


def test_the_run_is_finished_when_something_fails(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(curves: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(sweep_run, "_table", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        sweep_run.log_sweep(sweep, collect([sweep]), [], "proj")
    (summary,) = inspect(sweep, "--summary")
    assert summary["exit_code"] == 1
    import wandb

    assert wandb.run is None
