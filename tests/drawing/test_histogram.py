import math

import numpy as np
import pytest
import scipy.stats

from lic.drawing.histogram import HEIGHT, WIDTH, Moments, histogram, reach


@pytest.mark.parametrize("seed", [0, 1])
def test_moments_are_those_of_scipy(seed: int) -> None:
    values = np.random.default_rng(seed).laplace(3, 20, (40, 30, 3)).clip(-255, 255).astype(np.int16)
    its = Moments.of(values)
    assert (its.mean, its.sigma) == pytest.approx(scipy.stats.norm.fit(values.ravel().astype(float)))
    assert its.kurtosis == pytest.approx(scipy.stats.kurtosis(values.ravel().astype(float), fisher=False))
    assert its.kurtosis > 4  # a Laplace distribution has 6


def test_equal_values_have_no_kurtosis() -> None:
    its = Moments.of(np.full((4, 4, 1), 7, np.int16))
    assert (its.mean, its.sigma) == (7, 0) and math.isnan(its.kurtosis)
    picture = histogram(np.full((4, 4, 1), 7, np.int16), 0, 255)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert not ((picture == (200, 30, 30)).all(-1)).any()  # no curve


def test_bars_are_as_high_as_their_shares() -> None:
    """A quarter, a half, a quarter: of nine levels, 1, 4 and 7."""
    values = np.array([-3, 0, 0, 3], np.int16).repeat(100)
    bars = (histogram(values, -4, 4) == (150, 170, 200)).all(-1)
    heights = [bars[:, round((level + 0.2) * WIDTH / 9)].sum() for level in range(9)]
    assert [level for level, height in enumerate(heights) if height] == [1, 4, 7]
    assert heights[4] == pytest.approx(2 * heights[1], abs=4) and heights[1] == heights[7]


def test_the_curve_is_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0, 10, 20_000).round().astype(np.int16)
    picture = histogram(values, -32, 32)
    curve = (picture == (200, 30, 30)).all(-1)
    tops = np.array([np.flatnonzero(curve[:, x]).mean() for x in range(20, WIDTH - 20)])
    levels = (np.arange(20, WIDTH - 20) / (WIDTH - 1)) * 65 - 32.5
    floor = tops.max()
    drawn = (floor - tops) / (floor - tops.min())
    expected = np.exp(-((levels / 10) ** 2) / 2)
    assert np.abs(drawn - (expected - expected.min()) / (1 - expected.min())).max() < 0.03


def test_an_axis_reaches_nearly_all() -> None:
    assert reach(np.zeros(5, np.int16)) == 8
    assert reach(np.array([-255], np.int16)) == 255
    few = np.zeros(1000, np.int16)
    few[0] = 200
    assert reach(few) == 8
