"""Adaptive coding of the map of levels, of the bits that it keeps, and of bytes.

A decision has the chance of a one that its context has learnt so far: from the west, the north, and the same
place in the three channels before. Integers decide alone, so every machine finds the same payload. The
compiled module ``_bits`` walks over the positions; where it could not be built, `slow_bits` does.

Source: architecture and contexts of this codec's streams are a reconstruction; the paper (Appl. Sci. 2020,
10, 4023) has boxes for an arithmetic coder and no details.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lic.bitstream import StreamError

try:
    from lic.entropy import _bits as _coder
except ImportError:  # no compiler when lic was installed
    from lic.entropy import slow_bits as _coder  # type: ignore[no-redef]

    logging.getLogger(__name__).warning(
        "The compiled coder of bits is missing; coding binary latents is some hundred times slower."
    )


def encode_levels(levels: Tensor, steps: int) -> bytes:
    """Code a map [h, w] of integers from 0 to ``steps``, at most 255."""
    flat, (height, width) = check_levels(levels, steps), levels.shape
    return _coder.encode_levels(flat, height, width, steps)


def decode_levels(payload: bytes, height: int, width: int, steps: int) -> Tensor:
    """The map of `encode_levels`, uint8 [h, w].

    Raises:
        StreamError: the payload is not that of any such map. One that is changed can be another map's.
    """
    assert min(height, width) >= 1 and 1 <= steps <= 255
    levels = decoded(lambda: _coder.decode_levels(payload, height, width, steps))
    return _tensor(levels).view(height, width)


def encode_bits(bits: Tensor, levels: Tensor, steps: int) -> bytes:
    """Code those of the bits [n, h, w], 0 or 1, that the map of levels [h, w] keeps.

    The channels are ``steps`` groups of equal size, in order; a position keeps as many groups as its level.
    """
    flags, kept = check_bits(bits, steps), check_levels(levels, steps)
    channels, height, width = bits.shape
    return _coder.encode_bits(flags, kept, channels, height, width, steps)


def decode_bits(payload: bytes, levels: Tensor, channels: int, steps: int) -> Tensor:
    """The bits of `encode_bits`, uint8 [n, h, w], and 0 where none is kept.

    Raises:
        StreamError: the payload is not that of any bits with these levels. One that is changed can be that
            of others.
    """
    check_groups(channels, steps)
    kept, (height, width) = check_levels(levels, steps), levels.shape
    bits = decoded(lambda: _coder.decode_bits(payload, kept, channels, height, width, steps))
    return _tensor(bits).view(channels, height, width)


def encode_bytes(values: bytes) -> bytes:
    """Code bytes, each from its highest bit on; the context of a bit is what is above it."""
    return _coder.encode_bytes(values)


def decode_bytes(payload: bytes, count: int) -> bytes:
    """The bytes of `encode_bytes`.

    Raises:
        StreamError: the payload is not that of any so many bytes. One that is changed can be that of others.
    """
    return decoded(lambda: _coder.decode_bytes(payload, count))


def check_levels(levels: Tensor, steps: int) -> NDArray[np.uint8]:
    """The levels as bytes; that they are from 0 to ``steps`` is our own promise."""
    assert levels.dim() == 2 and 1 <= steps <= 255
    assert int(levels.min()) >= 0 and int(levels.max()) <= steps
    return levels.to(torch.uint8).contiguous().numpy()


def check_bits(bits: Tensor, steps: int) -> NDArray[np.uint8]:
    """The bits as bytes; that they are bits, in groups of equal size, is our own promise."""
    check_groups(len(bits), steps)
    assert bits.dim() == 3
    assert int(bits.min()) >= 0 and int(bits.max()) <= 1
    return bits.to(torch.uint8).contiguous().numpy()


def check_groups(channels: int, steps: int) -> None:
    """That channels are so many groups of equal size is our own promise, too."""
    assert 1 <= steps <= 255 and channels >= 1 and channels % steps == 0


def _tensor(values: bytes) -> Tensor:
    return torch.frombuffer(bytearray(values), dtype=torch.uint8)


def decoded(decode: Callable[[], bytes]) -> bytes:
    """What a decoder finds; its ValueError becomes a `StreamError`."""
    try:
        return decode()
    except ValueError as error:
        raise wrong(str(error)) from error


def wrong(why: str) -> StreamError:
    """What to raise about a payload."""
    return StreamError(f"The stream cannot be decoded ({why}): the file is forged.")
