"""What a network shows of how it coded an image, in one picture."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lic.data.images import Pixels, resized, to_batch, with_channels
from lic.drawing import heat
from lic.drawing.histogram import WIDTH, Moments, histogram, reach
from lic.drawing.panels import Panel, row, stack
from lic.metrics.quality import psnr

if TYPE_CHECKING:
    from lic.models.inner import HeatMap, Inner, Stage

LARGEST = WIDTH
"""Pixels of the longer side of an image in the picture; larger ones are reduced. Three fill a page."""
GRAY = 128
"""What a residual of zero is shown as."""
_COLUMNS = 3
_CLIPPED = 1  # percent of the first residual that may exceed what can be shown

Levels = NDArray[np.int16]


def picture(image: Pixels, inner: "Inner") -> Pixels:
    """The heat maps over the image, the chain of its stages, and how their residuals are distributed.

    Each stage stands before what it leaves of the image (the next residual) and what the next one adds. All
    are images of 8 bits, and so differences have whole levels.
    """
    rows = [[_original(image), *(_over(image, one) for one in inner.maps)]]
    if inner.stages:
        rows += _chain(image, inner.stages)
        rows.append(_histograms(image, inner.stages))
    return stack([row(one[i : i + _COLUMNS]) for one in rows for i in range(0, len(one), _COLUMNS)])


def numbers(stage: "Stage", image: Pixels) -> str:
    """The quality and the rate that the decoder has after a stage of an image."""
    quality = psnr(to_batch(image), to_batch(stage.image)).item()
    return f"{quality:.2f} dB PSNR, {stage.bits / image[..., 0].size:.4f} bpp so far"


def range_of(one: "HeatMap") -> str:
    """Which numbers a heat map holds."""
    values = one.values
    return f"{values.min():.4g} to {values.max():.4g} {one.unit}, mean {values.mean():.4g}"


def _original(image: Pixels) -> Panel:
    height, width = image.shape[:2]
    shown = _shown(image)
    size = f"{width} x {height} pixels"
    if shown.shape[:2] != (height, width):
        size += f", shown at {shown.shape[1]} x {shown.shape[0]}"
    return Panel(shown, "original", (size,))


def _over(image: Pixels, one: "HeatMap") -> Panel:
    notes = (range_of(one), heat.scale(one.highest))
    return Panel(_shown(heat.over_photo(image, one)), one.name, notes)


def _chain(image: Pixels, stages: Sequence["Stage"]) -> Iterator[list[Panel]]:
    gain = _gain(_difference(image, stages[0].image))
    how = f"gain {gain}, around mid-gray"
    for k, stage in enumerate(stages):
        left = _gray(_difference(image, stage.image), gain)
        panels = [
            Panel(_shown(stage.image), stage.name, (numbers(stage, image),)),
            Panel(left, _residual(k, stages), (f"original - {stage.name}", how)),
        ]
        if k + 1 < len(stages):
            after = stages[k + 1]
            added = _gray(_difference(after.image, stage.image), gain)
            panels.append(Panel(added, f"r_hat {k + 1}", (f"{after.name} - {stage.name}", how)))
        yield panels


def _histograms(image: Pixels, stages: Sequence["Stage"]) -> list[Panel]:
    """Of the image, of what the first stage leaves of it, and of what all leave."""
    residuals = {k: _difference(image, stages[k].image) for k in sorted({0, len(stages) - 1})}
    wide = reach(residuals[0])
    return [
        _distribution(image.astype(np.int16), "the original's pixels", 0, 255),
        *(_distribution(left, _residual(k, stages), -wide, wide) for k, left in residuals.items()),
    ]


def _distribution(values: Levels, name: str, low: int, high: int) -> Panel:
    its = Moments.of(values)
    notes = [f"mean {its.mean:.2f}, σ {its.sigma:.2f} levels"]
    if its.sigma:
        notes = [f"{notes[0]}, kurtosis {its.kurtosis:.2f}", "curve: normal distribution (kurtosis 3)"]
    return Panel(histogram(values, low, high), f"distribution of {name}", tuple(notes))


def _residual(k: int, stages: Sequence["Stage"]) -> str:
    """The name of what stage ``k`` leaves."""
    return f"residual {k + 1}" if k + 1 < len(stages) else "what is left"


def _difference(a: Pixels, b: Pixels) -> Levels:
    return a.astype(np.int16) - b


def _gain(residual: Levels) -> int:
    """A whole factor by which nearly all of a residual can be shown around mid-gray."""
    largest = np.percentile(np.abs(residual), 100 - _CLIPPED)
    return max(1, int((GRAY - 1) / max(largest, 1)))


def _gray(residual: Levels, gain: int) -> Pixels:
    return _shown((GRAY + gain * residual.astype(np.int32)).clip(0, 255).astype(np.uint8))


def _shown(image: Pixels) -> Pixels:
    """In colour, and no larger than `LARGEST`."""
    height, width = image.shape[:2]
    if (longer := max(height, width)) > LARGEST:
        width, height = (max(1, round(side * LARGEST / longer)) for side in (width, height))
        image = resized(image, (width, height))
    return with_channels(image, 3)
