from typing import Any

import pytest
import torch

from lic.models import build_model, full_options
from lic.papers import paper_of
from lic.papers.applsci2020 import PAPER, network_table


def cells(options: dict[str, Any]) -> list[list[str]]:
    columns = [[str(cell) for cell in column.cells] for column in network_table(options).columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_the_papers_networks() -> None:
    rows = cells({"name": "residual_gn"})
    assert len(rows) == 10, "the default is one of them"
    assert rows[0] == ["residual_gn", "32", "32", "1", "596,295", "61,886", "0.250"]
    assert rows[4] == ["residual_gn", "64", "64", "1", "2,367,111", "243,128", "0.500"]
    assert rows[8] == ["residual_gn", "128", "64", "3", "18,052,877", "1,924,192", "1.000"]
    assert rows[9] == ["residual_gn", "128", "128", "1", "9,432,327", "963,680", "1.000"]


@pytest.mark.slow
def test_another_network_stands_below() -> None:
    (row,) = cells({"name": "residual_gn", "importance": False, "bottleneck": 60})[10:]
    assert row == ["residual_gn · importance False", "64", "60", "1", "2,302,454", "242,876", "0.469"]
    (row,) = cells(full_options("residual_gn", width=8, channels=1, normalization="gdn"))[10:]
    assert row[0].endswith("gdn · channels 1") and row[1] == "8"


@pytest.mark.slow
def test_the_largest_rate_is_that_of_a_network_that_keeps_all() -> None:
    options: dict[str, Any] = {"name": "residual_gn", "width": 8, "importance": False, "residuals": 2}
    bits = build_model(**options)(torch.zeros(1, 3, 64, 64)).bits
    assert cells(options)[-1][6] == f"{sum(map(float, bits.values())) / 64**2:.3f}" == "0.750"


def test_the_paper_prints_no_speed() -> None:
    assert paper_of("residual_gn") is PAPER and not PAPER.images_per_second
