import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.data import read_image
from lic.errors import UserError
from lic.evaluation.points import collect
from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS
from lic.report.crops import Crop, Kept, choose, picture

from ..made_runs import MakeRun, jpeg, learned


def _names(shown: list[Kept]) -> list[tuple[str, str]]:
    return [(kept.codec.curve, kept.codec.setting) for kept in shown]


@pytest.fixture
def codecs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Two learned curves of which one begins at a higher rate, and two qualities of JPEG."""
    for curve, lmbda, bpp in (("slow", 1, 0.5), ("slow", 2, 1.0), ("fast", 1, 0.9), ("fast", 2, 1.6)):
        make_run(f"{curve}-{lmbda}", learned(curve, lmbda), bpp, 30, pictures=True)
    for quality, bpp in ((10, 0.6), (50, 0.92), (90, 2.0)):
        make_run(f"jpeg-{quality}", jpeg(quality), bpp, 28, pictures=True)
    return tmp_path


def test_each_codec_at_the_lowest_rate_that_all_learned_ones_have(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    assert _names(shown) == [("JPEG", "quality 50"), ("fast", "λ = 1"), ("slow", "λ = 2")]
    assert {kept.row.file for kept in shown} == {"bee"}


@pytest.mark.parametrize(
    ("bpp", "settings"),
    [(0.1, ["quality 10", "λ = 1", "λ = 1"]), (9.0, ["quality 50", "λ = 2", "λ = 2"])],
)
def test_a_rate_chooses_the_nearest_files(codecs: Path, bpp: float, settings: list[str]) -> None:
    """JPEG stays beside the learned codecs, wherever the wanted rate is: 0.7 and 1.3 bpp in the mean."""
    assert [setting for _, setting in _names(choose(collect([codecs]), "boat", bpp))] == settings


def test_classical_codecs_alone(make_run: MakeRun, tmp_path: Path) -> None:
    for quality, bpp in ((10, 0.3), (50, 0.8)):
        make_run(f"jpeg-{quality}", jpeg(quality), bpp, 28, pictures=True)
    assert _names(choose(collect([tmp_path]))) == [("JPEG", "quality 10")]
    assert _names(choose(collect([tmp_path]), bpp=0.9)) == [("JPEG", "quality 50")]


def test_results_on_another_set_do_not_hide_the_common_images(codecs: Path, make_run: MakeRun) -> None:
    make_run("elsewhere", learned("fast", 1), 0.4, 30, data="others", images=("ant",), pictures=True)
    assert {kept.row.file for kept in choose(collect([codecs]))} == {"bee"}


def test_images_that_cannot_be_shown(codecs: Path) -> None:
    with pytest.raises(UserError, match=r"cat cannot be shown: it is not among the images; .* bee, boat"):
        choose(collect([codecs]), "cat")
    (codecs / "fast-1" / RECONSTRUCTIONS / "bee.png").unlink()
    (codecs / "fast-2" / ORIGINALS / "bee.png").unlink()
    assert choose(collect([codecs]))[0].row.file == "boat"
    with pytest.raises(UserError, match=r"bee cannot be shown: not all codecs kept .* choose one of boat"):
        choose(collect([codecs]), "bee")
    shutil.rmtree(codecs / "slow-1" / RECONSTRUCTIONS)
    shutil.rmtree(codecs / "slow-2" / RECONSTRUCTIONS)
    with pytest.raises(UserError, match=r"no image of which all codecs kept the pixels \(JPEG; fast; slow\)"):
        choose(collect([codecs]))


def test_the_pixels_of_the_crop_stand_side_by_side(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    for index, kept in enumerate(shown):  # told apart by a colour each
        Image.new("RGB", (40, 24), (index, 0, 0)).save(kept.reconstruction)
    page = picture(shown, Crop(3, 2, 20, 10))
    zoom, gap, column = 13, 12, 260  # 20 pixels enlarged to about 256
    original = read_image(shown[0].original)[2:12, 3:23].repeat(zoom, 0).repeat(zoom, 1)
    assert np.array_equal(page[gap : gap + 130, gap : gap + 260], original)
    for index in range(3):
        left = gap + (index + 1) * (column + gap)
        tile = page[gap : gap + 130, left : left + 260]
        assert tile.shape == (130, 260, 3) and (tile == (index, 0, 0)).all()
        assert (page[gap + 130 :, left : left + 260] == 0).any(), "something is written below"
    assert page.shape[1] == 4 * (column + gap) + gap


def test_gray_pictures(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    for index, kept in enumerate(shown):
        Image.new("L", (40, 24), 100 + index).save(kept.reconstruction)
        Image.new("L", (40, 24), 9).save(kept.original)
    page = picture(shown, Crop(3, 2, 20, 10))
    assert [page[20, 12 + i * 272].tolist() for i in range(4)] == [[v] * 3 for v in (9, 100, 101, 102)]


@pytest.mark.parametrize(
    "image", ["bee", "W" * 60, "2026-11-20 holiday 蜂蜜 by the sea, evening light, tripod"]
)
def test_long_names_take_more_lines_and_stay_in_their_column(
    make_run: MakeRun, tmp_path: Path, image: str
) -> None:
    name = "hyperprior · kernel_size 9 · aux_kernel_size 9 · width 192 (mse, optimizer.lr=0.001)"
    make_run("net", learned(name, 1), 0.5, 30, pictures=True, images=(image,))
    page = picture(choose(collect([tmp_path])))
    gaps = [page[:, left : left + 12] for left in (0, 12 + 256, 2 * (12 + 256))]
    assert all((gap == 255).all() for gap in gaps) and page.shape[1] == 3 * 12 + 2 * 256


def test_reconstructions_of_another_size(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    Image.new("RGB", (41, 24)).save(shown[1].reconstruction)
    with pytest.raises(UserError, match="have other sizes"):
        picture(shown)


@pytest.mark.parametrize(("size", "crop"), [((768, 512), "256x256 at 256,128"), ((40, 24), "40x24 at 0,0")])
def test_the_default_is_the_centre(size: tuple[int, int], crop: str) -> None:
    assert str(Crop.centre(*size)) == crop


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,0,4", "-1,0,5,5", "1,2,3,4,5", "1.5,0,9,9", "a,b,c,d", "0, 0,5,5"]
)
def test_what_is_no_crop(text: str) -> None:
    assert Crop.parse("1,2,30,4") == Crop(1, 2, 30, 4)
    with pytest.raises(UserError, match="is no crop; give X,Y,WIDTH,HEIGHT"):
        Crop.parse(text)


@pytest.mark.parametrize("crop", [Crop(40, 0, 1, 1), Crop(0, 20, 1, 5), Crop(0, 0, 41, 24)])
def test_crops_outside_the_image(codecs: Path, crop: Crop) -> None:
    with pytest.raises(UserError, match="does not lie in bee, which has 40x24 pixels"):
        picture(choose(collect([codecs])), crop)


def test_different_images_of_one_name(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    shutil.copy(shown[0].original.with_name("boat.png"), shown[1].original)
    with pytest.raises(UserError, match="are different images"):
        picture(shown)


def test_letters_that_the_font_lacks_are_spelt(codecs: Path) -> None:
    shown = choose(collect([codecs]))
    spelt = [
        replace(kept, codec=replace(kept.codec, setting=kept.codec.setting.replace("λ", "lambda")))
        for kept in shown
    ]
    assert spelt != shown and np.array_equal(picture(spelt), picture(shown))


def test_images_of_one_name_and_other_sizes_are_not_compared(make_run: MakeRun, tmp_path: Path) -> None:
    for name, size in (("small", (40, 24)), ("large", (60, 50))):
        make_run(f"{name}/bee", learned(name, 5), 0.5, 30, pictures=True, images=("bee",), size=size)
    with pytest.raises(UserError, match="no image of which all codecs kept the pixels"):
        choose(collect([tmp_path]))
