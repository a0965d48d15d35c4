import pytest

from lic.bitstream.fields import Raw, Reader, StreamError, Varint, Varints

VARINT = Varint("side", "of a test", 0, 1 << 20)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (768, b"\x80\x06"), (1 << 20, b"\x80\x80\x40")],
)
def test_varints_are_leb128(value: int, data: bytes) -> None:
    assert VARINT.write(value) == data
    assert VARINT.read(Reader(data)) == value


@pytest.mark.parametrize("value", [-1, (1 << 20) + 1])
def test_writing_out_of_range_is_our_fault(value: int) -> None:
    with pytest.raises(AssertionError):
        VARINT.write(value)
    with pytest.raises(AssertionError):
        Raw("name", "of a test", 4).write(b"123")
    with pytest.raises(AssertionError):
        Varints("lengths", "of a test", 2, 10).write((1, 2, 3))


def test_an_endless_varint_is_refused() -> None:
    reader = Reader(b"\x80" * 1000)
    with pytest.raises(StreamError, match="side is not"):
        VARINT.read(reader)
    assert reader.position == 3


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x00", b"\x80\x81\x00"])
def test_a_varint_that_is_longer_than_need_be_is_refused(data: bytes) -> None:
    with pytest.raises(StreamError, match="side is not"):
        VARINT.read(Reader(data))


def test_reader_counts_and_stops() -> None:
    reader = Reader(b"abc")
    assert reader.take(2) == b"ab" and reader.take(0) == b"" and reader.position == 2
    with pytest.raises(StreamError, match="ends too early"):
        reader.take(2)
    assert reader.rest() == b"c" and reader.rest() == b""
