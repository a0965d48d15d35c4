from pathlib import Path

from lic.evaluation.gallery import MAX_IMAGES, gallery
from lic.evaluation.points import collect, curves
from lic.evaluation.result import ORIGINALS

from .conftest import MakeRun, jpeg, learned


def test_every_reconstruction_of_an_image_beside_its_original(sweep: Path) -> None:
    scenes = gallery(curves(collect([sweep])))
    assert [scene.name for scene in scenes] == ["bee", "boat"]
    assert [picture.label for picture in scenes[0].pictures] == [
        "Original",
        "resnet · subpixel, λ = 5",
        "resnet · subpixel, λ = 10",
        "JPEG, quality 10",
        "JPEG, quality 50",
        "JPEG, quality 90",
    ]
    # of this image, not the mean
    assert scenes[0].pictures[1].caption == "0.2200 bpp · PSNR 30.00 dB · MS-SSIM 0.9400"
    assert (scenes[0].width, scenes[0].height, scenes[0].left_out) == (40, 24, 0)
    assert len({picture.key for picture in scenes[0].pictures}) == 6


def test_a_small_budget_keeps_the_low_rates_of_every_curve(sweep: Path) -> None:
    all_curves = curves(collect([sweep]))
    file = sweep / "lambda=5" / ORIGINALS / "bee.png"
    cost = file.stat().st_size * 4 // 3 + 32
    scenes = gallery(all_curves, budget=2 * 3 * cost + 20)
    assert [picture.label for picture in scenes[0].pictures] == [
        "Original", "resnet · subpixel, λ = 5", "JPEG, quality 10",
    ]  # fmt: skip
    assert scenes[0].left_out == 3
    assert gallery(all_curves, budget=cost) == []


def test_runs_without_pictures_or_originals(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("plain", jpeg(50), 1, 30)
    assert gallery(curves(collect([tmp_path]))) == []
    folder = make_run("kept", learned("net", 5), 1, 30, pictures=True, images=[f"i{n}.v2" for n in range(9)])
    assert len(gallery(curves(collect([tmp_path])))) == MAX_IMAGES
    for original in (folder / ORIGINALS).iterdir():
        original.unlink()
    assert gallery(curves(collect([tmp_path]))) == []
