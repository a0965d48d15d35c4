import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lic.errors import UserError
from lic.evaluation.result import CodecInfo, Result, Row

ROW = Row("蜂 & bee", 40, 24, 30, 0.25, math.nan, 30.0, math.nan, math.nan, 0.1, 0.2)
CODEC = CodecInfo("JPEG", "quality 10", False, "jpeg")


def result(*rows: Row) -> Result:
    return Result(CODEC, "фото", rows)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    saved = result(ROW, replace(ROW, psnr=math.inf, ms_ssim=1.0, ms_ssim_db=math.inf, estimated_bpp=0.24))
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


def test_a_mean_leaves_out_what_is_not_finite() -> None:
    mean = result(ROW, replace(ROW, psnr=34.0), replace(ROW, psnr=math.inf)).mean
    assert mean["psnr"] == 32
    assert math.isnan(mean["estimated_bpp"])
    assert result(replace(ROW, psnr=math.inf)).mean["psnr"] == math.inf
    assert math.isnan(result().mean["bpp"])


def test_pooled_averages_are_those_of_all_pixels_together() -> None:
    rng = np.random.default_rng(0)
    sizes, errors = [(24, 40), (8, 16)], []
    rows = []
    for (height, width), noise in zip(sizes, (20, 3), strict=True):
        errors.append(rng.normal(0, noise, (height, width, 3)) ** 2)
        value = 10 * math.log10(255**2 / errors[-1].mean())
        rows.append(replace(ROW, width=width, height=height, bytes=width, psnr=value))
    mean = result(*rows).mean
    pooled = np.concatenate([error.ravel() for error in errors]).mean()
    assert mean["psnr_pooled"] == pytest.approx(10 * math.log10(255**2 / pooled))
    assert mean["psnr_pooled"] < mean["psnr"]  # the large image is the bad one
    assert mean["bpp_pooled"] == pytest.approx(8 * (40 + 16) / (24 * 40 + 8 * 16))


def test_an_image_without_loss_has_no_error_to_pool() -> None:
    lossless = replace(ROW, psnr=math.inf)
    assert result(ROW, lossless).mean["psnr_pooled"] == pytest.approx(ROW.psnr + 10 * math.log10(2))
    assert result(lossless).mean["psnr_pooled"] == math.inf
    assert math.isnan(result().mean["psnr_pooled"]) and math.isnan(result().mean["bpp_pooled"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"codec": {}, "data": "x", "rows": [3]}', "\ud800"])
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "test.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"test\.json is not a test result"):
        Result.load(file)
