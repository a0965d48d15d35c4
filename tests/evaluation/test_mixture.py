import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lic.codecs.base import CodecInfo
from lic.codecs.classical import PillowCodec
from lic.data import ImageFolder, write_png
from lic.data.sources import ImageSet
from lic.errors import UserError
from lic.evaluation.mixture import evaluate_mixture, evaluate_models, mix
from lic.evaluation.points import collect, curves
from lic.evaluation.result import RESULT_FILE, Result, Row

INFO = CodecInfo(
    "net (ms_ssim)",
    "λ = 5",
    True,
    "baseline",
    objective={"lambda": 5, "distortion": "ms_ssim"},
    moving=["lambda"],
    parameters=1000,
)
SIZES = (200, 150, 230)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    for i, side in enumerate(SIZES):
        plain = np.linspace(0, 255, side * 180 * 3).reshape(side, 180, 3)
        noisy = np.clip(plain + rng.normal(0, 30 * i, plain.shape), 0, 255)
        write_png(tmp_path / "photos" / f"{i}.png", noisy.astype(np.uint8))
    return ImageFolder(tmp_path / "photos")


def made_up(sizes: Sequence[int], qualities: Sequence[float], info: CodecInfo = INFO, **row: float) -> Result:
    rows = [
        Row(
            f"{i}",
            100,
            80,
            size,
            size / 1000,
            math.nan,
            {"psnr": 30 + 10 * quality, "ms_ssim": quality},
            0.1,
            0.2,
        )
        for i, (size, quality) in enumerate(zip(sizes, qualities, strict=True))
    ]
    return Result(info, "photos", tuple(rows))


def test_the_mixture_is_an_operating_point_of_chosen_files(images: ImageSet, tmp_path: Path) -> None:
    codecs = [PillowCodec("jpeg", quality) for quality in (10, 50, 90)]
    made = evaluate_mixture(codecs, images, tmp_path / "run", "noise", 1.2, "psnr", pictures=[1])
    mixture, alone = made.result, made.alone

    saved = Result.load(tmp_path / "run" / RESULT_FILE)
    assert repr(saved.rows) == repr(mixture.rows)  # NaN equals NaN there
    folders = [tmp_path / "run" / f"model-{number}" for number in (1, 2, 3)]
    for folder, result in zip(folders, alone, strict=True):
        assert repr(Result.load(folder / RESULT_FILE)) == repr(result)
    chosen = mix(alone, 1.2, "psnr").models
    assert made.models == chosen and len(set(chosen)) > 1
    for row, model in zip(mixture.rows, chosen, strict=True):
        file = Path("streams", f"{row.file}.jpg")
        data = (tmp_path / "run" / file).read_bytes()
        assert data == (folders[model] / file).read_bytes()
        assert row.bytes == len(data) and row.measures == alone[model].rows[int(row.file)].measures
    for file in (Path("reconstructions", "1.png"), Path("originals", "1.png")):
        assert (tmp_path / "run" / file).read_bytes() == (folders[chosen[1]] / file).read_bytes()
    assert len(list((tmp_path / "run").rglob("*.png"))) == 4 * 2

    bits = [[8 * row.bytes for row in result.rows] for result in alone]
    worth = {
        sum(alone[m].rows[i].measures["psnr"] for i, m in enumerate(choice))
        for choice in itertools.product(range(3), repeat=3)
        if sum(bits[m][i] for i, m in enumerate(choice)) <= 1.2 * 180 * sum(SIZES)
    }
    assert 3 * mixture.mean["psnr"] == pytest.approx(max(worth))
    assert mixture.mean["bpp_pooled"] <= 1.2

    drawn = curves(collect([tmp_path / "run"]))
    assert [(c.name, c.points[0].result.codec.setting) for c in drawn if c.name.startswith("rate")] == [
        ("rate control by PSNR: JPEG 4:2:0, quality 10 | quality 50 | quality 90", "to 1.2 bpp")
    ]


def test_models_without_a_target_are_measured_each(images: ImageSet, tmp_path: Path) -> None:
    codecs = [PillowCodec("jpeg", quality) for quality in (10, 50)]
    results = list(evaluate_models(codecs, images, tmp_path / "run", "noise"))
    assert [r.codec.setting for r in results] == ["quality 10", "quality 50"]
    assert not (tmp_path / "run" / RESULT_FILE).exists()


def test_the_target_counts_all_pixels_together_and_is_met_from_below() -> None:
    low, high = made_up([100, 100, 100], [0.9, 0.9, 0.9]), made_up([200, 150, 300], [0.95, 0.93, 0.99])
    for target, chosen in {0.1: (0, 0, 0), 0.15: (1, 1, 0), 0.1499: (1, 0, 0), 0.167: (0, 0, 1)}.items():
        mixture = mix([low, high], target, "ms_ssim")
        assert mixture.models == chosen
        assert mixture.result.mean["bpp_pooled"] <= target
        assert [row.measures["ms_ssim"] for row in mixture.result.rows] == [
            (low, high)[model].rows[i].measures["ms_ssim"] for i, model in enumerate(chosen)
        ]


def test_every_model_encodes_and_one_decodes() -> None:
    low, high = made_up([100], [0.9]), made_up([200], [0.95])
    slow = replace(high.rows[0], encode_s=0.5, analysis_s=0.25, decode_s=3, synthesis_s=2)
    fast = replace(low.rows[0], analysis_s=0.0625, synthesis_s=0.125)
    one, other = replace(low, rows=(fast,), threads=2), replace(high, rows=(slow,), threads=2)
    result = mix([one, other], 0.2, "psnr").result
    (row,) = result.rows
    assert (row.bytes, row.encode_s, row.analysis_s, row.decode_s, row.synthesis_s) == (
        200,
        0.6,
        0.3125,
        3,
        2,
    )
    assert result.threads == 2
    assert mix([one, replace(other, threads=1)], 0.2, "psnr").result.threads is None
    assert math.isnan(mix([low, other], 0.2, "psnr").result.rows[0].analysis_s)


def test_who_the_mixture_is() -> None:
    other = replace(INFO, setting="λ = 10", objective={"lambda": 10, "distortion": "ms_ssim"})
    third = replace(
        INFO,
        curve="other (mse)",
        setting="λ = 0.1",
        model="other",
        objective={"lambda": 0.1, "distortion": "mse"},
        parameters=5,
    )
    a, b, c = (made_up([100], [0.9], info) for info in (INFO, other, third))
    two, three = mix([a, b], 0.15, "ms_ssim").result.codec, mix([a, b, c], 0.2, "psnr").result.codec
    assert (two.curve, two.setting) == (
        "rate control by MS-SSIM: net (ms_ssim), λ = 5 | λ = 10", "to 0.15 bpp",
    )  # fmt: skip
    assert len(str(two.options["models"])) == 12, "rd.csv has a column of them"
    assert two.options["models"] != three.options["models"]
    assert (two.objective, two.parameters, two.learned) == ({"distortion": "ms_ssim"}, 2000, True)
    assert three.curve == "rate control by PSNR: net (ms_ssim), λ = 5 | λ = 10 + other (mse), λ = 0.1"
    assert (three.objective, three.parameters) == ({}, 2005)
    settings = [made_up([100], [0.9], replace(INFO, setting=f"quality {q}")) for q in (10, 50)]
    assert mix([*settings, b], 0.15, "psnr").result.codec.parameters == 2000, "one network, two settings"


def test_an_image_without_loss_may_be_chosen() -> None:
    low, high = made_up([100, 100], [1.0, 1.0]), made_up([200, 200], [math.inf, 2.0])
    assert mix([low, high], 0.15, "psnr").models == (1, 0)  # both qualities count in dB: 100 against 50


def test_a_target_below_the_smallest_files_is_refused() -> None:
    with pytest.raises(UserError, match=r"the smallest files take 0\.075 bpp"):
        mix([made_up([100, 50], [1, 1]), made_up([150, 100], [2, 2])], 0.07, "psnr")


@pytest.mark.parametrize(
    ("target", "metric", "words"),
    [
        (0.15, "lpips", "There is no measure 'lpips'; choose one of psnr, ssim, ms_ssim"),
        (0, "psnr", "not 0; give one above 0"),
        (math.nan, "psnr", "not nan"),
        ("much", "psnr", "not much"),
    ],
)
def test_what_cannot_be_aimed_at_is_refused_before_the_work(
    images: ImageSet, tmp_path: Path, target: float, metric: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        evaluate_mixture([PillowCodec("jpeg", 10)], images, tmp_path / "run", "noise", target, metric)
    assert not (tmp_path / "run").exists()


def test_images_without_ms_ssim_are_found_by_the_first_model(images: ImageSet, tmp_path: Path) -> None:
    codecs = [PillowCodec("jpeg", quality) for quality in (10, 50)]
    with pytest.raises(UserError, match=r"1 has a side below 161 pixels.*metric psnr"):
        evaluate_mixture(codecs, images, tmp_path / "run", "noise", 5, "ms_ssim")
    assert [folder.name for folder in (tmp_path / "run").iterdir()] == ["model-1"]
