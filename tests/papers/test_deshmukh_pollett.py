from typing import Any

import pytest

from lic.papers import PAPERS, paper_of
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


@pytest.mark.parametrize(
    ("network", "images", "average"),
    [
        ("ComCNN, RecCNN, gray", ("lenna", "peppers", "parrots"), (28.00, 0.56)),
        ("ICM, IRM", ("baboon", "lenna", "peppers", "parrots"), (28.46, 0.81)),
        ("ICM, IRM, gray", ("cameraman", "peppers", "lenna", "parrots", "house"), (28.48, 0.86)),
    ],
)
def test_printed_images_have_the_printed_averages(
    network: str, images: tuple[str, ...], average: tuple[float, float]
) -> None:
    """The paper cuts 28.459 to 28.45."""
    rows = [PAPER.image_quality(PAPER.networks[network], image) for image in images]
    assert set(PAPER.images[network]) - {"kodim23"} == set(images)
    for measure, printed in zip(("psnr", "ssim"), average, strict=True):
        assert sum(row[measure] for row in rows) / len(rows) == pytest.approx(printed, abs=0.0051)


def test_images_are_found_by_their_names() -> None:
    colour, gray = {"name": "icm_irm", "width": 8}, {"name": "icm_irm", "channels": 1}
    for name in ("lenna", "Lenna", "color_lenna_512", "lenna-256", "colour-lenna"):
        assert PAPER.image_quality(colour, name) == {"psnr": 29.26, "ssim": 0.86}
    assert PAPER.image_quality(gray, "gray_lenna_512")["psnr"] == 29.88
    assert PAPER.image_quality(colour, "kodim23") == PAPER.image_quality(colour, "parrots")
    for name in ("kodim22", "my lenna's house", "", "512", "cameraman"):
        assert not PAPER.image_quality(colour, name)
    assert not PAPER.image_quality(gray, "kodim23"), "Set12's parrots are others"
    assert not PAPER.image_quality({"name": "comcnn_reccnn"}, "lenna"), "printed of gray images alone"
    assert all(not paper.images for paper in PAPERS if paper is not PAPER)
