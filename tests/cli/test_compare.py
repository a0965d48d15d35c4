from pathlib import Path

import numpy as np
import pytest

import lic as library
from lic.data import Pixels, read_image
from lic.evaluation.evaluate import evaluate, evaluate_classical

from .conftest import Lic, Refused


class _Photo:
    names = ("photo",)

    def __init__(self, file: Path) -> None:
        self.file = file

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.file)


@pytest.fixture
def measured(models: tuple[str, str], photo: Path, tmp_path: Path) -> Path:
    """What an evaluation leaves: a learned codec and JPEG on one picture of 70x50 pixels."""
    folder, images = tmp_path / "measured", _Photo(photo)
    evaluate(library.load(tmp_path / models[0]), images, folder / "run", "photos", [0], progress=False)
    evaluate_classical("jpeg", images, folder / "classical", "photos")
    return folder


@pytest.mark.usefixtures("measured")
def test_one_picture_of_original_jpeg_and_network(lic: Lic, tmp_path: Path) -> None:
    code, out, _ = lic("compare", "measured", "-o", "figure.png")
    assert code == 0 and out.startswith("figure.png: photo: JPEG 4:2:0 (quality ") and "hyperprior" in out
    page = read_image(tmp_path / "figure.png")
    assert page.shape[1] == 3 * (4 * 70 + 12) + 12  # enlarged four times
    tile = page[12 : 12 + 200, 12 : 12 + 280]
    assert np.array_equal(tile[::4, ::4], read_image(tmp_path / "photo.png"))
    code, _, err = lic("compare", "measured", "-o", "figure.png")
    assert code == 2 and "--force" in err
    crop = ("--image", "photo", "--crop", "10,5,8,8", "--bpp", "1")
    assert lic("compare", "measured", "-o", "figure.png", "--force", *crop)[0] == 0
    assert read_image(tmp_path / "figure.png").shape[1] == 3 * (256 + 12) + 12


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["measured", "-o", "x.jpg"], "does not end in .png"),
        (["nowhere", "-o", "x.png"], "no test.json with results in or below nowhere"),
        (["measured", "-o", "x.png", "--image", "lena"], "lena cannot be shown"),
        (["measured", "-o", "x.png", "--crop", "60,40,20,20"], "does not lie in photo, which has 70x50"),
        (["measured", "-o", "x.png", "--crop", "60,40"], "'60,40' is no crop"),
        (["measured", "-o", "x.png", "--bpp", "0"], "--bpp must be a positive number"),
        (["measured", "-o", "x.png", "--bpp", "nan"], "--bpp must be a positive number"),
    ],
)
def test_bad_input_is_one_line(refused: Refused, arguments: list[str], words: str) -> None:
    assert words in refused("compare", *arguments)
