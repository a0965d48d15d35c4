import math

import bjontegaard
import numpy as np
import pytest

from lic.metrics.bd_rate import bd_rate, common_quality

RATE = [0.1, 0.25, 0.5, 1.0, 2.0]
PSNR = [26.1, 29.4, 32.0, 35.3, 38.2]


def test_the_same_quality_at_a_constant_share_of_the_rate() -> None:
    half = [rate / 2 for rate in RATE]
    assert bd_rate(RATE, PSNR, half, PSNR) == pytest.approx(-50)
    assert bd_rate(half, PSNR, RATE, PSNR) == pytest.approx(100)
    assert bd_rate(RATE, PSNR, RATE, PSNR) == pytest.approx(0)


def test_straight_lines_over_the_interval_that_both_reach() -> None:
    # ln rate is q for A over 0…4 and q/2 for B over 2…8; over 2…4 they differ by -1.5 on average
    a, b = [0.0, 4.0], [2.0, 5.0, 8.0]
    value = bd_rate([math.exp(q) for q in a], a, [math.exp(q / 2) for q in b], b)
    assert value == pytest.approx(100 * (math.exp(-1.5) - 1))
    assert common_quality(a, b) == (2, 4)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_the_bjontegaard_package(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        (np.sort(rng.uniform(0.05, 2, n)).tolist(), np.sort(rng.uniform(25, 40, n)).tolist())
        for n in rng.integers(4, 9, 2)
    )
    reference = bjontegaard.bd_rate(*a, *b, method="pchip", require_matching_points=False, min_overlap=0)
    assert bd_rate(*a, *b) == pytest.approx(reference, rel=1e-6)


def test_order_and_infinite_or_repeated_qualities_change_nothing() -> None:
    other = [q + 1 for q in PSNR]
    expected = bd_rate(RATE, PSNR, RATE, other)
    assert bd_rate(RATE[::-1], PSNR[::-1], RATE, other) == expected
    assert bd_rate([*RATE, 5, 6], [*PSNR, math.inf, math.nan], RATE, other) == expected
    assert bd_rate([*RATE, 5], [*PSNR, PSNR[0]], RATE, other) == expected


@pytest.mark.parametrize(
    ("rate", "quality"),
    [([], []), ([0.5], [32.0]), ([0.5, 0.5], [32.0, 32.0]), ([1.0, 2.0], [math.inf, math.nan])],
)
def test_fewer_than_two_points_is_nan(rate: list[float], quality: list[float]) -> None:
    assert math.isnan(bd_rate(RATE, PSNR, rate, quality))
    assert common_quality(PSNR, quality) is None


def test_no_common_quality_is_nan() -> None:
    assert math.isnan(bd_rate(RATE, PSNR, RATE, [q + 100 for q in PSNR]))
    assert math.isnan(bd_rate(RATE[:2], [26, 28], RATE[:2], [28, 30]))  # one point in common is no interval
