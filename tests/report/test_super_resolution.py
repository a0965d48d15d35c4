"""What reports say of networks that enlarge images."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lic.errors import UserError
from lic.evaluation.super_resolution import collect_all
from lic.report.gallery import BUDGET
from lic.report.page import write_report
from lic.report.summary import summarize
from lic.report.super_resolution import enlarged_table, scenes, sections

from ..made_enlargements import KINDS, network, save_enlargement
from .conftest import EVIL


def page_of(folder: Path) -> str:
    write_report([folder], folder / "report.html", "a folder")
    return (folder / "report.html").read_text("utf-8")


def cells(page: str) -> list[list[str]]:
    """The table of averages."""
    (section,) = re.findall(r'aria-labelledby="enlarged">\n *<table.*?</table>', page, re.S)
    return [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr><td>.*?</tr>", section)]


def test_the_page_of_one_network(tmp_path: Path) -> None:
    save_enlargement(tmp_path / "run")
    page = page_of(tmp_path)
    assert "<title>srgan on photos: 1 enlargement</title>" in page
    bicubic, own = cells(page)
    assert bicubic == ["Bicubic interpolation", "24.50", "24.47", "0.8000", "0.9000", "10.00", "", "", "", ""]
    assert own == [
        "srgan · width 8, MSE", "25.50", "25.47", "0.8000", "0.9000", "10.00",
        "12\u202f345", "2.5", "0.500", "run",
    ]  # fmt: skip
    assert re.search(r"<td>boat</td><td>40 × 24</td><td>24.00</td><td>25.00</td><td>0.8000</td>", page)
    assert "Rate and distortion" not in page and 'id="plotly"></script>' in page
    assert page.count("<details open>") == 1 and len(page) < 100_000, "without curves there is no plotly"


def test_networks_and_codecs_on_one_page(sweep: Path) -> None:
    """A failed job of the sweep, too."""
    save_enlargement(sweep / "enlarges", network("one"))
    save_enlargement(sweep / "more", network("two"), 27)
    save_enlargement(sweep / "other", network("one"), data="others", images=["bee"])
    page = page_of(sweep)
    assert "resnet3x3_4, JPEG and srgan on 2 sets of images: 5 points, 3 enlargements" in page
    names = [row[0] for row in cells(page)]
    assert names == ["Bicubic interpolation", "one, MSE", "Bicubic interpolation", "one, MSE", "two, MSE"]
    assert "Rate and distortion" in page and "1 job failed" in page
    content = json.loads(re.search(r'id="content">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    shown = {
        scene["name"]: [picture["label"] for picture in scene["pictures"]] for scene in content["scenes"]
    }
    assert shown["bee · photos · enlarged four times"] == [
        "Original", "Bicubic interpolation", "one, MSE", "two, MSE",
    ]  # fmt: skip
    assert len(shown) == 5, "two of the codecs' images, two and one of the networks'"


def test_names_are_text(tmp_path: Path) -> None:
    tag, script, template = EVIL
    info = replace(network(tag), setting=script, model="<b>x</b>")
    save_enlargement(tmp_path / "run <i>", info, data=template, images=["<b>bold", template.replace("/", "")])
    page = page_of(tmp_path)
    for evil in ("<img src=x", "<script>alert", "<b>bold", "<b>x</b>", "run <i>", "{{ 7"):
        assert evil not in page.replace("{{ 7 * 7 }}", ""), evil
    assert "&lt;img src=x" in page and "{{ 7 * 7 }}" in page and "49 &amp;" not in page


def test_the_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_enlargement(tmp_path / "run", network("[red]net"))
    report = summarize(tmp_path)
    said = capsys.readouterr().out
    assert report.exists() and not (tmp_path / "rd.csv").exists()
    assert "[red]net, MSE" in said and "photos, 2 images" in said and "Points:" not in said
    assert re.search(r"Bicubic interpolation\s+photos, 2 images\s+24.50", said)


def test_a_value_that_is_missing_is_a_dash(tmp_path: Path) -> None:
    save_enlargement(tmp_path, replace(network(), parameters=None, macs=None), math.inf, pictures=False)
    _, enlarged = collect_all([tmp_path])
    (section,) = sections(enlarged, tmp_path)
    assert section.rows[1][1] == "∞" and section.rows[1][6:8] == ["–", "–"]
    wide = Console(width=200)
    with wide.capture() as caught:
        wide.print(enlarged_table(enlarged))
    assert "∞" in caught.get()


def test_pictures_fit_the_budget_and_their_rows(tmp_path: Path) -> None:
    save_enlargement(tmp_path / "a", network("a"))
    save_enlargement(tmp_path / "b", network("b"))
    (tmp_path / "b" / KINDS[1] / "boat.png").unlink()
    _, enlarged = collect_all([tmp_path])
    assert [len(scene.pictures) for scene in scenes(enlarged, BUDGET)] == [4, 3]
    some = scenes(enlarged, 4 * 3 * 4800)
    assert [(len(scene.pictures), scene.left_out) for scene in some] == [(3, 1), (3, 1)]
    assert not scenes(enlarged, 1000)
    picture = tmp_path / "a" / KINDS[2] / "bee.png"
    picture.write_bytes((tmp_path / "a" / KINDS[2] / "bee.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"bee\.png"):
        scenes(enlarged, BUDGET)
