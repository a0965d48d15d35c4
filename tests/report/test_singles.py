import pytest

from lic.evaluation.points import collect, curves
from lic.report import singles
from lic.report.singles import single_tables

from ..made_runs import MakeRun, compact, jpeg, learned

VALUES = {
    "distinct_values": 180,
    "entropy": 6.5,
    "entropy_bpp": 4.875,
    "source_bytes": 70,
    "source_format": "jpg",
}


def test_every_image_of_every_point_has_a_row(make_run: MakeRun) -> None:
    make_run("all/5", learned("net", 5), 0.2, 30, 0.9)
    make_run("all/10", learned("net", 10), 0.4, 33, 0.9)
    folder = make_run("all/jpeg", jpeg(50), 0.5, 31).parent
    table, classical = single_tables(curves(collect([folder])))
    assert (table.label, classical.label, table.note) == ("net", "JPEG", "")
    assert table.headings == ["Image", "Bytes", "bpp", "PSNR\ndB", "SSIM", "MS-SSIM"]
    assert [point.setting for point in table.points] == ["λ = 5", "λ = 10"]
    assert table.points[0].rows == [
        ["bee", "26", "0.2200", "31.00", "0.8000", "0.9000"],
        ["boat", "21", "0.1800", "29.00", "0.8000", "0.9000"],
    ]
    assert [point.left_out for point in table.points] == [0, 0]


def test_what_papers_print_stands_beside(make_run: MakeRun) -> None:
    images = ("lenna", "bee")
    folder = make_run("run", compact("huffman"), 4, 30, images=images, columns=VALUES)
    (table,) = single_tables(curves(collect([folder])))
    assert "Tables 1 to 6" in table.note
    lenna, bee = (dict(zip(table.headings, row, strict=True)) for row in table.points[0].rows)
    assert (lenna["Paper\nPSNR"], lenna["Paper\nSSIM"], bee["Paper\nPSNR"]) == ("29.26", "0.86", "–")
    assert (lenna["Source\nbytes"], lenna["Distinct\nvalues"]) == ("70 jpg", "180")
    assert (lenna["Entropy\nbits/value"], lenna["Entropy\nbpp"]) == ("6.5000", "4.8750")


@pytest.mark.parametrize(("points", "images", "shown"), [(1, 500, 200), (30, 24, 24), (30, 500, 133)])
def test_many_images_are_cut_and_counted(make_run: MakeRun, points: int, images: int, shown: int) -> None:
    names = [str(i) for i in range(images)]
    for i in range(points):
        folder = make_run(f"all/{i}", learned("net", i + 1), i + 1, 30, images=names).parent
    (table,) = single_tables(curves(collect([folder])))
    assert {len(point.rows) for point in table.points} == {shown}
    assert {point.left_out for point in table.points} == {images - shown}


def test_every_point_shows_some(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singles, "MOST_ROWS", 1)
    for i in (1, 2):
        folder = make_run(f"all/{i}", learned("net", i), i, 30, images="abcdefg").parent
    (table,) = single_tables(curves(collect([folder])))
    assert [len(point.rows) for point in table.points] == [4, 4]
