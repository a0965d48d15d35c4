import math
from typing import Any

from lic.papers import paper_of
from lic.papers.cai2019 import NETWORKS, PAPER, network_table


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


def test_the_papers_speeds_are_of_its_own_networks_alone() -> None:
    speeds = {label: PAPER.decoding_speed(options) for label, options in NETWORKS.items()}
    printed = {label: speed for label, speed in speeds.items() if not math.isnan(speed)}
    assert printed == {"baseline": 0.85, "fastdic": 1.85, "slowdic": 0.85}
    assert PAPER.decoding_speed({"name": "fastdic"}) == 1.85, "defaults need not be said"
    for options in ({"width": 64}, {"width": 128, "bottleneck": 128}, {"drop": False}, {"of_a_stranger": 1}):
        assert math.isnan(PAPER.decoding_speed({"name": "fastdic", **options}))
    assert paper_of("slowdic") is PAPER and paper_of("jpeg") is None
