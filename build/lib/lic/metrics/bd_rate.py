"""Bjøntegaard delta rate: the average difference in rate between two R-D curves at equal quality."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def bd_rate(
    rate_a: Sequence[float], quality_a: Sequence[float], rate_b: Sequence[float], quality_b: Sequence[float]
) -> float:
    """How much more rate curve B needs than curve A for the same quality, in percent.

    Negative: B saves rate. The logarithm of the rate is interpolated over the quality by piecewise cubic
    Hermite polynomials (PCHIP, as in the common test conditions of JVET; it does not overshoot as the cubic
    fit of VCEG-M33 does) and averaged over the interval of qualities that both curves reach. Nothing is
    extrapolated.

    Args:
        rate_a: Rates of the anchor, positive, any unit (bpp), in any order.
        quality_a: Its qualities in dB, one per rate.
        rate_b: Rates of the curve under test; the number of points may differ.
        quality_b: Its qualities.

    Returns:
        Percent, or NaN where the difference is undefined: the curves share no interval of qualities, or
        one has fewer than two points. Points whose quality is not finite do not count, and of points of
        equal quality only the cheapest does.
    """
    a, b = _curve(rate_a, quality_a), _curve(rate_b, quality_b)
    interval = _common(a, b)
    if interval is None:
        return np.nan
    low, high = interval
    mean_a, mean_b = (PchipInterpolator(*curve).integrate(low, high) / (high - low) for curve in (a, b))
    return float(100 * np.expm1(mean_b - mean_a))


def common_quality(quality_a: Sequence[float], quality_b: Sequence[float]) -> tuple[float, float] | None:
    """The interval of qualities over which `bd_rate` averages; None where it is undefined."""
    return _common(*(_curve(np.ones(len(quality)), quality) for quality in (quality_a, quality_b)))


def _curve(rate: Sequence[float] | NDArray[np.float64], quality: Sequence[float]) -> Curve:
    """Quality, strictly rising, and the natural logarithm of the rate there."""
    rates, qualities = np.asarray(rate, np.float64), np.asarray(quality, np.float64)
    assert rates.shape == qualities.shape and rates.ndim == 1, "one quality per rate"
    finite = np.isfinite(qualities)
    rates, qualities = rates[finite], qualities[finite]
    assert np.all(rates > 0), "rates are positive"
    order = np.lexsort((rates, qualities))
    qualities, first = np.unique(qualities[order], return_index=True)
    return qualities, np.log(rates[order][first])


def _common(a: Curve, b: Curve) -> tuple[float, float] | None:
    if min(len(a[0]), len(b[0])) < 2:
        return None
    low, high = max(a[0][0], b[0][0]), min(a[0][-1], b[0][-1])
    return (float(low), float(high)) if low < high else None
