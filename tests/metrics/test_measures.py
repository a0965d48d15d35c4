"""What is declared of a measure, and that a new one needs nothing else to be seen everywhere."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from lic import plugins
from lic.codecs.classical import PillowCodec
from lic.console import Console
from lic.data import ImageFolder, write_png
from lic.data.sources import ImageSet
from lic.errors import UserError
from lic.evaluation.evaluate import evaluate
from lic.evaluation.mixture import evaluate_mixture
from lic.evaluation.points import bd_rates, collect, curves, table, write_rd_csv
from lic.evaluation.result import Result
from lic.metrics import measures
from lic.metrics.measures import MEASURES, Measure, measure_images, register
from lic.report import crops, sweep_run
from lic.report.gallery import gallery
from lic.report.page import write_report

DECLARED = list(MEASURES)


def largest_error(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() - y.double()).abs().amax(dim=(1, 2, 3))


TOY = Measure(
    "largest_error", "Largest error", largest_error, unit="levels", digits=1, higher_is_better=False,
    lowest=0, note="The largest error is that of one value.",
)  # fmt: skip
DERIVED = Measure(
    "errors_db", "Errors", torch.log10, of="largest_error", axis=False, table=False, caption=False
)


@pytest.fixture
def toy() -> Iterator[None]:
    """A measure of another package, with all that lic's own are not, and one derived of it."""
    register(TOY)
    register(DERIVED)
    yield
    del MEASURES[TOY.name], MEASURES[DERIVED.name]


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    for i in range(2):
        plain = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3)
        noisy = np.clip(plain + rng.normal(0, 10 + 20 * i, plain.shape), 0, 255)
        write_png(tmp_path / "photos" / f"{i}.png", noisy.astype(np.uint8))
    return ImageFolder(tmp_path / "photos")


@pytest.fixture
def run(toy: None, images: ImageSet, tmp_path: Path) -> Path:
    for quality in (10, 50, 90):
        codec = PillowCodec("webp", quality)
        evaluate(codec, images, tmp_path / "run" / str(quality), "noise", [0, 1], progress=False)
        codec = PillowCodec("jpeg", quality)
        evaluate(codec, images, tmp_path / "run" / f"jpeg-{quality}", "noise", [0], progress=False)
    return tmp_path / "run"


def test_a_toy_measure_is_in_every_file(run: Path, images: ImageSet) -> None:
    content = json.loads((run / "50" / "test.json").read_text("utf-8"))
    decoded = [PillowCodec("webp", 50).encode(images[i]).reconstruct() for i in range(2)]
    errors = [np.abs(images[i].astype(int) - decoded[i]).max() for i in range(2)]
    assert [row["largest_error"] for row in content["rows"]] == errors
    assert content["mean"]["largest_error"] == np.mean(errors)
    assert content["rows"][0]["errors_db"] == pytest.approx(math.log10(errors[0]))
    assert Result.load(run / "50" / "test.json").mean["largest_error"] == np.mean(errors)

    write_rd_csv(run / "rd.csv", collect([run]))
    rows = list(csv.DictReader((run / "rd.csv").read_text("utf-8").splitlines()))
    assert float({row["run"]: row for row in rows}["50"]["largest_error"]) == np.mean(errors)


def test_a_toy_measure_is_on_every_page(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = collect([run])
    console = Console(width=150)
    with console.capture() as printed:
        console.print(table(points))
    assert "Largest error" in printed.get() and "levels" in printed.get() and "Errors" not in printed.get()

    write_report([run], run / "report.html", "toy")
    page = (run / "report.html").read_text("utf-8")
    assert "<h3>Largest error (levels), lower is better</h3>" in page
    assert ">Largest error\nlevels</th>" in page and ">Errors</th>" in page and TOY.note in page
    webp, jpeg = sorted(curves(points), key=lambda curve: curve.anchors)
    rates = bd_rates(webp, [webp, jpeg])
    assert (
        rates is not None and rates["largest_error"].interval is not None and "% on Largest error (" in page
    )
    assert " · Largest error " in gallery([webp, jpeg])[0].pictures[1].caption

    with_toy = crops.picture(crops.choose(points))
    monkeypatch.delitem(MEASURES, TOY.name)
    monkeypatch.delitem(MEASURES, DERIVED.name)
    assert not np.array_equal(crops.picture(crops.choose(points))[-60:], with_toy[-60:])
    monkeypatch.undo()


def test_a_toy_measure_is_in_the_wandb_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Run:
        logged: ClassVar[dict[str, Any]] = {}

        def log(self, values: dict[str, Any]) -> None:
            self.logged.update(values)

        def finish(self, exit_code: int) -> None:
            assert exit_code == 0

    monkeypatch.setattr(sweep_run, "start_run", lambda *args, **options: Run())
    sweep_run.log_sweep(run, collect([run]), [], "project")
    assert {"rd/largest_error", "rd/largest_error_figure"} <= set(Run.logged)
    columns = Run.logged["rd/table"].columns
    assert {"largest_error", "errors_db", "ssim", "psnr_pooled"} <= set(columns) and "lambda" not in columns


def test_rate_control_minimises_what_is_better_low(toy: None, images: ImageSet, tmp_path: Path) -> None:
    codecs = [PillowCodec("jpeg", quality) for quality in (10, 90)]
    made = evaluate_mixture(codecs, images, tmp_path / "run", "noise", 1000, "largest_error", progress=False)
    errors = [[row.measures["largest_error"] for row in result.rows] for result in made.alone]
    assert [row.measures["largest_error"] for row in made.result.rows] == np.min(errors, axis=0).tolist()
    assert made.result.mean["largest_error"] < made.alone[0].mean["largest_error"]
    assert made.result.codec.curve.startswith("rate control by Largest error: ")


def test_values_of_a_measure_that_nobody_declared_here_are_kept(run: Path) -> None:
    """As in a result of somebody who has a package that is missing here."""
    file = run / "50" / "test.json"
    del MEASURES[TOY.name], MEASURES[DERIVED.name]
    try:
        result = Result.load(file)
        assert "largest_error" not in result.mean
        result.save(file)
    finally:
        register(TOY)
        register(DERIVED)
    assert Result.load(file).mean["largest_error"] > 0


def test_forged_values_of_a_toy_measure_are_refused(run: Path) -> None:
    file = run / "50" / "test.json"
    content = json.loads(file.read_text("utf-8"))
    for value in (-1, 1e300, "9", True, [1]):
        content["rows"][0]["largest_error"] = value
        file.write_text(json.dumps(content), "utf-8")
        with pytest.raises(UserError, match="largest_error"):
            Result.load(file)


def offer(monkeypatch: pytest.MonkeyPatch, **offered: Measure) -> None:
    monkeypatch.setattr(measures, "MEASURES", dict(MEASURES))
    monkeypatch.setattr(plugins, "names", lambda group: tuple(sorted(offered)))
    monkeypatch.setattr(plugins, "load", lambda group, name: offered[name])
    measures._find_installed.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lets packages offer measures by names whose order is the alphabet's."""
    yield partial(offer, monkeypatch)
    monkeypatch.undo()
    measures._find_installed.cache_clear()


def test_a_derived_measure_may_be_offered_before_its_base(installed: Any) -> None:
    installed(a=DERIVED, b=TOY)
    assert list(measures.all_measures()) == [*DECLARED, "largest_error", "errors_db"]


def test_of_measures_that_are_offered_all_are_there_or_none(installed: Any) -> None:
    installed(a=TOY, b=replace(DERIVED, name="other", of="nothing"))
    for _ in range(2):
        with pytest.raises(UserError, match="other is made of nothing, which is none"):
            measures.all_measures()
    assert list(measures.MEASURES) == DECLARED
    installed(a=DERIVED, b=replace(TOY, of="errors_db"))
    with pytest.raises(UserError, match="errors_db is made of largest_error"):
        measures.all_measures()


def test_names_are_taken_once(toy: None) -> None:
    for name in ("psnr", "psnr_pooled", "bpp", "file", "largest_error", "two words", "", "<b>"):
        with pytest.raises(UserError, match="cannot be called"):
            register(Measure(name, "Title", largest_error))
    with pytest.raises(UserError, match="made of nothing, which is none"):
        register(Measure("other", "Title", torch.log10, of="nothing"))
    assert [name for name in MEASURES if name not in DECLARED] == ["largest_error", "errors_db"]


def test_what_is_declared_is_what_is_measured() -> None:
    x = torch.randint(0, 256, (2, 3, 170, 165), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = measure_images(x, x // 2)
    assert list(values) == list(MEASURES) == ["psnr", "ssim", "ms_ssim", "ms_ssim_db"]
    for name, value in values.items():
        assert value.shape == (2,) and value.dtype == torch.float64
        assert (value >= MEASURES[name].lowest).all() and value.isfinite().all()
    for name, value in measure_images(x, x).items():
        assert (value <= 1).all() if math.isinf(MEASURES[name].cap) else (value > MEASURES[name].cap).all(), (
            name
        )


def test_no_measure_has_the_name_of_a_column(images: ImageSet, tmp_path: Path) -> None:
    result = evaluate(PillowCodec("jpeg", 50), images, tmp_path / "run", "noise")
    write_rd_csv(tmp_path / "rd.csv", collect([tmp_path / "run"]))
    header = (tmp_path / "rd.csv").read_text("utf-8").splitlines()[0].split(",")
    columns = {*result.rows[0].plain(), *header} - result.codec.options.keys()
    known = {name for measure in MEASURES.values() for name in (measure.name, *measure.averages)}
    assert columns - known == measures.TAKEN


@pytest.mark.parametrize("name", [name for name in DECLARED if MEASURES[name].smallest_side > 1])
def test_a_measure_ends_at_its_smallest_side(name: str) -> None:
    side = MEASURES[name].smallest_side
    x = torch.zeros(1, 3, side, side + 9, dtype=torch.uint8)
    y = torch.full_like(x, 9)
    assert measure_images(x, y)[name].isfinite().all()
    assert measure_images(x[:, :, 1:], y[:, :, 1:])[name].isnan().all()
