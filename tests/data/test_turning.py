"""Patches turned by any angle: where they come from, what they show, and that no corner is invented."""

import math

import numpy as np
import pytest
from scipy import ndimage

from lic.data import Pixels
from lic.data.turning import Turns, sides_of, tilted

ANY = Turns(rotations="any")


def waves(height: int, width: int) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    image = [128 + 100 * np.sin(rows / (5 + c)) * np.cos(columns / (8 - c)) for c in range(3)]
    return np.stack(image).round().astype(np.uint8)


@pytest.mark.parametrize("tilt", [0.3, -0.7, math.pi / 4])
@pytest.mark.parametrize("corner", [(0, 0), (7, 20)])
def test_a_tilted_patch_is_what_splines_make_of_it(tilt: float, corner: tuple[int, int]) -> None:
    size, image = 40, waves(80, 90)
    side = int(sides_of(np.array([tilt]), size)[0])
    patch = tilted(image, corner, side, size, tilt)
    cos, sin = math.cos(tilt), math.sin(tilt)
    matrix = np.array([[cos, sin], [-sin, cos]])
    offset = np.array(corner) + (side - 1) / 2 - matrix @ np.full(2, (size - 1) / 2)
    for mine, plane in zip(patch, image.astype(float), strict=True):
        expected = ndimage.affine_transform(plane, matrix, offset, (size, size), order=3, mode="nearest")
        assert np.abs(mine - expected).max() < 3, "bicubic interpolation and splines differ by little"


def test_a_tilt_goes_the_way_of_right_angles() -> None:
    """By 45 degrees twice is by 90 once, as np.rot90 turns."""
    image = waves(141, 141)
    once = tilted(image, (0, 0), 141, 99, math.pi / 4)
    expected = np.rot90(image[:, 45:96, 45:96], 1, (1, 2)).astype(int)
    twice = tilted(once, (0, 0), 99, 51, math.pi / 4)[:, 10:-10, 10:-10]
    assert np.abs(twice - expected[:, 10:-10, 10:-10]).mean() < 3


def test_all_that_a_patch_shows_is_image() -> None:
    """Bright images without a dark border: what came from outside would be repeated or black."""
    rng = np.random.default_rng(0)
    for side in range(20, 40):
        room = np.full(50, side / 20)
        tilts = ANY.tilts(rng.random(50), room)
        sides = sides_of(tilts, 20)
        assert (sides <= side).all() and (sides >= 20).all()
        corners = 9.5 * (np.cos(tilts) + np.abs(np.sin(tilts)))  # how far a corner pixel's middle is
        assert (corners <= (sides - 1) / 2 + 1e-9).all()


@pytest.mark.parametrize(("room", "most"), [(1, 0), (1.2, 13.05), (math.sqrt(2), 45), (5, 45)])
def test_tilts_are_even_as_far_as_there_is_room(room: float, most: float) -> None:
    numbers = np.linspace(0, 1, 1001)
    degrees = np.degrees(ANY.tilts(numbers, np.full(1001, room)))
    np.testing.assert_allclose(degrees, np.linspace(-most, most, 1001), atol=0.01)
    if 0 < most < 45:
        angle = math.radians(most)
        assert math.cos(angle) + math.sin(angle) == pytest.approx(room, abs=1e-3)


@pytest.mark.parametrize("rotations", [False, True])
def test_others_are_not_tilted(rotations: bool) -> None:
    assert not Turns(rotations=rotations).tilts(np.linspace(0, 1, 9), np.full(9, 3.0)).any()
