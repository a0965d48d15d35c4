import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.errors import UserError
from lic.evaluation.points import collect, curves
from lic.evaluation.result import INNER
from lic.report.insides import Inside, insides
from lic.report.page import write_report

from ..made_runs import MakeRun, jpeg, learned
from .conftest import EVIL


def draw(run: Path, *names: str, colour: int = 90, size: tuple[int, int] = (64, 48)) -> None:
    for name in names:
        (run / INNER).mkdir(exist_ok=True)
        Image.new("RGB", size, (colour, 0, 200)).save(run / INNER / f"{name}.png")


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Two points of one curve and one of another, each with the inside of two images; JPEG has none."""
    for curve, lmbda, bpp in (("net", 1, 0.2), ("net", 2, 0.4), ("other", 1, 0.3)):
        draw(make_run(f"{curve}-{lmbda}", learned(curve, lmbda), bpp, 30), "bee", "boat")
    make_run("jpeg", jpeg(50), 0.3, 28)
    return tmp_path


def said(shown: list[Inside]) -> list[str]:
    return [f"{one.image} {one.label}" for one in shown]


def test_first_images_and_low_rates_come_first(runs: Path) -> None:
    all_curves = curves(collect([runs]))
    shown, found = insides(all_curves)
    order = ["net, λ = 1", "other, λ = 1", "net, λ = 2"]
    assert said(shown) == [f"{image} {label}" for image in ("bee", "boat") for label in order]
    assert found == 6 and (shown[0].width, shown[0].height) == (64, 48)
    pixels = np.asarray(Image.open(io.BytesIO(shown[0].webp)))
    assert pixels.shape == (48, 64, 3) and np.abs(pixels.astype(int) - (90, 0, 200)).max() <= 4
    small, found = insides(all_curves, budget=3 * len(shown[0].webp))
    assert said(small) == said(shown)[:2] and found == 6


def test_the_page_shows_them_as_text_and_pictures(runs: Path) -> None:
    write_report([runs], runs / "report.html", "runs")
    page = (runs / "report.html").read_text("utf-8")
    card = page.partition('id="inside"')[2]
    assert card.count("<details") == 6 and card.count("<details open>") == 1
    assert "compressed with loss here" in page and "would make the page too large)" not in page


def test_a_page_without_them_says_nothing_of_it(make_run: MakeRun) -> None:
    folder = make_run("run", learned("net", 5), 1, 30, pictures=True)
    write_report([folder], folder / "report.html", "run")
    page = (folder / "report.html").read_text("utf-8")
    assert "Inside the codecs" not in page and "<details open" not in page


def test_names_are_no_markup(make_run: MakeRun, tmp_path: Path) -> None:
    names = (EVIL[2], "<b>bold")
    run = make_run("run", learned(EVIL[0], 5), 0.3, 28, images=names)
    draw(run, *names)
    write_report([run], tmp_path / "report.html", "run")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.partition('id="inside"')[2].count("<summary>") == 2 and "&lt;b&gt;bold" in page
    assert not any(name in page for name in ("<img src=x", "<b>bold", "49 &"))


def test_nothing_is_read_through_a_link_out_of_the_run(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", learned("net", 5), 0.3, 28)
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (run / INNER).mkdir()
    (run / INNER / "bee.png").symlink_to(tmp_path / "secret.png")
    assert insides(curves(collect([tmp_path]))) == ([], 0)


def test_bad_pictures_are_named(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", learned("net", 5), 0.3, 28)
    draw(run, "bee", size=(20_000, 2))
    with pytest.raises(UserError, match=r"inner/bee\.png has 20000x2 pixels, more than lic draws"):
        insides(curves(collect([tmp_path])))
    (run / INNER / "bee.png").write_text("no picture")
    with pytest.raises(UserError, match=r"inner/bee\.png is not an image"):
        insides(curves(collect([tmp_path])))
