"""What every command that writes a file does with what is there, and with a full disk."""

import resource
from pathlib import Path

import numpy as np
import pytest

import lic as library
from lic.data import ImageFolder, write_png
from lic.evaluation.evaluate import evaluate

from .conftest import Lic, Refused

MODELS = ("run", "other")
COMMANDS: dict[str, tuple[str, ...]] = {
    "x.lic": ("compress", "photo.png", "x.lic", "-m", "run"),
    "x.png": ("decompress", "photo.lic", "x.png", "-m", "run"),
    "x.lic-model": ("export", "run", "-o", "x.lic-model"),
    "x.html": ("report", "measured", "-o", "x.html"),
    "figure.png": ("compare", "measured", "-o", "figure.png"),
    "coded": ("rate-control", *MODELS, "photo.png", "--target-bpp", "9", "-o", "coded", "--metric", "psnr"),
}


@pytest.fixture
def files(lic: Lic, models: tuple[str, str], photo: Path, tmp_path: Path) -> Path:
    """Sources for all commands."""
    assert lic("compress", "photo.png", "photo.lic", "-m", models[0])[0] == 0
    write_png(tmp_path / "photos" / "photo.png", np.full((50, 70, 3), 7, np.uint8))
    codec, images = library.load(tmp_path / models[0]), ImageFolder(tmp_path / "photos")
    evaluate(codec, images, tmp_path / "measured", "photos", [0], progress=False)
    return tmp_path


@pytest.mark.parametrize("output", COMMANDS)
def test_a_link_to_nothing_is_not_replaced_unasked(
    lic: Lic, refused: Refused, files: Path, output: str
) -> None:
    link, command = files / output, COMMANDS[output]
    link.symlink_to("absent")
    refused(*command)
    assert link.is_symlink()
    link.unlink()
    assert lic(*command)[0] == 0 and link.exists()
    assert "--force" in refused(*command)
    assert lic(*command, "--force")[0] == 0


def test_a_report_replaces_reports_alone(lic: Lic, files: Path) -> None:
    result = (files / "measured" / "test.json").read_bytes()
    for options in ([], ["--force"]):
        assert lic("report", "measured", "-o", "measured/test.json", *options)[0] == 2
    assert (files / "measured" / "test.json").read_bytes() == result
    for _ in range(2):  # the place where reports belong needs no --force
        assert lic("report", "measured")[:2] == (0, lic("report", "measured")[1])
    assert (files / "measured" / "report.html").exists()


def test_results_are_not_replaced_by_other_streams(refused: Refused, files: Path) -> None:
    stream = files / "measured" / "streams" / "photo.lic"
    before = stream.read_bytes()
    for command in (
        ("compress", "photo.png", "measured/streams", "-m", "other"),
        ("rate-control", "run", "other", "photo.png", "--target-bpp", "9", "-o", "measured/streams"),
        ("compare", "measured", "-o", "measured/originals/photo.png"),
        ("decompress", "photo.lic", "measured/reconstructions", "-m", "run"),
    ):
        refused(*command, "--force")
    assert stream.read_bytes() == before


def test_text_of_strangers_sends_no_controls(lic: Lic, files: Path) -> None:
    test = files / "measured" / "test.json"
    test.write_text(test.read_text().replace("(ms_ssim)", "(ms_ssim) [/x] \\u001b[2J"))
    for command in (("report", "measured"), ("compare", "measured", "-o", "figure.png")):
        code, out, err = lic(*command)
        assert code == 0 and "\x1b" not in out + err
    assert "[/x] \\x1b[2J" in out


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("output", COMMANDS)
def test_a_full_disk_is_one_sentence(refused: Refused, output: str) -> None:
    """A limit of the size of files is met as a full disk is: the first bytes are taken, no more."""
    size = {"x.lic": 20, "coded": 20, "x.html": 4096}.get(output, 200)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        said = refused(*COMMANDS[output])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "File too large" in said and "space" in said
