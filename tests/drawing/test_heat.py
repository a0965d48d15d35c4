import numpy as np
import pytest

from lic.drawing.heat import OPACITY, colours, over_photo, scale
from lic.models.inner import HeatMap

ENDS = {0.0: (0x44, 0x01, 0x54), 1.0: (0xFD, 0xE7, 0x25)}  # of viridis, as matplotlib publishes it
MIDDLE = (0x21, 0x91, 0x8C)


def test_the_colours_are_those_of_viridis() -> None:
    for share, colour in ENDS.items():
        assert tuple(colours(np.array(share))) == colour
    assert np.abs(colours(np.array(0.5)).astype(int) - MIDDLE).max() <= 2  # of ten anchors, not 256
    assert np.array_equal(colours(np.array([[-1.0, 2.0]])), colours(np.array([[0.0, 1.0]])))
    luma = colours(np.linspace(0, 1, 100)) @ (0.299, 0.587, 0.114)
    assert (np.diff(luma) > -1).all() and luma[-1] > luma[0] + 150


@pytest.mark.parametrize("channels", [1, 3])
def test_each_position_tints_its_own_pixels(channels: int) -> None:
    photo = np.full((5, 7, channels), 200, np.uint8)
    photo[0, 0] = 0
    picture = over_photo(photo, HeatMap("map", "", np.array([[0.0, 8.0], [8.0, 8.0]]), 4, 8.0))
    assert picture.shape == (5, 7, 3)
    violet, yellow = (np.array(ENDS[share]) for share in (0.0, 1.0))
    for (row, column), colour in {(3, 3): violet, (3, 4): yellow, (4, 3): yellow, (4, 6): yellow}.items():
        assert np.abs(picture[row, column] - (OPACITY * colour + (1 - OPACITY) * 200)).max() <= 0.5
    assert np.abs(picture[0, 0] - OPACITY * violet).max() <= 0.5


def test_a_map_of_nothing_is_dark() -> None:
    picture = over_photo(np.zeros((1, 1, 3), np.uint8), HeatMap("bits", "", np.zeros((1, 1)), 16, 0.0))
    assert np.abs(picture[0, 0] - OPACITY * np.array(ENDS[0.0])).max() <= 0.5


def test_the_scale_runs_from_the_first_colour_to_the_last() -> None:
    middle = scale(12.5)[9].astype(int)
    coloured = [tuple(pixel) for pixel in middle if len(set(pixel)) > 1]
    assert (coloured[0], coloured[-1], len(coloured)) == (ENDS[0.0], ENDS[1.0], 160)
