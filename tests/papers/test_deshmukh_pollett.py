from typing import Any

from lic.papers import paper_of
from lic.papers.deshmukh_pollett import PAPER, network_table


def cells(options: dict[str, Any]) -> list[list[str]]:
    columns = [[str(cell) for cell in column.cells] for column in network_table(options).columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_the_papers_networks() -> None:
    rows = cells({"name": "icm_irm"})
    assert len(rows) == 8, "the default is one of them"
    assert rows[0] == ["comcnn_reccnn", "40,579", "670,531", "11,376", "667,008", "6"]
    assert rows[1] == ["icm_irm", "40,579", "398,723", "11,376", "395,456", "6"]
    assert rows[2][2:5:2] == ["559,363", "556,416"] and rows[3][1] == "3,735"
    assert [row[1:3] for row in rows[4:6]] == [["38,273", "668,225"], ["38,273", "396,417"]]
    assert rows[4][5] == "2"


def test_another_network_stands_below() -> None:
    (row,) = cells({"name": "icm_irm", "width": 8, "stride": 4, "channels": 1})[8:]
    assert row[0] == "icm_irm · width 8 · stride 4 · channels 1" and row[5] == "0.5"
    assert cells({"name": "comcnn_reccnn", "stride": 3})[8][5] == "2.67"


def test_both_families_are_of_the_paper() -> None:
    assert paper_of("icm_irm") is paper_of("comcnn_reccnn") is PAPER and not PAPER.images_per_second
