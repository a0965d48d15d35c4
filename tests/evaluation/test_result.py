import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.errors import UserError
from lic.evaluation.result import ORIGINALS, CodecInfo, Result, Row, kept_picture
from lic.foreign import Plain
from lic.metrics.measures import MEASURES, Measure
from lic.store.objective import Objective

MEASURED = {"psnr": 30.0, "ssim": 0.8, "ms_ssim": math.nan, "ms_ssim_db": math.nan}
ROW = Row("蜂 & bee", 40, 24, 30, 0.25, math.nan, MEASURED, 0.1, 0.2)
WRONG: tuple[object, ...] = ("9", "nan", [1], {}, True, 1e300, 10**400)
TABLES: tuple[object, ...] = (
    3, None, "x", [["a", 1]], {"a": [1]}, {"a": {}}, {"a": 1e300}, {"a": "x" * 20_000}, {"": 1},
    {"a\x1b[2J": 1}, {"a": "\n"}, {"x" * 200: 1},
)  # fmt: skip
CODEC = CodecInfo("JPEG", "quality 10", False, "jpeg")


def measured(row: Row, **values: float) -> Row:
    return replace(row, measures=row.measures | values)


def result(*rows: Row) -> Result:
    return Result(CODEC, "фото", rows)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    lossless = measured(replace(ROW, file="\udcff"), psnr=math.inf, ms_ssim=1.0, ms_ssim_db=math.inf)
    saved = result(ROW, replace(lossless, estimated_bpp=0.24))
    saved.save(tmp_path / "test.json")
    text = (tmp_path / "test.json").read_text("utf-8")
    assert "NaN" not in text and set(json.loads(text)) >= {"mean", "rows"}
    loaded = Result.load(tmp_path / "test.json")
    assert repr(loaded) == repr(saved)  # NaN equals NaN there
    assert repr(loaded.mean) == repr(saved.mean)


def test_older_files_have_no_times_of_the_network(tmp_path: Path) -> None:
    file = tmp_path / "test.json"
    Result(replace(CODEC, macs=5), "photos", (replace(ROW, analysis_s=0.05, synthesis_s=0.1),), 2).save(file)
    saved = Result.load(file)
    assert (saved.threads, saved.codec.macs, saved.mean["synthesis_s"]) == (2, 5, 0.1)
    content = json.loads(file.read_text("utf-8"))
    del content["threads"], content["codec"]["macs"]
    del content["rows"][0]["analysis_s"], content["rows"][0]["synthesis_s"]
    file.write_text(json.dumps(content))
    older = Result.load(file)
    assert (older.threads, older.codec.macs) == (None, None)
    assert math.isnan(older.mean["analysis_s"]) and math.isnan(older.rows[0].synthesis_s)


def test_older_files_know_neither_values_nor_sources(tmp_path: Path) -> None:
    file = tmp_path / "test.json"
    known: dict[str, Any] = {"distinct_values": 9, "entropy": 2.5, "entropy_bpp": 1.9, "source_bytes": 70}
    result(replace(ROW, **known, source_format="jpg")).save(file)
    saved = Result.load(file)
    assert saved.rows[0].source_format == "jpg" and known.items() <= saved.mean.items()
    content = json.loads(file.read_text("utf-8"))
    for name in (*known, "source_format"):
        del content["rows"][0][name]
    file.write_text(json.dumps(content))
    assert repr(Result.load(file).rows[0]) == repr(ROW)


def test_lambda_moves_along_the_curves_of_older_files(content: dict[str, Any], tmp_path: Path) -> None:
    assert content["codec"]["moving"] == CODEC.moving == []
    del content["codec"]["moving"]
    (tmp_path / "test.json").write_text(json.dumps(content))
    assert Result.load(tmp_path / "test.json").codec == replace(CODEC, moving=["lambda"])


def test_older_files_lack_measures_but_load(content: dict[str, Any], tmp_path: Path) -> None:
    del content["rows"][0]["ssim"]
    (tmp_path / "test.json").write_text(json.dumps(content))
    older = Result.load(tmp_path / "test.json")
    assert math.isnan(older.rows[0].measure("ssim")) and math.isnan(older.mean["ssim"])
    assert older.mean["psnr"] == 30 and math.isnan(older.mean["ms_ssim"])


def test_the_layout_is_flat(content: dict[str, Any]) -> None:
    assert content["rows"] == [
        {
            "file": "蜂 & bee", "width": 40, "height": 24, "bytes": 30, "bpp": 0.25, "estimated_bpp": None,
            "encode_s": 0.1, "decode_s": 0.2, "analysis_s": None, "synthesis_s": None,
            "distinct_values": None, "entropy": None, "entropy_bpp": None,
            "source_bytes": None, "source_format": "",
            "psnr": 30.0, "ssim": 0.8, "ms_ssim": None, "ms_ssim_db": None,
        }
    ]  # fmt: skip
    assert content["codec"]["objective"] == content["codec"]["options"] == {}


def test_a_result_of_before_the_objective_is_one_sentence(content: dict[str, Any], tmp_path: Path) -> None:
    del content["codec"]["objective"], content["codec"]["options"]
    content["codec"] |= {"upsample": None, "lmbda": None, "distortion": None}
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="evaluate the run again, or remove it"):
        Result.load(tmp_path / "test.json")


def test_an_image_may_be_called_as_a_number_is(tmp_path: Path) -> None:
    result(replace(ROW, file="Infinity")).save(tmp_path / "test.json")
    assert Result.load(tmp_path / "test.json").rows[0].file == "Infinity"


def test_a_mean_leaves_out_what_is_not_finite() -> None:
    mean = result(ROW, measured(ROW, psnr=34.0), measured(ROW, psnr=math.inf)).mean
    assert mean["psnr"] == 32
    assert math.isnan(mean["estimated_bpp"])
    assert result(measured(ROW, psnr=math.inf)).mean["psnr"] == math.inf
    assert math.isnan(result().mean["bpp"])


def test_pooled_averages_are_those_of_all_pixels_together() -> None:
    rng = np.random.default_rng(0)
    sizes, errors = [(24, 40), (8, 16)], []
    rows = []
    for (height, width), noise in zip(sizes, (20, 3), strict=True):
        errors.append(rng.normal(0, noise, (height, width, 3)) ** 2)
        value = 10 * math.log10(255**2 / errors[-1].mean())
        rows.append(measured(replace(ROW, width=width, height=height, bytes=width), psnr=value))
    mean = result(*rows).mean
    pooled = np.concatenate([error.ravel() for error in errors]).mean()
    assert mean["psnr_pooled"] == pytest.approx(10 * math.log10(255**2 / pooled))
    assert mean["psnr_pooled"] < mean["psnr"]  # the large image is the bad one
    assert mean["bpp_pooled"] == pytest.approx(8 * (40 + 16) / (24 * 40 + 8 * 16))


def test_an_image_without_loss_has_no_error_to_pool() -> None:
    lossless = measured(ROW, psnr=math.inf)
    assert result(ROW, lossless).mean["psnr_pooled"] == pytest.approx(
        ROW.measures["psnr"] + 10 * math.log10(2)
    )
    assert result(lossless).mean["psnr_pooled"] == math.inf
    assert math.isnan(result().mean["psnr_pooled"]) and math.isnan(result().mean["bpp_pooled"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"codec": {}, "data": "x", "rows": [3]}', "\ud800"])
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "test.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"test\.json is not a test result"):
        Result.load(file)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A good ``test.json``."""
    result(ROW).save(tmp_path / "test.json")
    loaded = json.loads((tmp_path / "test.json").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(
    "name", ["../../private", "/etc/passwd", "..", ".", "", "a/b", "a/", 7, None, "x" * 20_000]
)
def test_an_image_is_called_as_a_file_of_its_folder(
    content: dict[str, Any], tmp_path: Path, name: object
) -> None:
    content["rows"][0]["file"] = name
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"test\.json is not a test result"):
        Result.load(tmp_path / "test.json")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        *(("codec", key, value) for key in ("macs", "parameters") for value in WRONG),
        ("codec", "macs", 0.5),
        ("codec", "curve", {"a": 1}),
        ("codec", "curve", "x" * 20_000),
        ("codec", "learned", "yes"),
        *(("codec", key, value) for key in ("options", "objective") for value in TABLES),
        ("codec", "objective", {"lambda": math.nan}),
        ("codec", "objective", {f"key{i}": i for i in range(1000)}),
        ("codec", "lmbda", 5),
        ("codec", "made_up", 3),
        *(("row", key, value) for key in ("bpp", "psnr", "width", "height") for value in WRONG),
        *(("row", key, value) for key in ("source_bytes", "distinct_values", "entropy") for value in WRONG),
        *(("row", "source_format", value) for value in (None, 3, "<b>", "../x", "jpg\n", "x" * 10)),
        *(("row", "bpp", value) for value in (None, "Infinity", 0, -1)),
        *(("row", key, value) for key in ("width", "height") for value in (0, -3, 1.5, None)),
        ("row", "psnr", -400),
        ("row", "bytes", 1.5),
        ("row", "made\x1b[2J_up", 1),
        ("file", "threads", "many"),
        ("file", "data", ["kodak"]),
        ("file", "rows", {"a": 1}),
    ],
)
def test_forged_values_are_refused(
    content: dict[str, Any], tmp_path: Path, part: str, key: str, value: object
) -> None:
    {"codec": content["codec"], "row": content["rows"][0], "file": content}[part][key] = value
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"test\.json is not a test result") as caught:
        Result.load(tmp_path / "test.json")
    assert len(str(caught.value)) < len(str(tmp_path)) + 400 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "values",
    [{"gan-weight": 1}, {"adversarial": True}, {"shift": -2.0}, {"<b> of λ": None, "a b": -(10**17)}],
)
def test_what_trains_can_be_reported(tmp_path: Path, values: dict[str, Plain]) -> None:
    assert Objective.parse(Objective(values).plain()).values == values
    saved = Result(replace(CODEC, objective=values, options=values), "photos", (ROW,))
    saved.save(tmp_path / "test.json")
    assert Result.load(tmp_path / "test.json").codec == saved.codec


def test_an_image_has_one_row(content: dict[str, Any], tmp_path: Path) -> None:
    content["rows"] *= 2
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="several rows of '蜂 & bee'"):
        Result.load(tmp_path / "test.json")


def test_a_result_is_a_file_of_its_folder(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "test.json").symlink_to(tmp_path / "test.json")
    with pytest.raises(UserError, match="a link out of its folder"):
        Result.load(tmp_path / "run" / "test.json")


def test_nesting_that_no_parser_bears(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text('{"codec":' + "[" * 200_000)
    with pytest.raises(UserError, match="nested too deeply"):
        Result.load(tmp_path / "test.json")


def test_pictures_stay_within_their_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / ORIGINALS).mkdir(parents=True)
    for file in (tmp_path / "private.png", run / ORIGINALS / "bee.png"):
        file.write_bytes(b"pixels")
    (run / ORIGINALS / "link.png").symlink_to(tmp_path / "private.png")
    (run / ORIGINALS / "other.png").symlink_to("bee.png")
    (run / "elsewhere").symlink_to(tmp_path)
    assert kept_picture(run, ORIGINALS, "bee") and kept_picture(run, ORIGINALS, "other")
    assert kept_picture(run, ORIGINALS, "link") is None
    assert kept_picture(run, ORIGINALS, "../../private") is None
    assert kept_picture(run, "elsewhere", "private") is None
    assert kept_picture(run, ORIGINALS, str(tmp_path / "private")) is None


def test_the_least_of_a_measure_that_has_none_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MEASURES, "log_error", Measure("log_error", "Log error", lambda x, y: x))
    row = Row("a", 2, 2, 5, 10.0, math.nan, {"psnr": math.inf, "log_error": -math.inf}, 0.1, 0.2)
    Result(CODEC, "photos", (row,)).save(tmp_path / "test.json")
    loaded = Result.load(tmp_path / "test.json")
    assert loaded.rows[0].measures == {"psnr": math.inf, "log_error": -math.inf}
    assert loaded.mean["log_error"] == -math.inf
    forged = json.loads((tmp_path / "test.json").read_text())
    forged["rows"][0]["psnr"] = "-Infinity"
    (tmp_path / "test.json").write_text(json.dumps(forged))
    with pytest.raises(UserError, match="psnr is out of range"):
        Result.load(tmp_path / "test.json")


def test_results_of_another_version_are_told(tmp_path: Path) -> None:
    Result(CODEC, "photos", (ROW,)).save(tmp_path / "test.json")
    other = json.loads((tmp_path / "test.json").read_text())
    other["codec"]["upsample"] = "tconv"
    (tmp_path / "test.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="another version of lic wrote it: its codec has upsample"):
        Result.load(tmp_path / "test.json")
