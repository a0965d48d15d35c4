import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lic.bitstream import Stream, StreamError
from lic.bitstream.container import MAX_PIXELS, MAX_SIDE
from lic.errors import UserError

SMALL = Stream(b"\x01\x02\x03\x04", 300, 5, b"\xaa\xbb", (b"xyz", b"", b"\x00\xff"))
BYTES = bytes.fromhex("6c6963 01 01020304 ac02 05 aabb 03 03 00 02 78797a 00ff 6d176cb1")


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_bytes_are_those_of_format_version_1() -> None:
    """Files that people keep hold these bytes: whoever changes them raises VERSION."""
    assert SMALL.pack() == BYTES
    assert Stream.unpack(BYTES) == SMALL


@given(
    st.builds(
        Stream,
        fingerprint=st.binary(min_size=4, max_size=4),
        width=st.integers(1, MAX_SIDE),
        height=st.integers(1, MAX_PIXELS // MAX_SIDE),
        latent_checksum=st.binary(min_size=2, max_size=2),
        payloads=st.lists(st.binary(max_size=300), max_size=16).map(tuple),
    )
)
def test_round_trip(stream: Stream) -> None:
    assert Stream.unpack(stream.pack()) == stream


@given(st.binary(max_size=200))
def test_any_bytes_give_a_stream_or_a_stream_error(body: bytes) -> None:
    for data in (body, _sealed(b"lic\x01" + body)):
        try:
            stream = Stream.unpack(data)
        except StreamError:
            continue
        assert Stream.unpack(stream.pack()) == stream


def test_every_truncation_is_refused() -> None:
    for length in range(len(BYTES)):
        with pytest.raises(StreamError):
            Stream.unpack(BYTES[:length])


def test_every_flipped_bit_is_refused() -> None:
    for position in range(8 * len(BYTES)):
        damaged = bytearray(BYTES)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(StreamError):
            Stream.unpack(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not a lic stream"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a lic stream"),
        (b"lic", "cut off"),
        (b"lic\x01", "cut off"),
        (_sealed(b"lic\x02" + BYTES[4:-4]), "version 2; this lic reads version 1"),
        (BYTES[:-1], "checksum does not match"),
        (BYTES + b"\x00", "checksum does not match"),
        (_sealed(BYTES[:-4] + b"\x00"), "bytes left over"),
        (_sealed(BYTES[:-5]), "ends too early"),
        (_sealed(b"lic\x01" + bytes(4) + b"\x00\x05" + bytes(3)), "width is not from 1 to 1048576"),
        (_sealed(b"lic\x01" + bytes(4) + b"\x05\x00" + bytes(3)), "height is not"),
        (_sealed(b"lic\x01" + bytes(4) + b"\x81\x80\x40\x05" + bytes(3)), "width is not"),
        (_sealed(b"lic\x01" + bytes(4) + b"\xff" * 20), "width is not"),
        (
            _sealed(b"lic\x01" + bytes(4) + b"\x05\x05\x00\x00\x11" + bytes(17)),
            "number of payload_lengths is not from 0 to 16",
        ),
        (_sealed(b"lic\x01" + bytes(4) + b"\x05\x05\x00\x00\x01\x7f"), "ends too early"),
    ],
)
def test_refusals_say_why(data: bytes, sentence: str) -> None:
    with pytest.raises(StreamError, match=sentence) as caught:
        Stream.unpack(data)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(("bpp", "overhead"), [(0.1, 23), (0.33, 23), (0.5, 24), (5, 24)])
def test_overhead_of_a_photo_is_two_dozen_bytes(bpp: float, overhead: int) -> None:
    size = int(bpp * 768 * 512 / 8)
    payloads = (bytes(size // 25), bytes(size))
    stream = Stream(bytes(4), 768, 512, bytes(2), payloads)
    assert len(stream.pack()) - sum(map(len, payloads)) == overhead


def test_a_claim_of_too_many_pixels_is_refused() -> None:
    stream = Stream(bytes(4), MAX_SIDE, MAX_SIDE, bytes(2), (b"y",))
    with pytest.raises(StreamError, match="claims more than"):
        Stream.unpack(stream.pack())
