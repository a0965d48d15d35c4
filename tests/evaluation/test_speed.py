import math
from pathlib import Path
from typing import Any

import pytest

from lic.evaluation.points import collect, curves
from lic.evaluation.result import CodecInfo, Result, Row
from lic.evaluation.speed import DECODING, NETWORKS, network_table, speed_of
from lic.models import MODELS


def cells(options: dict[str, Any]) -> list[list[str]]:
    columns = [[str(cell) for cell in column.cells] for column in network_table(options).columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_the_papers_networks() -> None:
    rows = cells(NETWORKS["fastdic"])
    assert len(rows) == 10
    assert rows[0] == ["scale_hyperprior", "128, 192", "5,075,843", "87,080", "×1.00", "0.85 images/s"]
    assert rows[1] == ["fastdic", "128, 192", "4,280,972", "27,688", "×3.15", "1.85 images/s"]
    assert rows[3] == ["fastdic · drop False", "128, 192", "5,133,452", "25,370", "×3.43", "–"]
    assert rows[4] == ["slowdic", "192, 192", "14,130,467", "197,900", "×0.44", "0.85 images/s"]
    assert rows[6] == ["fastdic", "192, 320", "9,985,036", "60,330", "×3.22", "–"]


def test_another_network_stands_beside_its_baseline() -> None:
    rows = cells({"name": "fastdic", "pixel_unshuffle": 2, "drop": True, "width": 8, "bottleneck": 12})[10:]
    assert [row[:2] for row in rows] == [["scale_hyperprior", "8, 12"], ["fastdic", "8, 12"]]
    assert rows[0][4] == "×1.00" and rows[1][4] > "×1.00"
    (row,) = cells({"name": "scale_hyperprior", "width": 8, "bottleneck": 12})[10:]
    assert row[4] == "×1.00"


def test_figures_are_of_models_that_exist() -> None:
    assert set(DECODING) == {options["name"] for options in NETWORKS.values()} <= set(MODELS)


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """Three points of one curve; the third is of an older file."""
    codec = CodecInfo("net", "λ = 5", True, "net")
    for name, threads, times in (
        ("a", 1, [(1.0, 2.0, 0.5, 1.0), (3.0, 4.0, 0.5, 2.0)]),
        ("b", 2, [(1.0, 2.0, 0.5, 1.0), (3.0, 4.0, 0.5, 2.0)]),
        ("older", None, [(2.0, 3.0), (2.0, 3.0)]),
    ):
        rows = (Row(str(i), 8, 8, 8, 1, 1, 30, 0.9, 10, *seconds) for i, seconds in enumerate(times))
        (tmp_path / name).mkdir()
        Result(codec, "photos", tuple(rows), threads).save(tmp_path / name / "test.json")
    return tmp_path


def test_speed_is_one_over_the_mean_of_what_was_timed(timed: Path) -> None:
    (curve,) = curves(collect([timed]))
    speed = speed_of(curve)
    assert (speed.analysis, speed.synthesis, speed.encode) == (2, 1 / 1.5, 0.5)
    assert speed.decode == pytest.approx(1 / 3) and speed.set_s == pytest.approx(6)
    assert speed.threads == (1, 2)


def test_what_was_never_timed_has_no_speed(timed: Path) -> None:
    (curve,) = curves(collect([timed / "older"]))
    speed = speed_of(curve)
    assert math.isnan(speed.analysis) and math.isnan(speed.synthesis)
    assert (speed.encode, speed.threads) == (0.5, ())
