import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.data import read_image, write_png
from lic.store.load import load_codec

from .conftest import Lic, Refused

pytestmark = pytest.mark.usefixtures("models", "varied")
CONTROL = ("rate-control", "--metric", "psnr", "-o", "out")
MODELS = ("run", "other")
NAMES = ["a", "b", "sub/a"]


@pytest.fixture
def varied(photos: Path) -> Path:
    """`photos` with something else in each."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        side = 40 + 30 * i
        write_png(photos / f"{name}.png", rng.integers(0, 85 * (i + 1), (side, side, 3)).astype(np.uint8))
    return photos


def reached(lic: Lic) -> list[float]:
    """The rates of each model alone."""
    code, out, err = lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--json", "--force")
    assert code == 0, err
    return [model["alone"]["bpp"] for model in json.loads(out)["models"]]


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_chosen_files_keep_to_the_target(lic: Lic, varied: Path, tmp_path: Path) -> None:
    target = sum(reached(lic)) / 2
    code, out, err = lic(*CONTROL, "run", f"--target-bpp={target}", "other", "--force", "photos")
    assert code == 0 and err.count("Error") == 0, err
    assert f"Rate control to {target:g} bpp" in out and "out: 3 files" in out
    assert written(tmp_path / "out") == ["a.lic", "b.lic", "rate-control.json", "sub/a.lic"]

    summary = json.loads((tmp_path / "out" / "rate-control.json").read_text())
    sizes = {name: (tmp_path / "out" / f"{name}.lic").stat().st_size for name in NAMES}
    pixels = sum(read_image(varied / f"{name}.png").size // 3 for name in NAMES)
    assert summary["mixture"]["bytes"] == sum(sizes.values()) <= target * pixels / 8
    assert summary["mixture"]["pixels"] == pixels
    assert sum(model["chosen"] for model in summary["models"]) == 3
    for image in summary["images"]:
        data = (tmp_path / "out" / image["file"]).read_bytes()
        decoded = load_codec(tmp_path / image["model"]).decode(data)
        original = read_image((varied / image["file"]).with_suffix(".png"))
        error = np.square(decoded.astype(float) - original).mean()
        assert 10 * np.log10(255**2 / error) == pytest.approx(image["psnr"])
        assert len(data) == image["bytes"]


def test_json_is_the_file_and_nothing_else(lic: Lic, tmp_path: Path) -> None:
    code, out, _ = lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--json")
    assert code == 0 and out == (tmp_path / "out" / "rate-control.json").read_text()
    summary: dict[str, Any] = json.loads(out)
    assert summary["images"][0]["ms_ssim"] is None  # too small
    assert 0 < summary["images"][0]["ssim"] < 1 and 0 < summary["mixture"]["ssim"] < 1


def test_a_name_that_is_no_text(lic: Lic, varied: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff")
    (varied / "a.png").rename(varied / f"{name}.png")
    code, out, err = lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--json")
    assert code == 0, err
    summary = json.loads((tmp_path / "out" / "rate-control.json").read_text("utf-8"))
    assert json.loads(out) == summary
    assert f"{name}.lic" in {image["file"] for image in summary["images"]}
    assert (tmp_path / "out" / f"{name}.lic").exists()


def test_any_measure_may_be_the_metric(lic: Lic) -> None:
    code, out, err = lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--metric", "ssim", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["metric"] == "ssim"
    assert summary["mixture"]["ssim"] >= max(model["alone"]["ssim"] for model in summary["models"])


@pytest.mark.parametrize("sources", [["photos/*.png"], ["photos/a.png", "photos/b.png"]])
def test_patterns_and_files(lic: Lic, tmp_path: Path, sources: list[str]) -> None:
    assert lic(*CONTROL, *MODELS, *sources, "--target-bpp", "1000")[0] == 0
    assert written(tmp_path / "out") == ["a.lic", "b.lic", "rate-control.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "photos", "--target-bpp", "5"], "give at least two"),
        (["run", "run/checkpoints/best.ckpt", "photos", "--target-bpp", "5"], "are the same model"),
        (["run", "other", "photos", "--target-bpp", "0.0001"], "the smallest files take"),
        (["run", "other", "photos", "--target-bpp", "0"], "give one above 0"),
        (["run", "other", "photos", "--target-bpp", "5", "--metric", "ms-ssim"], "metric psnr"),
        (
            ["run", "other", "photos", "--target-bpp", "5", "--metric", "lpips"],
            "choose one of psnr, ssim, ms_ssim",
        ),
        (["run", "other", "photos/a.png", "photos/sub/a.png", "--target-bpp", "5"], "become a.lic"),
        (["run", "other", "nothing", "--target-bpp", "5"], "nothing does not exist"),
        (["run", "nothing", "photos", "--target-bpp", "5"], "nothing does not exist"),
        (["run", "other", "photos", "--target-bpp", "5", "-o", "photo.png", "--force"], "is a file"),
        (["run", "other", "photos", "--target-bpp", "5", "-o", "photos", "--force"], "holds other files"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(refused: Refused, arguments: list[str], words: str) -> None:
    assert words in refused(*CONTROL, *arguments)


def test_a_folder_that_cannot_be_replaced_stays(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.lic").write_text("of an older call")
    rename = Path.rename

    def full(self: Path, target: str | Path) -> Path:
        if self.name == "streams":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    assert "No space left" in refused(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--force")


def test_only_its_own_folders_are_replaced_and_only_with_force(
    lic: Lic, refused: Refused, tmp_path: Path
) -> None:
    assert lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000")[0] == 0
    (tmp_path / "out" / "old.lic").write_text("of an older call")
    assert "--force" in refused(*CONTROL, *MODELS, "photos", "--target-bpp", "1000")
    assert lic(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--force")[0] == 0
    assert not (tmp_path / "out" / "old.lic").exists()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    refused(*CONTROL, *MODELS, "photos", "--target-bpp", "1000", "--force")
