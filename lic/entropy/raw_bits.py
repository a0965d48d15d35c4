"""The functions of `adaptive_bits` without a model: a bit costs a bit, a level as many as the largest."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lic.entropy.adaptive_bits import check_bits, check_groups, check_levels, wrong

_Array = NDArray[np.uint8]


def encode_levels(levels: Tensor, steps: int) -> bytes:
    """Pack a map [h, w] of integers from 0 to ``steps``; the highest bit of each comes first."""
    digits = np.unpackbits(check_levels(levels, steps).reshape(-1, 1), axis=1)[:, -steps.bit_length() :]
    return np.packbits(digits).tobytes()


def decode_levels(payload: bytes, height: int, width: int, steps: int) -> Tensor:
    """The map of `encode_levels`, uint8 [h, w].

    Raises:
        StreamError: the payload is not that of any such map.
    """
    assert min(height, width) >= 1 and 1 <= steps <= 255
    size = steps.bit_length()
    digits = _unpack(payload, height * width * size).reshape(-1, size)
    levels = np.packbits(np.pad(digits, ((0, 0), (8 - size, 0))), axis=1)
    if levels.max() > steps:
        raise wrong("a level is above the highest")
    return torch.from_numpy(levels).view(height, width)


def encode_bits(bits: Tensor, levels: Tensor, steps: int) -> bytes:
    """Pack those of the bits [n, h, w] that the map of levels [h, w] keeps, channel by channel."""
    flags = check_bits(bits, steps)
    return np.packbits(flags[_kept(levels, len(flags), steps)]).tobytes()


def decode_bits(payload: bytes, levels: Tensor, channels: int, steps: int) -> Tensor:
    """The bits of `encode_bits`, uint8 [n, h, w], and 0 where none is kept.

    Raises:
        StreamError: the payload is not that of any bits with these levels.
    """
    kept = _kept(levels, channels, steps)
    bits = np.zeros(kept.shape, np.uint8)
    bits[kept] = _unpack(payload, int(kept.sum()))
    return torch.from_numpy(bits)


def size_of_levels(height: int, width: int, steps: int) -> int:
    """The bytes of a payload of `encode_levels`."""
    return -(-height * width * steps.bit_length() // 8)


def size_of_bits(levels: Tensor, channels: int, steps: int) -> int:
    """The bytes of a payload of `encode_bits`."""
    check_groups(channels, steps)
    return -(-int(levels.sum(dtype=torch.int64)) * (channels // steps) // 8)


def _kept(levels: Tensor, channels: int, steps: int) -> NDArray[np.bool_]:
    check_groups(channels, steps)
    groups = np.arange(channels) // (channels // steps)
    return check_levels(levels, steps) > groups[:, None, None]


def _unpack(payload: bytes, count: int) -> _Array:
    if len(payload) != -(-count // 8):
        raise wrong("it has another length than its bits")
    digits = np.unpackbits(np.frombuffer(payload, np.uint8))
    if digits[count:].any():
        raise wrong("it goes on behind its bits")
    return digits[:count]
