"""Binary latents: the map of levels, and the bits that it keeps, each as the shorter of two payloads.

A payload is coded adaptively (`adaptive_bits`) where that is shorter than raw packing (`raw_bits`), and raw
where it is not. Its length tells which: the decoder knows that of the raw one before it reads any.
"""

from collections.abc import Callable

from torch import Tensor

from lic.entropy import adaptive_bits, raw_bits


def encode_levels(levels: Tensor, steps: int) -> bytes:
    """Code a map [h, w] of integers from 0 to ``steps``, at most 255."""
    return min(raw_bits.encode_levels(levels, steps), adaptive_bits.encode_levels(levels, steps), key=len)


def decode_levels(payload: bytes, height: int, width: int, steps: int) -> Tensor:
    """The map of `encode_levels`, uint8 [h, w].

    Raises:
        StreamError: the payload is not that of any such map. One that is changed can be another map's.
    """
    if len(payload) < raw_bits.size_of_levels(height, width, steps):
        return adaptive_bits.decode_levels(payload, height, width, steps)
    levels = raw_bits.decode_levels(payload, height, width, steps)
    _check_shortest(payload, lambda: adaptive_bits.encode_levels(levels, steps))
    return levels


def encode_bits(bits: Tensor, levels: Tensor, steps: int) -> bytes:
    """Code those of the bits [n, h, w], 0 or 1, that the map of levels [h, w] keeps.

    The channels are ``steps`` groups of equal size, in order; a position keeps as many groups as its level.
    """
    coders = raw_bits.encode_bits, adaptive_bits.encode_bits
    return min((encode(bits, levels, steps) for encode in coders), key=len)


def decode_bits(payload: bytes, levels: Tensor, channels: int, steps: int) -> Tensor:
    """The bits of `encode_bits`, uint8 [n, h, w], and 0 where none is kept.

    Raises:
        StreamError: the payload is not that of any bits with these levels. One that is changed can be that
            of others.
    """
    if len(payload) < raw_bits.size_of_bits(levels, channels, steps):
        return adaptive_bits.decode_bits(payload, levels, channels, steps)
    bits = raw_bits.decode_bits(payload, levels, channels, steps)
    _check_shortest(payload, lambda: adaptive_bits.encode_bits(bits, levels, steps))
    return bits


def _check_shortest(payload: bytes, coded: Callable[[], bytes]) -> None:
    """Two payloads of the same latents would be two files of the same image."""
    if len(coded()) < len(payload):
        raise adaptive_bits.wrong("it is longer than need be")
