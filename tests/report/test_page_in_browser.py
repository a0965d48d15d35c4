"""A report in headless Chromium: it works, fits screens and paper, and shows names as text."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, ViewportSize, sync_playwright

from lic.report.page import write_report

from ..made_enlargements import network, save_enlargement
from ..made_runs import MakeRun, compact, learned
from .conftest import EVIL

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a report; at the end of the test there must have been no complaint and no request."""
    complaints: list[str] = []
    pages: list[Page] = []

    def refuse_dialog(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    def check_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(request.url)

    def open_page(report: Path, width: int = 1280, dark: bool = False) -> Page:
        viewport = ViewportSize(width=width, height=900)
        page = browser.new_page(viewport=viewport, color_scheme="dark" if dark else "light")
        pages.append(page)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", refuse_dialog)
        page.on("request", check_request)
        page.goto(report.resolve().as_uri())
        page.wait_for_function(
            "() => [...document.querySelectorAll('.chart')].every(chart => chart.querySelector('.point'))"
        )
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def test_curves_and_the_logarithmic_axis(sweep: Path, visit: Callable[..., Page]) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = visit(sweep / "report.html")
    assert page.locator(".chart").count() == 2
    for i in range(2):
        chart = page.locator(".chart").nth(i)
        assert chart.locator(".scatterlayer .trace").count() == 2
        assert chart.locator(".scatterlayer .point").count() == 5
    axes = "[...document.querySelectorAll('.chart')].map(c => c._fullLayout.xaxis.type)"
    reach = "[...document.querySelectorAll('.chart')].map(c => c._fullLayout.xaxis.range[1])"
    assert page.evaluate(axes) == ["linear", "linear"]
    assert all(0.4 < right < 0.7 for right in page.evaluate(reach))
    page.click("#whole")
    page.wait_for_function(f"() => {reach}.every(right => right > 2)")
    page.click("#log")
    page.wait_for_function(f"() => {axes}.every(type => type === 'log')")
    assert page.get_attribute("#log", "aria-pressed") == "true"
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => {axes}.every(type => type === 'linear')")
    page.click("#whole")
    page.wait_for_function(f"() => {reach}.every(right => right < 0.7)")
    page.click("#log")
    page.wait_for_function(
        f"() => {reach}.every(right => right > Math.log10(0.4) && right < Math.log10(0.7))"
    )


def test_hover_and_legend(sweep: Path, visit: Callable[..., Page]) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = visit(sweep / "report.html")
    box = page.locator(".chart").first.locator(".scatterlayer .point").nth(1).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    label = page.locator(".chart").first.locator(".hoverlayer .hovertext")
    label.wait_for()
    for text in ("resnet · subpixel", "λ = 10", "0.4000 bpp", "32.00 dB"):
        assert text in (label.text_content() or "")
    page.click(".legend button >> nth=1")
    page.wait_for_function("() => document.querySelectorAll('.scatterlayer .trace').length === 2")


def test_complexity_scrolls_inside_its_card(sweep: Path, visit: Callable[..., Page]) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    for width, scrolls in ((1280, False), (390, True)):
        page = visit(sweep / "report.html", width)
        region = page.locator(".scroll:has(.costs)")
        assert region.evaluate("card => card.scrollWidth > card.clientWidth") == scrolls
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        edges = region.locator("thead tr").evaluate_all(
            "rows => rows.map(row => row.lastElementChild.getBoundingClientRect().right)"
        )
        assert edges[0] == edges[1], "groups end where their columns end"


def test_slider_menus_and_zoom(sweep: Path, visit: Callable[..., Page]) -> None:
    write_report([sweep], sweep / "report.html", "demo")
    page = visit(sweep / "report.html")
    split = "parseFloat(document.getElementById('right-layer').style.clipPath.split(' ').pop())"
    assert page.evaluate(split) == 50
    page.focus("#split")
    page.keyboard.press("End")
    assert page.evaluate(split) == 100
    page.fill("#split", "50")
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 4, y, steps=3)
    page.mouse.up()
    assert page.evaluate(split) == pytest.approx(25, abs=1)

    assert page.text_content("#left-label") == "Original"
    assert page.text_content("#right-caption") == "0.2200 bpp · PSNR 30.00 dB · SSIM 0.8400 · MS-SSIM 0.9400"
    before = page.get_attribute("#right-image", "src")
    page.select_option("#right", label="JPEG, quality 10")
    page.select_option("#image", label="boat")
    assert page.text_content("#right-label") == "JPEG, quality 10"  # the codec stays when the image changes
    assert page.text_content("#right-caption") == "0.2700 bpp · PSNR 26.00 dB · SSIM 0.8000 · MS-SSIM 0.9000"
    assert page.get_attribute("#right-image", "src") != before
    assert page.evaluate("document.getElementById('right-image').naturalWidth") == 40

    page.click("#actual")
    assert page.text_content("#zoom") == "100 %"
    stage.focus()
    page.keyboard.press("+")
    assert page.text_content("#zoom") == "150 %"
    place = page.get_attribute("#left-image", "style")
    page.keyboard.press("ArrowLeft")
    moved = page.get_attribute("#left-image", "style")
    assert moved != place and moved == page.get_attribute("#right-image", "style")


def test_hostile_names_are_shown_as_text(evil_sweep: Path, visit: Callable[..., Page]) -> None:
    write_report([evil_sweep], evil_sweep / "report.html", EVIL[0])
    page = visit(evil_sweep / "report.html")
    tag, script, template = EVIL
    assert page.title() == page.text_content("h1")
    assert page.title().startswith("<b><b><b><b><b>, resnet3x3_4 and JPEG on ")
    assert page.text_content(".source") == tag
    assert f"{tag} · {script}" in page.locator(".legend").inner_text()
    assert f"{tag} {script}" in page.locator(".failed").inner_text()
    assert "evil <i>" in page.locator("table").first.inner_text()
    scenes = page.locator("#image option").all_text_contents()
    assert f"{template} · {script}" in scenes
    page.select_option("#image", label=f"{template} · {script}")
    assert page.text_content("#right-label") == f"{tag} · {script}, λ = 5"
    assert page.locator("img[src=x]").count() == 0
    chart = page.locator(".chart").first
    points = chart.locator(".scatterlayer .point")
    box = points.first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    chart.locator(".hoverlayer .hovertext").wait_for()
    assert f"{tag} · {script}" in (chart.locator(".hoverlayer .hovertext").text_content() or "")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_the_screen(evil_sweep: Path, visit: Callable[..., Page], width: int, dark: bool) -> None:
    write_report([evil_sweep], evil_sweep / "report.html", "A long title " * 12 + "x" * 120)
    page = visit(evil_sweep / "report.html", width, dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = page.evaluate(
        "[getComputedStyle(document.querySelector('.chart text')).fill,"
        " getComputedStyle(document.querySelector('.card')).backgroundColor]"
        ".map(colour => colour.match(/[0-9.]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0))"
    )
    assert abs(ink - paper) > 250  # axis labels stand out


@pytest.fixture
def compact_images(sweep: Path, make_run: MakeRun) -> Path:
    """Beside the sweep two networks with inner coders, whose images were read from files."""
    known = {"distinct_values": 180, "entropy": 6.5, "entropy_bpp": 4.875, "source_format": "jpg"}
    for stride in (2, 3):
        for inner, bpp in (("huffman", 3.2), ("png", 3.0)):
            codec = compact(inner, stride)
            run = f"sweep/{stride}/{inner}"
            make_run(run, codec, bpp / stride, 30, pictures=True, columns={**known, "source_bytes": 700})
    return sweep


def test_sizes_of_files(compact_images: Path, visit: Callable[..., Page]) -> None:
    write_report([compact_images], compact_images / "report.html", "demo")
    page = visit(compact_images / "report.html")
    assert page.locator(".chart").count() == 5
    files, formats, saved = (page.locator(".chart").nth(i) for i in (2, 3, 4))
    assert files.locator(".scatterlayer .point").count() == 8
    assert formats.locator(".bars .point").count() == 4 and saved.locator(".bars .point").count() == 12
    assert formats.locator(".scatterlayer .point").count() == 4
    page.click("#log")
    page.wait_for_function("() => document.querySelector('.chart')._fullLayout.xaxis.type === 'log'")
    types = "[...document.querySelectorAll('.chart')].slice(2).map(c => c._fullLayout.xaxis.type)"
    assert page.evaluate(types) == ["log", "category", "category"]
    page.click(".legend button >> nth=0")  # huffman's
    page.wait_for_function(
        "() => document.querySelectorAll('.chart')[2].querySelectorAll('.scatterlayer .point').length === 4"
    )
    assert formats.locator(".bars .point").count() == 4, "its bars are no curves"
    page.click("summary >> nth=0")
    assert "180" in page.locator(".singles").first.inner_text()


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_sizes_and_single_images_stay_in_their_cards(
    compact_images: Path, visit: Callable[..., Page], width: int
) -> None:
    write_report([compact_images], compact_images / "report.html", "demo")
    page = visit(compact_images / "report.html", width, dark=True)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOWS) == []


OVERFLOWS = """
() => [...document.querySelectorAll(".card")].flatMap(card => {
  const right = card.getBoundingClientRect().right + 0.5;
  const inner = [...card.querySelectorAll("*")].filter(e => !e.closest(".scroll > *, .layer, svg *"));
  return inner.filter(e => e.getBoundingClientRect().right > right).map(e => e.outerHTML.slice(0, 80));
})
"""


@pytest.fixture
def long_names(sweep: Path, make_run: MakeRun) -> Path:
    """A sweep whose folders and curves have names as long as they get."""
    variant = "kernel_size 9 · aux_kernel_size 9 · width 192 (mse, optimizer.lr=0.001, ema=0.999)"
    for lmbda in (1, 2):
        folder = f"sweep/model-hyperprior_model.kernel_size-9_model.aux_kernel_size-9_{'x' * 80}-{lmbda}"
        make_run(folder, learned(f"hyperprior · {variant}", lmbda), lmbda / 5, 30 + lmbda, pictures=True)
    return sweep


@pytest.mark.parametrize("width", [360, 400, 768, 1400, 1920])
def test_nothing_leaves_its_card(long_names: Path, visit: Callable[..., Page], width: int) -> None:
    write_report([long_names], long_names / "report.html", "x" * 300)
    page = visit(long_names / "report.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOWS) == []
    scrolling = page.locator(".scroll:visible").evaluate_all(
        "all => all.map(e => e.scrollWidth > e.clientWidth)"
    )
    assert scrolling == [width < 1000] * 2
    if width < 500:
        region = page.locator(".scroll:has(.points)")
        left = region.locator("tbody td").first.bounding_box()
        region.evaluate("region => region.scrollBy(300, 0)")
        assert region.locator("tbody td").first.bounding_box() == left, "the settings stay in sight"


def test_curves_follow_their_card(sweep: Path, visit: Callable[..., Page]) -> None:
    """As when a scroll bar appears: the card becomes narrower, the window does not."""
    write_report([sweep], sweep / "report.html", "demo")
    page = visit(sweep / "report.html", 500)
    page.evaluate("document.body.style.paddingRight = '100px'")
    assert page.evaluate(OVERFLOWS) == []
    page.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].every(c => c._fullLayout.width < 360)"
    )
    assert page.evaluate(OVERFLOWS) == []


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_paper_shows_all(long_names: Path, visit: Callable[..., Page], width: int, dark: bool) -> None:
    write_report([long_names], long_names / "report.html", "x" * 300)
    page = visit(long_names / "report.html", width, dark)
    sheets = re.findall(rb"MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", page.pdf(prefer_css_page_size=True))
    assert sheets and all(float(width) > float(height) for width, height in sheets), "landscape"

    page.emulate_media(media="print")
    page.set_viewport_size(ViewportSize(width=1000, height=700))  # 264 mm, less than A4 and Letter
    assert page.evaluate(OVERFLOWS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    for region in page.locator(".scroll").all():
        assert region.evaluate("region => region.scrollWidth <= region.clientWidth")
    edges = page.locator(".points thead th").evaluate_all(
        "all => all.map(heading => heading.getBoundingClientRect().right)"
    )
    assert len(edges) == 13 and max(edges) <= 1000
    left, right = (page.locator(f"#{side}-image").bounding_box() for side in ("left", "right"))
    assert left and right and left["x"] + left["width"] <= right["x"] and left["y"] == right["y"]
    ink = page.evaluate("getComputedStyle(document.body).color").removeprefix("rgb(").rstrip(")").split(", ")
    assert sum(map(int, ink)) < 200, "black on white, whatever the screen's colours"


@pytest.mark.parametrize("width", [400, 1400])
def test_networks_that_enlarge(tmp_path: Path, visit: Callable[..., Page], width: int) -> None:
    """Alone on a page: tables, and pictures beside each other; hostile names are text."""
    tag, script, template = EVIL
    save_enlargement(tmp_path / "one", replace(network(tag), setting=script), data=template)
    save_enlargement(tmp_path / "two", network("x" * 300), data=template)
    write_report([tmp_path], tmp_path / "report.html", tag)
    page = visit(tmp_path / "report.html", width)
    assert page.evaluate(OVERFLOWS) == [] and not page.locator(".chart").count()
    first = page.locator(".points tbody td").first
    assert first.text_content() == "Bicubic interpolation"
    assert page.locator("td", has_text=tag).count() == 1 and template[:15] in page.inner_text("h1")
    page.locator("summary").first.click()
    assert page.locator("details[open] td", has_text="boat").is_visible()
    page.select_option("#right", label=f"{tag}, {script}")
    assert page.inner_text("#right-caption") == "PSNR 26.00 dB · SSIM 0.8000 · MS-SSIM 0.9000"
    page.wait_for_function("() => document.getElementById('right-image').naturalWidth === 40")
    page.emulate_media(media="print")
    assert page.evaluate(OVERFLOWS) == []
