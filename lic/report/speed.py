"""How fast the codecs of a report are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lic.evaluation.points import Curve


@dataclass(frozen=True)
class Speed:
    """Images per second by the mean over all images of all points of a curve; NaN where none was timed.

    ``analysis`` and ``synthesis`` are the network's alone, ``encode`` and ``decode`` from pixels to the
    file's bytes and back. ``set_s`` is how many seconds one point's images took to decode. ``threads`` holds
    each number of them that points were measured with.
    """

    analysis: float
    synthesis: float
    encode: float
    decode: float
    set_s: float
    threads: tuple[int, ...]


def speed_of(curve: Curve) -> Speed:
    """How fast a curve's codec is."""
    names = ("analysis", "synthesis", "encode", "decode")
    seconds = {name: _mean(curve.values(f"{name}_s")) for name in names}
    return Speed(
        **{name: 1 / mean if mean else math.nan for name, mean in seconds.items()},
        set_s=seconds["decode"] * len(curve.points[0].result.rows),
        threads=tuple(sorted({p.result.threads for p in curve.points if p.result.threads is not None})),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan
