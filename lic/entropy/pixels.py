"""Lossless coding of 8-bit images: prediction, runs, and a code of bytes, in every combination.

An image is coded channel by channel, each with a code of its own. The compiled module ``_huffman`` does the
work; where it could not be built, `slow_huffman` does. A decoder takes no payload but the encoder's own.

Source: the paper (Deshmukh and Pollett's compact image) names Huffman coding and, in its abstract, an
arithmetic encoder; how lengths are told, prediction and runs are ours.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lic.bitstream.fields import Reader, Varint
from lic.entropy import adaptive_bits
from lic.entropy.adaptive_bits import decoded
from lic.entropy.symbols import Symbols

try:
    from lic.entropy import _huffman
except ImportError:  # no compiler when lic was installed
    from lic.entropy import slow_huffman as _huffman  # type: ignore[no-redef]

    logging.getLogger(__name__).warning(
        "The compiled Huffman coder is missing; coding compact images is some hundred times slower."
    )

Pixels = NDArray[np.uint8]

_SIZE = Varint("size of a channel", "bytes", 1, 2**48)
_PREDICTED = {"left": 2, "up": 1}  # the axis of [c, h, w] along which a neighbour is taken off


_Code = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]


def _codes() -> dict[str, _Code]:
    """How bytes become a payload, and that and their number bytes again."""
    return {
        "huffman": (_huffman.encode, _huffman.decode),
        "adaptive-huffman": (_huffman.encode_adaptive, _huffman.decode_adaptive),
        "range": (adaptive_bits.encode_bytes, adaptive_bits.decode_bytes),
    }


@dataclass(frozen=True)
class PixelCoder:
    """Codes uint8 images [h, w, c] without loss.

    Args:
        code: ``huffman`` (canonical, lengths in front), ``adaptive-huffman``, or the ``range`` coder.
        prediction: what is taken off each pixel first, modulo 256: its neighbour to the ``left``, the one
            ``up``, or nothing.
        runs: whether runs of equal bytes are shortened before they are coded.
    """

    code: str = "huffman"
    prediction: str | None = None
    runs: bool = False

    @property
    def name(self) -> str:
        """As settings say it: ``huffman-left-runs``."""
        return "-".join(filter(None, (self.code, self.prediction, "runs" if self.runs else None)))

    def encode(self, pixels: Pixels) -> bytes:
        """The payload of an image of at least one pixel."""
        payload = b""
        for place, values in enumerate(self._channels(pixels), 1):
            if self.runs:
                payload += _SIZE.write(len(values))
            part = _codes()[self.code][0](values)
            payload += part if place == pixels.shape[2] else _SIZE.write(len(part)) + part
        return payload

    def estimate_bits(self, pixels: Pixels) -> float:
        """The entropy of what `encode` codes: of each channel by itself, after prediction and runs."""
        return sum(Symbols.of(np.frombuffer(part, np.uint8)).bits for part in self._channels(pixels))

    def _channels(self, pixels: Pixels) -> Iterator[bytes]:
        """The bytes of each channel, as they are coded."""
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.size
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        if self.prediction:
            planes = np.diff(planes, axis=_PREDICTED[self.prediction], prepend=np.uint8(0))
        for plane in planes:
            values = plane.tobytes()
            yield _huffman.shorten(values) if self.runs else values

    def decode(self, payload: bytes, shape: tuple[int, int, int]) -> Pixels:
        """The image of `encode`, of this shape.

        Raises:
            StreamError: the payload is not that of any such image. One that is changed can be another's.
        """
        assert min(shape) >= 1
        height, width, channels = shape
        reader, planes = Reader(payload), np.empty((channels, height, width), np.uint8)
        for place, plane in enumerate(planes, 1):
            values = decoded(partial(self._read, reader, plane.size, place == channels))
            plane[:] = np.frombuffer(values, np.uint8).reshape(height, width)
        if self.prediction:
            np.add.accumulate(planes, axis=_PREDICTED[self.prediction], out=planes)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))

    def _read(self, reader: Reader, size: int, is_last: bool) -> bytes:
        count = _SIZE.read(reader) if self.runs else size
        if count > size + size // 4:
            raise ValueError("its runs are too long")
        part = reader.rest() if is_last else reader.take(_SIZE.read(reader))
        values = _codes()[self.code][1](part, count)
        return _huffman.lengthen(values, size) if self.runs else values


CODERS = {
    coder.name: coder
    for coder in (
        PixelCoder(code, prediction, runs)
        for code, prediction, runs in product(_codes(), (None, *_PREDICTED), (False, True))
    )
}
"""All of them, by name."""
