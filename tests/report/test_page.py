"""What a report says; test_page_in_browser.py looks at it."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lic.errors import UserError
from lic.evaluation.result import CodecInfo
from lic.report.page import write_report

from ..made_runs import MakeRun, compact, jpeg, learned
from .conftest import EVIL


def own_part(report: Path) -> str:
    """The page without plotly's library."""
    return re.sub(r'(id="plotly">)[A-Za-z0-9+/=]{1000000,}(?=<)', r"\1", report.read_text("utf-8"))


def test_no_result_is_a_sentence_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="evaluate a run first"):
        write_report([tmp_path], tmp_path / "report.html", "nothing")
    assert not (tmp_path / "report.html").exists()


def test_the_page_says_what_was_measured(sweep: Path) -> None:
    write_report([sweep], sweep / "report.html", "folder of a sweep")
    page = own_part(sweep / "report.html")
    for text in (
        "<title>resnet3x3_4 and JPEG on photos: 5 points</title>", "folder of a sweep",
        "photos, 2 images", "5 points on 2 curves", "1 job failed", "lambda=20",
        "the loss is not finite", "λ = 10", "quality 90", "classical/jpeg-50", "6\u202f000\u202f000",
        "8 × bytes of the complete file ÷ pixels", "the reference of the BD-rates",
    ):  # fmt: skip
        assert text in page, text
    assert re.search(r"BD-rate against JPEG: −\d+\.\d % on PSNR \(29\.0 to 32\.0 dB\)", page)


def test_the_page_says_how_fast_networks_are(make_run: MakeRun, sweep: Path) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert costs(page) == {
        "resnet · subpixel": ["6\u202f000\u202f000", "–", "2", "20.00", "6.25", "10.00", "5.00", "0.40"]
    }
    assert "Paper, images/s" not in page and "GTX" not in page

    options: dict[str, bool | float | int | str | None] = {"pixel_unshuffle": 2, "drop": True}
    fastdic = CodecInfo("any name", "λ = 5", True, "fastdic", options, parameters=4_280_972, macs=27_688)
    make_run("sweep/fastdic", fastdic, 0.3, 30, images=("bee",))
    other = replace(fastdic, curve="fastdic (mse)", options=options | {"drop": False})
    make_run("sweep/other", other, 0.3, 30, images=("bee",))
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert {name: cells[-1] for name, cells in costs(page).items()} == {
        "any name · photos": "1.85", "fastdic (mse) · photos": "–", "resnet · subpixel · photos": "–",
    }  # fmt: skip
    assert costs(page)["any name · photos"][1:3] == ["27.7", "2"]
    assert "Paper, images/s" in page and "GTX 1080 Ti" in page


def test_classical_codecs_have_no_network(make_run: MakeRun) -> None:
    folder = make_run("run", jpeg(50), 1, 30)
    write_report([folder], folder / "report.html", "one")
    assert "kMAC/pixel" not in own_part(folder / "report.html")


def costs(page: str) -> dict[str, list[str]]:
    """The table of the card "Complexity": cells by curve."""
    rows = re.findall(r'<tr><th scope="row"><span[^>]*></span>(.*?)</th>(.*?)</tr>', page)
    return {name: re.findall("<td>(.*?)</td>", cells) for name, cells in rows}


def test_undefined_bd_rates_are_said(make_run: MakeRun, sweep: Path) -> None:
    make_run("sweep/lone", learned("one point", 5), 0.3, 30)
    make_run("sweep/far-1", learned("far", 5), 0.3, 60, 0.9999)
    make_run("sweep/far-2", learned("far", 10), 0.4, 70, 0.99999)
    make_run("sweep/kodak", learned("elsewhere", 5), 0.4, 70, data="kodak")
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert "no BD-rate: one point is no curve" in page
    assert "no overlap on PSNR, no overlap on MS-SSIM" in page
    assert "no BD-rate: JPEG was not measured on this data" in page


def test_the_reference_is_known_by_its_model_not_by_its_name(make_run: MakeRun, sweep: Path) -> None:
    make_run("sweep/impostor", learned("JPEG", 5), 0.3, 30)
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert page.count("the reference of the BD-rates") == 1 and "no BD-rate: one point is no curve" in page


def test_the_table_has_every_measure(sweep: Path) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert re.findall('<th scope="col">([^<]*)</th>', page)[4:9] == [
        "PSNR\ndB", "Pooled\ndB", "SSIM", "MS-SSIM", "MS-SSIM\ndB",
    ]  # fmt: skip
    assert "<td>0.8400</td><td>0.9400</td>" in page
    assert "SSIM below 11 pixels a side, MS-SSIM below 161 pixels a side" in page


def test_sizes_and_values_of_compact_images(make_run: MakeRun, tmp_path: Path) -> None:
    known = {"distinct_values": 180, "entropy": 6.5, "entropy_bpp": 4.875, "source_bytes": 700,
             "source_format": "jpg"}  # fmt: skip
    for inner in ("huffman", "png"):
        make_run(inner, compact(inner), 3, 30, images=("lenna",), pictures=True, columns=known)
    write_report([tmp_path], tmp_path / "report.html", "compact")
    page = own_part(tmp_path / "report.html")
    for text in (
        "<h3>File size before and after</h3>", "<h3>Compact image in each format</h3>",
        "<h3>Decoded image saved</h3>", "1 decoded image saved", "icm_irm (mse), stride 2",
        "Entropy\nbits/value", "<td>180.0</td><td>6.500</td><td>4.875</td>", "<td>29.26</td><td>0.86</td>",
        "Tables 1 to 6 of Deshmukh and Pollett", '"curved": 3',
    ):  # fmt: skip
        assert text in page, text


def test_codecs_without_compact_images_have_no_figures_of_sizes(sweep: Path) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = own_part(sweep / "report.html")
    assert "File sizes" not in page and "Entropy" not in page and "Image by image" in page


def test_the_title_stays_short(make_run: MakeRun, tmp_path: Path) -> None:
    for number in range(9):
        codec = replace(learned(f"net {number}", 5), model=f"{number} {'long ' * 40}")
        make_run(f"run {number}", codec, 0.3, 30, data=f"{number} {'large ' * 40}")
    write_report([tmp_path], tmp_path / "report.html", "x" * 300)
    (title,) = re.findall("<title>(.*)</title>", own_part(tmp_path / "report.html"))
    assert title.startswith("0 long") and "… and 6 more on 9 sets" in title and title.endswith(": 9 points")
    assert len(title) < 130


def test_the_page_is_small(make_run: MakeRun, tmp_path: Path) -> None:
    """Eight pictures of 0.9 MB each, and plotly's 4.8 MB."""
    for lmbda in (1, 2, 3):
        make_run(f"{lmbda}", learned("net", lmbda), lmbda / 10, 30, pictures=True, size=(640, 480))
    write_report([tmp_path], tmp_path / "report.html", "noise")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/webp") == 8
    assert len(page) < 4_300_000


@pytest.mark.parametrize("psnr", [30.0, math.inf])
@pytest.mark.parametrize("ms_ssim", [0.9, 1.0, math.nan])
def test_a_single_point_makes_a_page(make_run: MakeRun, psnr: float, ms_ssim: float) -> None:
    folder = make_run("run", learned("net", 5), 1, psnr, ms_ssim)
    write_report([folder], folder / "report.html", "one")
    assert "1 point on 1 curve" in own_part(folder / "report.html")


def test_names_never_become_markup_and_nothing_is_fetched(evil_sweep: Path) -> None:
    write_report([evil_sweep], evil_sweep / "report.html", EVIL[0])
    page = own_part(evil_sweep / "report.html")
    for name in ("<img src=x", "</script><script>", "<b>bold", "evil <i>", "49 &"):
        assert name not in page
    assert "connect-src" not in page and "default-src 'none'" in page
    assert not re.search(r"https?:|//[a-z]+\.", page)
    assert str(evil_sweep) not in page
