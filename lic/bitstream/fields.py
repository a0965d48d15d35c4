"""Kinds of header fields: each knows how to write its value, read it back and refuse a bad one.

Bytes only; no torch.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lic.errors import UserError


class StreamError(UserError):
    """The bytes are not a stream that this version of lic can read; the text says why."""


class Reader:
    """A cursor over bytes that never runs past their end."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; a `StreamError` when fewer remain."""
        chunk = self.data[self.position : self.position + count]
        if len(chunk) < count:
            raise StreamError("The stream ends too early: the file is cut off or damaged.")
        self.position += count
        return chunk

    def rest(self) -> bytes:
        """All bytes that remain."""
        return self.take(len(self.data) - self.position)


@dataclass(frozen=True)
class Field(ABC):
    """A named value of the header and its meaning for people."""

    name: str
    meaning: str

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """The value as bytes."""

    @abstractmethod
    def read(self, reader: Reader) -> Any:
        """The value at the cursor; a `StreamError` if it is out of range."""


@dataclass(frozen=True)
class Raw(Field):
    """``size`` bytes as they are."""

    size: int

    def write(self, value: bytes) -> bytes:
        """See `Field.write`."""
        assert len(value) == self.size
        return value

    def read(self, reader: Reader) -> bytes:
        """See `Field.read`."""
        return reader.take(self.size)


@dataclass(frozen=True)
class Checksum(Field):
    """Two bytes, of which the first is at least 128; or one zero byte where there is no checksum."""

    def write(self, value: bytes) -> bytes:
        """See `Field.write`."""
        assert not value or (len(value) == 2 and value[0] >= 0x80)
        return value or b"\0"

    def read(self, reader: Reader) -> bytes:
        """See `Field.read`."""
        first = reader.take(1)
        if first == b"\0":
            return b""
        if first[0] < 0x80:
            raise StreamError(f"The stream's {self.name} is none: the file is damaged.")
        return first + reader.take(1)


@dataclass(frozen=True)
class Choice(Field):
    """One byte, among ``values``."""

    values: tuple[int, ...]

    def write(self, value: int) -> bytes:
        """See `Field.write`."""
        assert value in self.values, f"{self.name} = {value}"
        return bytes([value])

    def read(self, reader: Reader) -> int:
        """See `Field.read`."""
        value = reader.take(1)[0]
        if value not in self.values:
            raise StreamError(f"The stream's {self.name} is not one of {self.values}: the file is damaged.")
        return value


@dataclass(frozen=True)
class Varint(Field):
    """An unsigned integer in ``low``…``high``, seven bits a byte, least significant first (LEB128)."""

    low: int
    high: int

    def write(self, value: int) -> bytes:
        """See `Field.write`."""
        assert self.low <= value <= self.high, f"{self.name} = {value}"
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        return bytes(out)

    def read(self, reader: Reader) -> int:
        """See `Field.read`."""
        value = 0
        for shift in range(0, max(self.high.bit_length(), 1), 7):
            byte = reader.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        overlong = shift > 0 and byte == 0
        if byte >= 0x80 or overlong or not self.low <= value <= self.high:
            raise StreamError(
                f"The stream's {self.name} is not from {self.low} to {self.high}: the file is damaged."
            )
        return value


@dataclass(frozen=True)
class Counted(Field):
    """Bytes after their number, which is at most ``count``."""

    count: int

    def write(self, value: bytes) -> bytes:
        """See `Field.write`."""
        return self._length().write(len(value)) + value

    def read(self, reader: Reader) -> bytes:
        """See `Field.read`."""
        return reader.take(self._length().read(reader))

    def _length(self) -> Varint:
        return Varint(f"number of bytes of {self.name}", self.meaning, 0, self.count)


@dataclass(frozen=True)
class Varints(Field):
    """A counted list of unsigned integers."""

    count: int
    high: int

    def write(self, value: tuple[int, ...]) -> bytes:
        """See `Field.write`."""
        size, item = self._parts()
        return size.write(len(value)) + b"".join(item.write(v) for v in value)

    def read(self, reader: Reader) -> tuple[int, ...]:
        """See `Field.read`."""
        size, item = self._parts()
        return tuple(item.read(reader) for _ in range(size.read(reader)))

    def _parts(self) -> tuple[Varint, Varint]:
        size = Varint(f"number of {self.name}", self.meaning, 0, self.count)
        return size, Varint(self.name, self.meaning, 0, self.high)
