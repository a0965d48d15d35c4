"""What ``_huffman.c`` does, byte for byte, where it could not be compiled: some hundred times slower.

docs/streams.md describes every step.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

_LIMIT = 15  # bits of the longest code word
_FIRST_LENGTH = 8  # that the first length is told from
_EQUAL, _MOST = 4, 255  # values of a run before its count, and how many more that can say
_NEW = 256  # the leaf that stands for all values that did not occur

_Values = NDArray[np.uint8] | bytes


def encode(values: _Values) -> bytes:
    """See ``_huffman.encode``."""
    counts = np.bincount(np.frombuffer(values, np.uint8), minlength=256).tolist()
    lengths = _best_lengths(counts)
    codes = {value: code for code, value in _canonical(lengths).items()}
    return _packed(_head(counts, lengths) + "".join(codes.get(value, "") for value in bytes(values)))


def decode(payload: bytes, count: int) -> bytes:
    """See ``_huffman.decode``."""
    bits = _Bits(payload)
    used, lengths = _read_head(bits)
    if count < 1 or (len(used) > 1 and count // 8 > len(payload)):
        raise _wrong()
    if len(used) == 1:
        values = bytes(used) * count
    else:
        codes = _canonical(lengths)
        values = bytes(codes[bits.word(codes)] for _ in range(count))
    bits.end()
    counts = np.bincount(np.frombuffer(values, np.uint8), minlength=256).tolist()
    if [value for value in range(256) if counts[value]] != used or _best_lengths(counts) != lengths:
        raise _wrong()
    return values


def encode_adaptive(values: _Values) -> bytes:
    """See ``_huffman.encode_adaptive``."""
    tree, words = _Tree(), []
    for value in bytes(values):
        is_new = value not in tree.places
        words.append(tree.word(_NEW) + f"{value:08b}" if is_new else tree.word(value))
        tree.learn(value)
    return _packed("".join(words))


def decode_adaptive(payload: bytes, count: int) -> bytes:
    """See ``_huffman.decode_adaptive``."""
    if count < 1 or count // 8 > len(payload):
        raise _wrong()
    tree, bits, values = _Tree(), _Bits(payload), bytearray()
    for _ in range(count):
        value = tree.contents[0]
        while value > _NEW:
            value = tree.contents[2 * (value - _NEW) - 1 + bits.number(1)]
        if value == _NEW and (value := bits.number(8)) in tree.places:
            raise _wrong()
        values.append(value)
        tree.learn(value)
    bits.end()
    return bytes(values)


def shorten(values: _Values) -> bytes:
    """See ``_huffman.shorten``."""
    out = bytearray()
    for value, run in groupby(bytes(values)):
        left = sum(1 for _ in run)
        while left:
            part = min(left, _EQUAL + _MOST)
            out += bytes([value]) * min(part, _EQUAL) + bytes([part - _EQUAL] if part >= _EQUAL else [])
            left -= part
    return bytes(out)


def lengthen(shortened: bytes, count: int) -> bytes:
    """See ``_huffman.lengthen``."""
    out, equal, barred = bytearray(), 0, -1
    for byte in shortened:
        if equal == _EQUAL:
            barred = out[-1] if byte < _MOST else -1
            out += out[-1:] * byte
            equal = 0
        elif byte == barred:
            raise _wrong()
        else:
            equal = equal + 1 if equal and byte == out[-1] else 1
            out.append(byte)
            barred = -1
        if len(out) > count:
            raise _wrong()
    if len(out) != count or equal == _EQUAL or count < 1:
        raise _wrong()
    return bytes(out)


class _Bits:
    """What comes next of a payload, with zeros behind it."""

    def __init__(self, payload: bytes):
        self.digits = "".join(f"{byte:08b}" for byte in payload)
        self.place = 0

    def number(self, count: int) -> int:
        self.place += count
        return int(self.digits[self.place - count : self.place].ljust(count, "0"), 2)

    def word(self, codes: dict[str, int]) -> str:
        """The next word of a complete code."""
        word = ""
        while word not in codes:
            word += str(self.number(1))
        return word

    def gamma(self) -> int:
        zeros = 0
        while not self.number(1):
            zeros += 1
            if zeros > 8:
                raise _wrong()
        return 1 << zeros | (self.number(zeros) if zeros else 0)

    def end(self) -> None:
        """Raise ValueError unless all was read but less than a byte of zeros."""
        if not 0 <= len(self.digits) - self.place < 8 or "1" in self.digits[self.place :]:
            raise _wrong()


class _Tree:
    """The tree of the adaptive code; see ``_huffman.c``. Pair p of children is named by _NEW + 1 + p."""

    def __init__(self) -> None:
        self.weights, self.contents = [0], [_NEW]
        self.places, self.parents = {_NEW: 0}, list[int]()

    def word(self, leaf: int) -> str:
        return "".join("01"[not place % 2] for place in self._up(self.places[leaf]))[::-1]

    def _up(self, place: int) -> Iterator[int]:
        while place:
            yield place
            place = self.parents[(place - 1) // 2]

    def _settle(self, place: int, content: int) -> None:
        self.contents[place] = content
        if content <= _NEW:
            self.places[content] = place
        else:
            self.parents[content - _NEW - 1] = place

    def learn(self, value: int) -> None:
        if value not in self.places:
            self.parents.append(0)
            self.weights += 0, 0
            self.contents += 0, 0
            self._settle(self.places[_NEW], _NEW + len(self.parents))
            self._settle(len(self.weights) - 2, value)
            self._settle(len(self.weights) - 1, _NEW)
        place = self.places[value]
        while True:
            leader = place
            while leader and self.weights[leader - 1] == self.weights[place]:
                leader -= 1
            if leader < place and leader != self.parents[(place - 1) // 2]:
                content = self.contents[leader]
                self._settle(leader, self.contents[place])
                self._settle(place, content)
                place = leader
            self.weights[place] += 1
            if not place:
                return
            place = self.parents[(place - 1) // 2]


def _best_lengths(counts: list[int]) -> list[int]:
    """By the package-merge algorithm: of two equal weights a leaf's comes first, of two leaves the lower."""
    leaves = sorted((count, value) for value, count in enumerate(counts) if count)
    levels: list[list[tuple[int, bool]]] = []
    for _ in range(_LIMIT):
        items = levels[-1] if levels else []
        packages = [(a[0] + b[0], True) for a, b in zip(items[::2], items[1::2], strict=False)]
        levels.append(sorted([(count, False) for count, _ in leaves] + packages))
    lengths, taken = [0] * 256, 2 * len(leaves) - 2
    for level in reversed(levels):
        packages_taken = sum(is_package for _, is_package in level[:taken])
        for _, value in leaves[: taken - packages_taken]:
            lengths[value] += 1
        taken = 2 * packages_taken
    return lengths


def _canonical(lengths: list[int]) -> dict[str, int]:
    """The values of all code words."""
    codes, code, before = {}, 0, 0
    for length, value in sorted((length, value) for value, length in enumerate(lengths) if length):
        code <<= length - before
        codes[f"{code:0{length}b}"] = value
        code, before = code + 1, length
    return codes


def _gamma(number: int) -> str:
    return "0" * (number.bit_length() - 1) + f"{number:b}"


def _head(counts: list[int], lengths: list[int]) -> str:
    runs = [(used, len(list(run))) for used, run in groupby(count > 0 for count in counts)]
    if not runs[0][0]:
        runs[0] = (False, runs[0][1] + 1)
    else:
        runs.insert(0, (False, 1))
    digits, before = "".join(_gamma(run) for _, run in runs), _FIRST_LENGTH
    for length in filter(None, lengths):
        more, before = length - before, length
        digits += _gamma(2 * more if more > 0 else 1 - 2 * more)
    return digits


def _read_head(bits: _Bits) -> tuple[list[int], list[int]]:
    """The used values, and the lengths of all, which are zero where only one is used."""
    used, value, named = list[int](), 0, False
    while value < 256:
        run = bits.gamma() - (not value and not named)
        if run > 256 - value:
            raise _wrong()
        used += range(value, value + run) if named else ()
        value, named = value + run, not named
    lengths, length = [0] * 256, _FIRST_LENGTH
    for value in used if len(used) > 1 else ():
        token = bits.gamma()
        length += -(token // 2) if token % 2 else token // 2
        if not 1 <= length <= _LIMIT:
            raise _wrong()
        lengths[value] = length
    if not used or (len(used) > 1 and sum(1 << _LIMIT - n for n in lengths if n) != 1 << _LIMIT):
        raise _wrong()
    return used, lengths


def _packed(digits: str) -> bytes:
    padded = digits + "0" * (-len(digits) % 8)
    return int(padded or "0", 2).to_bytes(len(padded) // 8, "big")


def _wrong() -> ValueError:
    return ValueError("the payload is not that of so many bytes")
