"""What a network shows people of how it coded an image; `lic.drawing.inner` draws it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lic.data.images import Pixels


@dataclass(frozen=True)
class HeatMap:
    """A number for each position of a code, each of ``stride`` by ``stride`` pixels.

    ``values`` [h, w] are from 0 to ``highest``, where the colours end, in ``unit``. From the upper left
    corner on they cover the image, and perhaps some padding.
    """

    name: str
    unit: str
    values: NDArray[np.float64]
    stride: int
    highest: float


@dataclass(frozen=True)
class Stage:
    """What the decoder has, ``image`` [H, W, C], once it knows the first ``bits`` of a file."""

    name: str
    image: Pixels
    bits: int


@dataclass(frozen=True)
class Inner:
    """Maps over the image, and the stages of a codec that comes to its image in several; each may be empty.

    A network counts the bits of payloads; `lic.codecs` adds those of the file around them to every stage.
    """

    maps: tuple[HeatMap, ...] = ()
    stages: tuple[Stage, ...] = ()
