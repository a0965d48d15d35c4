import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from lic.console import Console
from lic.errors import UserError
from lic.evaluation.points import bd_rates, collect, collect_failures, curves, number, table, write_rd_csv
from lic.foreign import Plain
from lic.metrics.bd_rate import bd_rate

from ..made_runs import MakeRun, jpeg, learned


def test_a_sweep_becomes_curves_by_rising_rate(sweep: Path) -> None:
    resnet, classical = curves(collect([sweep]))
    assert (resnet.label, resnet.learned, classical.label, classical.learned) == (
        "resnet · subpixel", True, "JPEG", False,
    )  # fmt: skip
    assert resnet.values("bpp") == pytest.approx([0.2, 0.4])
    assert classical.values("psnr") == pytest.approx([27, 31, 36])


def test_folders_may_be_runs_overlap_and_be_several(sweep: Path) -> None:
    assert len(collect([sweep / "lambda=5"])) == 1
    assert len(collect([sweep / "lambda=5", sweep / "classical"])) == 4
    assert len(collect([sweep, sweep / "lambda=5", sweep.parent])) == 5


def test_the_same_classical_point_of_two_jobs_is_one_point(make_run: MakeRun, tmp_path: Path) -> None:
    for job in ("a", "b"):
        make_run(f"{job}/jpeg", jpeg(50), 0.8, 31)
        make_run(f"{job}/own", learned("net", 5), 0.5, 31)
    make_run("c/jpeg", jpeg(50), 0.8, 31, images=("other",))
    found = curves(collect([tmp_path]))
    assert [(curve.name, len(curve.points)) for curve in found] == [("net", 2), ("JPEG", 1), ("JPEG", 1)]
    assert not found[1].same_images(found[2])


def test_no_result_is_a_sentence(tmp_path: Path, make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="evaluate a run first"):
        collect([tmp_path])
    make_run("empty", jpeg(1), 1, 1, images=())
    with pytest.raises(UserError, match="evaluate a run first"):
        collect([tmp_path])


def test_failures(sweep: Path) -> None:
    (sweep / "lambda=5/status.json").write_text('{"status": "done"}')
    (sweep / "lambda=10/status.json").write_text('{"sta')
    (failure,) = collect_failures([sweep])
    assert (failure.run.name, failure.error) == ("lambda=20", "the loss is not finite")


def test_data_sets_stay_apart(sweep: Path, make_run: MakeRun) -> None:
    make_run("sweep/kodak", learned("resnet · subpixel", 5), 0.3, 28, data="kodak")
    all_curves = curves(collect([sweep]))
    assert [curve.label for curve in all_curves] == [
        "resnet · subpixel · kodak", "resnet · subpixel · photos", "JPEG · photos",
    ]  # fmt: skip
    kodak, photos, classical = (bd_rates(curve, all_curves) for curve in all_curves)
    assert kodak is None  # JPEG was not measured there
    assert photos is not None and classical is None


def test_curves_of_one_name_stay_apart(make_run: MakeRun, tmp_path: Path) -> None:
    """By what their codecs are; and one curve may have several names."""
    net = learned("net", 5)
    objective: dict[str, Plain] = {"lambda": 7, "distortion": "ms_ssim"}
    make_run("sweep/a", net, 0.3, 30)
    make_run("sweep/b", replace(net, objective=objective, curve="renamed"), 0.4, 31)
    make_run("sweep/c", replace(net, options={"width": 8}), 0.5, 32)
    made = curves(collect([tmp_path / "sweep"]))
    assert [(curve.label, len(curve.points)) for curve in made] == [("net", 2), ("net #2", 1)]


def test_sets_of_one_name_have_labels_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("sweep/a", learned("net", 5), 0.3, 30)
    make_run("sweep/b", learned("net", 5), 0.3, 30, images=("other",))
    labels = [curve.label for curve in curves(collect([tmp_path / "sweep"]))]
    assert labels == ["net · photos", "net · photos #2"]


def test_bd_rates_against_jpeg(sweep: Path, make_run: MakeRun) -> None:
    make_run("sweep/lone", learned("single", 5), 0.3, 30)
    make_run("sweep/far-1", learned("too good", 5), 0.3, 60)
    make_run("sweep/far-2", learned("too good", 10), 0.4, 70)
    all_curves = {curve.name: curve for curve in curves(collect([sweep]))}
    rates = {name: bd_rates(curve, list(all_curves.values())) for name, curve in all_curves.items()}
    good = rates["resnet · subpixel"]
    assert good is not None
    assert good["psnr"].percent == pytest.approx(bd_rate([0.3, 0.8, 2.0], [27, 31, 36], [0.2, 0.4], [29, 32]))
    assert good["psnr"].percent < 0
    assert good["psnr"].interval == pytest.approx((29, 32))
    for name in ("single", "too good"):
        undefined = rates[name]
        assert undefined is not None
        assert math.isnan(undefined["psnr"].percent) and undefined["psnr"].interval is None


def test_rd_csv(sweep: Path, make_run: MakeRun) -> None:
    make_run("sweep/=lossless, “quoted”", learned('net "x", λ', 5), 9, math.inf, 1.0)
    file = sweep / "rd.csv"
    write_rd_csv(file, collect([sweep]))
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    assert ",".join(rows[0]) == (
        "curve,setting,model,upsample,width,quality,lambda,distortion,variant,parameters,data,images,"
        "bpp,bpp_pooled,estimated_bpp,gap_percent,psnr,psnr_pooled,ssim,ms_ssim,ms_ssim_db,"
        "encode_s,decode_s,analysis_s,synthesis_s,run"
    )
    by_run = {row["run"]: row for row in rows}
    assert len(by_run) == 6
    first = by_run["lambda=5"]
    assert (first["curve"], first["setting"], first["lambda"]) == ("resnet · subpixel", "λ = 5", "5")
    assert first["images"] == "2" and float(first["bpp"]) == pytest.approx(0.2)
    assert float(first["gap_percent"]) == pytest.approx(0.5)
    assert float(first["psnr"]) == pytest.approx(29) and 28.8 < float(first["psnr_pooled"]) < 28.9
    assert (first["analysis_s"], first["synthesis_s"]) == ("0.05", "0.16")
    classical = by_run["classical/jpeg-10"]
    assert (classical["estimated_bpp"], classical["gap_percent"], classical["lambda"]) == ("", "", "")
    assert (classical["decode_s"], classical["analysis_s"], classical["synthesis_s"]) == ("0.2", "", "")
    lossless = by_run["=lossless, “quoted”"]
    assert (lossless["curve"], lossless["psnr"], lossless["psnr_pooled"]) == ('net "x", λ', "inf", "inf")


def test_rd_csv_has_values_and_entropy_only_where_a_codec_has_them(sweep: Path) -> None:
    write_rd_csv(sweep / "rd.csv", collect([sweep]))
    assert "entropy" not in (sweep / "rd.csv").read_text("utf-8").splitlines()[0]


def test_rd_csv_has_a_column_for_each_part_of_an_objective(sweep: Path, make_run: MakeRun) -> None:
    """Names that are columns already stay what they were."""
    objective: dict[str, Plain] = {"rate": 0.5, "lambda": 2, "bpp": 7, "curve": "forged", "depth": 4}
    options: dict[str, Plain] = {"depth": 3, "data": "x"}
    make_run("sweep/gan", replace(learned("gan", 1), objective=objective, options=options), 0.3, 28)
    write_rd_csv(sweep / "rd.csv", collect([sweep]))
    header, *_ = (sweep / "rd.csv").read_text("utf-8").splitlines()
    columns = header.split(",")
    assert len(columns) == len(set(columns)) and {"rate", "lambda", "distortion", "depth"} <= set(columns)
    rows = {row["run"]: row for row in csv.DictReader((sweep / "rd.csv").read_text("utf-8").splitlines())}
    gan, net, classical = rows["gan"], rows["lambda=5"], rows["classical/jpeg-10"]
    assert (gan["rate"], gan["lambda"], gan["distortion"], gan["depth"]) == ("0.5", "2", "", "3")
    assert gan["curve"] == "gan" and float(gan["bpp"]) == pytest.approx(0.3)
    assert (gan["objective.curve"], gan["objective.bpp"], gan["objective.depth"]) == ("forged", "7", "4")
    assert (gan["data"], gan["options.data"]) == ("photos", "x")
    assert (net["rate"], net["lambda"], net["distortion"], net["depth"]) == ("", "5", "ms_ssim", "")
    assert (classical["rate"], classical["lambda"]) == ("", "")


def test_table_shows_names_as_they_are(sweep: Path, make_run: MakeRun) -> None:
    make_run("sweep/odd", learned("[red]λ[/] 9×9", 5), 0.3, math.inf)
    console = Console(width=100)
    with console.capture() as printed:
        console.print(table(collect([sweep])))
    text = printed.get()
    assert "[red]λ[/] 9×9" in text and "∞" in text
    assert "quality 50" in text and "+0.50 %" in text


def test_number() -> None:
    assert number(-1.234, 1, signed=True, unit=" %") == "−1.2 %"
    assert (number(math.nan, 2, unit=" %"), number(math.inf, 2)) == ("–", "∞")
