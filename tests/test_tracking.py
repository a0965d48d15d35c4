import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lic import tracking
from lic.errors import UserError
from lic.evaluation.points import collect
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, CodecInfo, Result, Row

KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user without any W&B configuration, whatever the machine has."""
    import wandb

    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    tracking._say_offline.cache_clear()
    wandb.teardown()
    yield
    wandb.teardown()


def test_without_an_account_it_is_offline_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [tracking.wandb_mode(), tracking.wandb_mode()] == ["offline", "offline"]
    (message,) = caplog.messages
    assert "offline" in message and "wandb login" in message and "\n" not in message


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    assert tracking.wandb_mode() == mode
    assert caplog.messages == []


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match="online, offline"):
        tracking.wandb_mode()


def test_a_key_in_the_environment_or_netrc_means_online(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    start = time.perf_counter()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert tracking.wandb_mode() == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    wandb.teardown()
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    assert tracking.wandb_mode() == "online"
    assert time.perf_counter() - start < 4  # a question to a server that cannot be reached takes 5 s


def test_an_impossible_key_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="wandb login"):
        tracking.wandb_mode()


def test_importing_tracking_is_cheap() -> None:
    code = "import lic.tracking, sys; print({'wandb', 'torch', 'plotly'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """One learned curve of two points with pictures, one JPEG point; odd names."""
    folder = tmp_path / "λ sweep"
    for name, codec, bpp, psnr in (
        ("lambda=5", CodecInfo("net <b> 蜂", "λ = 5", True, "net", None, 5), 0.2, 30.0),
        ("lambda=10", CodecInfo("net <b> 蜂", "λ = 10", True, "net", None, 10), 0.4, float("inf")),
        ("jpeg", CodecInfo("JPEG", "quality 50", False, "jpeg"), 0.8, 31.0),
    ):
        row = Row("bee-1", 8, 4, 1, bpp, float("nan"), psnr, 0.9, 10.0, 0.1, 0.1)
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
    tracking.log_sweep(sweep, collect([sweep]), "proj")
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

    monkeypatch.setattr(tracking, "_table", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        tracking.log_sweep(sweep, collect([sweep]), "proj")
    (summary,) = inspect(sweep, "--summary")
    assert summary["exit_code"] == 1
    import wandb

    assert wandb.run is None


def test_names_are_no_longer_than_the_server_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    asked: list[dict[str, str]] = []
    monkeypatch.setattr(wandb, "init", lambda **options: asked.append(options))
    for end in "ab":
        tracking.start_run(tmp_path, project="lic", name="x" * 140 + end, group="short")
    first, second = (options["name"] for options in asked)
    assert len(first) == len(second) == 128 and first != second
    assert asked[0]["group"] == "short"
