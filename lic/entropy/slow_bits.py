"""What ``_bits.c`` does, byte for byte, where it could not be compiled: some hundred times slower.

docs/streams.md describes every step.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

_PRECISION = 16  # bits of a chance that an interval is divided by; a context keeps 32
_PATIENCE = 124  # decisions that a context counts; then the oldest begin to fade
_STEADY = 1020  # decisions that a context of bytes counts, which fade more slowly
_RECALL = 4  # decisions that still count when the next channel begins
_LAST = 1 << 56  # the value of a payload's last byte; no interval is smaller

_Array = NDArray[np.uint8]


class _Contexts:
    """The chance of a one of each context, in 2⁻³², and how many decisions it comes from."""

    def __init__(self, count: int, patience: int = _PATIENCE):
        self.chances, self.seen, self.patience = [1 << 31] * count, [0] * count, patience

    def recall(self) -> None:
        """Trust what was seen less than what comes."""
        self.seen = [min(seen, _RECALL) for seen in self.seen]

    def learn(self, context: int, bit: bool) -> None:
        """Move the chance towards the decision."""
        rate = 65536 // (self.seen[context] + 4)
        chance = self.chances[context]
        self.chances[context] += ((1 << 32) - chance) * rate >> 16 if bit else -(chance * rate >> 16)
        self.seen[context] = min(self.seen[context] + 1, self.patience)


class _Encoder:
    """Narrows an interval to what it is given; ``range`` is in units of the eighth byte after the shifted."""

    def __init__(self) -> None:
        self.low, self.range = 0, (1 << 64) - 1
        self.shifted = 0
        self.written = bytearray()

    def decide(self, contexts: _Contexts, context: int, bit: bool) -> bool:
        """Code a decision."""
        chance = contexts.chances[context] >> (32 - _PRECISION) | 1  # never all nor nothing
        part = (self.range >> _PRECISION) * chance
        bit = self.choose(bit, part)
        self.range = part if bit else self.range - part
        contexts.learn(context, bit)
        while self.range < _LAST:
            self.range <<= 8
            self.shift()
            self.shifted += 1
        return bit

    def choose(self, bit: bool, part: int) -> bool:
        """Go on with a part of the interval: the lower one, of a one, or the rest, of a zero."""
        if not bit:
            self.raise_low(part)
        return bit

    def raise_low(self, by: int) -> None:
        """Move where the interval begins; a carry goes into what is written."""
        carry, self.low = divmod(self.low + by, 1 << 64)
        place = len(self.written)
        while carry:
            place -= 1
            carry, self.written[place] = divmod(self.written[place] + 1, 256)

    def shift(self) -> None:
        """Write a byte."""
        byte, rest = divmod(self.low, _LAST)
        self.written.append(byte)
        self.low = rest << 8

    def finish(self) -> bytes:
        """The payload, which ends with the first byte that leads into the interval."""
        self.raise_low(_LAST - 1)
        self.shift()
        return bytes(self.written)


class _Decoder(_Encoder):
    """Follows a payload; what it is given for a decision means nothing to it."""

    def __init__(self, payload: bytes):
        super().__init__()
        self.payload = payload
        self.above = int.from_bytes(payload[:8].ljust(8, b"\0"), "big")

    def choose(self, bit: bool, part: int) -> bool:
        """See `_Encoder`."""
        bit = self.above < part
        self.above -= 0 if bit else part
        return bit

    def shift(self) -> None:
        """See `_Encoder`."""
        if self.shifted + 1 >= len(self.payload):
            raise _wrong()
        place = self.shifted + 8
        self.above = self.above << 8 | (self.payload[place] if place < len(self.payload) else 0)

    def check(self) -> None:
        """Raise ValueError unless its encoder would have ended so, too."""
        if len(self.payload) != self.shifted + 1 or self.above >= _LAST:
            raise _wrong()


def _wrong() -> ValueError:
    return ValueError("the payload does not end where its bits do")


def _compared(level: int, step: int) -> int:
    """How a neighbour's level, or -1, compares to a step: 0 without neighbour, else 1 to 5."""
    return 0 if level < 0 else 3 + max(-2, min(2, level - step))


def _walk_levels(coder: _Encoder, levels: _Array, steps: int) -> list[int]:
    contexts = _Contexts(6 * 6)
    found: list[int] = []
    height, width = levels.shape
    for (y, x), given in zip(product(range(height), range(width)), levels.flatten().tolist(), strict=True):
        west = found[-1] if x else -1
        north = found[-width] if y else -1
        level = 0
        while level < steps and coder.decide(
            contexts, 6 * _compared(west, level) + _compared(north, level), given > level
        ):
            level += 1
        found.append(level)
    return found


def _walk_bits(coder: _Encoder, bits: _Array, levels: _Array, steps: int) -> list[int]:
    contexts = _Contexts(1 << 10)
    channels, _, width = bits.shape
    kept = levels.flatten().tolist()
    known = [0] * len(kept)  # of each position, two bits for each of the last three channels, as in _bits.c
    found: list[int] = []
    for channel, given in enumerate(bits.reshape(channels, -1).tolist()):
        contexts.recall()
        west = 0
        for place, level in enumerate(kept):
            if place % width == 0:
                west = 0
            north = known[place - width] & 3 if place >= width else 0
            own = 0
            if level > channel // (channels // steps):
                own = 1 + coder.decide(contexts, west << 8 | north << 6 | known[place], given[place])
            known[place] = (known[place] << 2 | own) & 63
            west = own
            found.append(own == 2)
    return found


def _walk_bytes(coder: _Encoder, values: bytes) -> bytes:
    contexts = _Contexts(1 << 8, _STEADY)
    found = bytearray()
    for value in values:
        known = 1
        for bit in range(7, -1, -1):
            known = known << 1 | coder.decide(contexts, known, bool(value >> bit & 1))
        found.append(known & 255)
    return bytes(found)


def encode_levels(levels: _Array, height: int, width: int, steps: int) -> bytes:
    """See ``_bits.encode_levels``."""
    coder = _Encoder()
    _walk_levels(coder, levels.reshape(height, width), steps)
    return coder.finish()


def decode_levels(payload: bytes, height: int, width: int, steps: int) -> bytes:
    """See ``_bits.decode_levels``."""
    coder = _Decoder(payload)
    levels = _walk_levels(coder, np.zeros((height, width), np.uint8), steps)
    coder.check()
    return bytes(levels)


def encode_bits(bits: _Array, levels: _Array, channels: int, height: int, width: int, steps: int) -> bytes:
    """See ``_bits.encode_bits``."""
    coder = _Encoder()
    _walk_bits(coder, bits.reshape(channels, height, width), levels, steps)
    return coder.finish()


def decode_bits(payload: bytes, levels: _Array, channels: int, height: int, width: int, steps: int) -> bytes:
    """See ``_bits.decode_bits``."""
    coder = _Decoder(payload)
    bits = _walk_bits(coder, np.zeros((channels, height, width), np.uint8), levels, steps)
    coder.check()
    return bytes(bits)


def encode_bytes(values: _Array | bytes) -> bytes:
    """See ``_bits.encode_bytes``."""
    coder = _Encoder()
    _walk_bytes(coder, bytes(values))
    return coder.finish()


def decode_bytes(payload: bytes, count: int) -> bytes:
    """See ``_bits.decode_bytes``."""
    coder = _Decoder(payload)
    values = _walk_bytes(coder, bytes(count))
    coder.check()
    return values
