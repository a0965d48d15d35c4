import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.data import read_image
from lic.errors import UserError
from lic.evaluation.points import collect, curves
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS
from lic.report.gallery import MAX_IMAGES, gallery

from ..made_runs import MakeRun, jpeg, learned


def test_every_reconstruction_of_an_image_beside_its_original(sweep: Path) -> None:
    scenes = gallery(curves(collect([sweep])))
    assert [scene.name for scene in scenes] == ["bee", "boat"]
    assert [picture.label for picture in scenes[0].pictures] == [
        "Original",
        "resnet · subpixel, λ = 5",
        "resnet · subpixel, λ = 10",
        "JPEG, quality 10",  # the nearest to 0.22 and to 0.44 bpp: 0.33, where quality 50 has 0.88
    ]
    # of this image, not the mean
    assert scenes[0].pictures[1].caption == "0.2200 bpp · PSNR 30.00 dB · SSIM 0.8400 · MS-SSIM 0.9400"
    assert (scenes[0].width, scenes[0].height, scenes[0].left_out) == (40, 24, 0)
    assert len({picture.key for picture in scenes[0].pictures}) == 4


def test_of_hundreds_of_reconstructions_the_first_low_rates_are_shown(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_curves = curves(collect([sweep]))
    every, _ = gallery(all_curves)
    monkeypatch.setattr("lic.report.gallery.MAX_PICTURES", 1)
    scene, _ = gallery(all_curves)
    assert len(scene.pictures) == 2 and scene.left_out == len(every.pictures) - 2 > 0


def test_a_small_budget_keeps_the_low_rates_of_every_curve(sweep: Path) -> None:
    all_curves = curves(collect([sweep]))
    cost = len(gallery(all_curves)[0].pictures[0].webp) * 4 // 3 + 32
    scenes = gallery(all_curves, budget=2 * 3 * cost + 20)
    assert [picture.label for picture in scenes[0].pictures] == [
        "Original", "resnet · subpixel, λ = 5", "JPEG, quality 10",
    ]  # fmt: skip
    assert scenes[0].left_out == 1
    assert gallery(all_curves, budget=cost) == []


def test_runs_without_pictures_or_originals(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("plain", jpeg(50), 1, 30)
    assert gallery(curves(collect([tmp_path]))) == []
    folder = make_run("kept", learned("net", 5), 1, 30, pictures=True, images=[f"i{n}.v2" for n in range(9)])
    assert len(gallery(curves(collect([tmp_path])))) == MAX_IMAGES
    for original in (folder / ORIGINALS).iterdir():
        original.unlink()
    assert gallery(curves(collect([tmp_path]))) == []


def test_classical_codecs_alone_are_all_shown(sweep: Path) -> None:
    scene = gallery(curves(collect([sweep / "classical"])))[0]
    assert [picture.label for picture in scene.pictures[1:]] == [f"JPEG, quality {q}" for q in (10, 50, 90)]


@pytest.mark.parametrize(("size", "shown"), [((257, 24), (256, 24)), ((400, 700), (256, 256))])
def test_the_middle_of_a_large_image_without_loss(
    make_run: MakeRun, tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    folder = make_run("run", learned("net", 5), 1, 30, pictures=True, images=("bee",), size=size)
    (scene,) = gallery(curves(collect([tmp_path])))
    assert (scene.width, scene.height) == shown
    assert scene.pictures[0].caption == f"the middle {shown[0]} × {shown[1]} of {size[0]} × {size[1]} pixels"
    (width, height), left, top = shown, (size[0] - shown[0]) // 2, (size[1] - shown[1]) // 2
    for picture, kept in zip(scene.pictures, (ORIGINALS, RECONSTRUCTIONS), strict=True):
        middle = np.asarray(Image.open(folder / kept / "bee.png"))[top : top + height, left : left + width]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.webp))), middle)


def test_a_picture_of_another_size_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run("run", learned("net", 5), 1, 30, pictures=True)
    Image.new("RGB", (41, 24)).save(folder / RECONSTRUCTIONS / "bee.png")
    with pytest.raises(UserError, match=r"bee\.png has 41x24 pixels where test\.json says 40x24"):
        gallery(curves(collect([tmp_path])))


def test_sets_of_one_name_stay_apart(make_run: MakeRun, tmp_path: Path) -> None:
    """Both hold a "bee" of their own: one is of another size."""
    make_run("small", learned("net", 5), 0.3, 30, pictures=True, images=("bee",), size=(40, 24))
    make_run("large", learned("other net", 5), 0.4, 31, pictures=True, images=("bee",), size=(300, 280))
    small, large = sorted(gallery(curves(collect([tmp_path]))), key=lambda scene: scene.width)
    assert (small.name, large.name) == ("bee · 40 × 24", "bee · 300 × 280")
    assert [len(scene.pictures) for scene in (small, large)] == [2, 2]
    assert (small.width, small.height, large.width, large.height) == (40, 24, 256, 256)


def test_the_original_may_be_that_of_a_codec_that_is_not_shown(sweep: Path) -> None:
    """Of JPEG's three qualities one is beside the learned points; here another keeps the only original."""
    for run in sweep.rglob(ORIGINALS):
        if run.parent.name != "jpeg-90":
            shutil.rmtree(run)
    scenes = gallery(curves(collect([sweep])))
    assert [picture.label for picture in scenes[0].pictures][-1] == "JPEG, quality 10"


def test_curves_of_one_label_are_two(make_run: MakeRun, tmp_path: Path) -> None:
    """JPEG of two sets of one name: of each the nearest in rate is shown, not one for both."""
    for folder, others in (("a", ("ant",)), ("b", ("cat",))):
        make_run(
            f"{folder}/net", learned(f"net {folder}", 5), 0.5, 30, pictures=True, images=("bee", *others)
        )
        for quality, bpp in ((10, 0.3), (50, 0.52 if folder == "a" else 0.6)):
            make_run(f"{folder}/{quality}", jpeg(quality), bpp, 28, pictures=True, images=("bee", *others))
    (bee,) = (scene for scene in gallery(curves(collect([tmp_path]))) if scene.name == "bee")
    labels = [picture.label for picture in bee.pictures]
    assert {"JPEG · photos, quality 50", "JPEG · photos #2, quality 50"} <= set(labels)


def test_gray_pictures(sweep: Path) -> None:
    for file in sweep.rglob("*.png"):
        with Image.open(file) as image:
            gray = image.convert("L")
        gray.save(file)
    scenes = gallery(curves(collect([sweep])))
    for scene in scenes:
        original = next(sweep.rglob(f"{ORIGINALS}/{scene.name}.png"))
        with Image.open(io.BytesIO(scene.pictures[0].webp)) as image:
            assert np.array_equal(np.asarray(image.convert("L")), read_image(original)[..., 0])
    assert scenes
