"""Which model codes which image, so that the files together keep to a rate and look best."""

import logging
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lic.codecs.base import Encoded, FileCodec, each_setting
from lic.data.images import Pixels, to_batch
from lic.errors import UserError
from lic.metrics.quality import psnr
from lic.rate_control import knapsack

EXACT_WORK = 20_000_000
"""Partial choices that the exact search may look at: about two seconds, at most 200 MB."""

_log = logging.getLogger(__name__)


def choose(
    bits: NDArray[np.int64],
    quality: NDArray[np.float64],
    budget_bits: int,
    exact_work: int = EXACT_WORK,
) -> NDArray[np.intp]:
    """One model per image: the largest sum of qualities whose files fit into the budget.

    Cheng et al. (2019) do this for Table 7 with two models, and spend one bit per image to name the chosen
    one. Here every stream begins with the fingerprint of its model anyway. The paper gives no algorithm.
    The Lagrangian sweep is followed by an exact search that it bounds, see `lic.rate_control.knapsack`. Where
    that search exceeds ``exact_work`` (thousands of images, or all models at the same quality per bit), the
    choice is the sweep's, and a warning says what it can lose at most.

    Args:
        bits: sizes of the whole files, ``[images, models]``.
        quality: their worth, same shape; larger is better.
        budget_bits: what the chosen files may take together.
        exact_work: the limit of the exact search; 0 leaves it out.

    Returns:
        The model of each image, ``[images]``; between equal sums of qualities, that of the smaller files.

    Raises:
        UserError: a quality is not a finite number.
    """
    assert bits.shape == quality.shape and bits.ndim == 2 and np.issubdtype(bits.dtype, np.integer)
    assert bits.min(axis=1).sum() <= budget_bits, "budget() refuses this"
    if not np.isfinite(quality).all():
        raise UserError("A quality is not a finite number; choose by another metric.")
    steps = knapsack.Steps.of(bits, quality)
    sweep = knapsack.lagrangian(bits, steps, budget_bits)
    reached = np.take_along_axis(quality, sweep[:, None], 1).sum()
    best = knapsack.exact(bits, quality, steps, budget_bits, reached, exact_work)
    if best is None and exact_work:
        loss = (knapsack.bound(bits, quality, steps, budget_bits) - reached) / len(bits)
        _log.warning(
            "The choice for %d images is not proven to be the best: on average %.1g is lost at most.",
            len(bits), loss,
        )  # fmt: skip
    return sweep if best is None else best


def budget(target_bpp: float, pixels: int, smallest_bits: int) -> int:
    """The bits that a target allows for ``pixels``, as it is written in decimal, rounded down.

    The bpp that a file was said to have always allows that file, however floating point has rounded it.

    Raises:
        UserError: ``smallest_bits``, the least that the files can take, exceeds it.
    """
    allowed = int(Fraction(str(target_bpp)) * pixels * (1 + Fraction(1, 2**51)))
    if smallest_bits > allowed:
        lowest = -(-10_000 * smallest_bits // pixels) / 10_000  # rounded up: a target that can be reached
        raise UserError(
            f"The target of {target_bpp:g} bpp is too low: the smallest files take {lowest:g} bpp; give at "
            "least that, or add a model of a lower rate."
        )
    return allowed


def check_different(names: Sequence[str], codecs: Sequence[FileCodec]) -> None:
    """Whether there is something to choose among: models, or settings of one.

    Raises:
        UserError: there are fewer than two models, or two are the same.
    """
    if len(each_setting(names, codecs)) < 2:
        raise UserError("Rate control chooses among models; give at least two.")
    seen: dict[bytes, str] = {}
    for name, codec in zip(names, codecs, strict=True):
        if codec.fingerprint and codec.fingerprint in seen:
            first = seen[codec.fingerprint]
            raise UserError(f"{first} and {name} are the same model; give models of different rates.")
        seen[codec.fingerprint] = name


def encode_to_target(
    codecs: Sequence[FileCodec],
    image: Pixels,
    *,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
) -> tuple[FileCodec, Encoded]:
    """Code one image with the model that suits the one target given.

    Args:
        codecs: the models to choose among.
        image: the image.
        target_bpp: the best PSNR in a file of at most so many bits per pixel, header included.
        target_psnr: the smallest file of at least so many dB, measured on 8-bit pixels.

    Raises:
        UserError: no model reaches the target; it says what they do reach.
    """
    coded = [(codec, codec.encode(image)) for codec in codecs]
    if target_psnr is None:
        assert target_bpp is not None, "one target"
        pixels = image.shape[0] * image.shape[1]
        allowed = budget(target_bpp, pixels, min(_bits(encoded) for _, encoded in coded))
        fitting = [pair for pair in coded if _bits(pair[1]) <= allowed]
        return max(fitting, key=lambda pair: (_psnr(image, pair[1]), -_bits(pair[1])))
    assert target_bpp is None, "one target"
    reached = [_psnr(image, encoded) for _, encoded in coded]
    good = [pair for pair, value in zip(coded, reached, strict=True) if value >= target_psnr]
    if not good:
        raise UserError(
            f"The target of {target_psnr:g} dB is too high: the models reach "
            f"{', '.join(f'{value:.2f}' for value in sorted(reached))} dB; give less, or add a model of a "
            "higher rate."
        )
    return min(good, key=lambda pair: _bits(pair[1]))


def _bits(encoded: Encoded) -> int:
    return 8 * len(encoded.data)


def _psnr(image: Pixels, encoded: Encoded) -> float:
    return psnr(to_batch(image), to_batch(encoded.reconstruct())).item()
