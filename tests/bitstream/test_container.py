import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lic.bitstream import MAX_PIXELS, Stream, StreamError, checksum, describe
from lic.bitstream.container import FIELDS, MAX_SIDE
from lic.errors import UserError

SMALL = Stream(b"\x01\x02\x03\x04", 300, 5, b"\xaa\xbb", (b"xyz", b"", b"\x00\xff"))
BYTES = bytes.fromhex("6c6963 03 01020304 ac02 05 03 00 aabb 00 02 03 00 78797a 00ff 6bb63814")
GRAY = Stream(b"\x01\x02\x03\x04", 2, 1, b"", (b"xyz",), channels=1, method=5, options=b"ab")
GRAY_BYTES = bytes.fromhex("6c6963 03 01020304 02 01 01 05 00 02 6162 00 78797a c1952389")


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_bytes_are_those_of_format_version_3() -> None:
    """Files that people keep hold these bytes: whoever changes them raises VERSION."""
    assert SMALL.pack() == BYTES
    assert Stream.unpack(BYTES) == SMALL
    assert GRAY.pack() == GRAY_BYTES
    assert Stream.unpack(GRAY_BYTES) == GRAY


@given(
    st.builds(
        Stream,
        fingerprint=st.binary(min_size=4, max_size=4),
        width=st.integers(1, MAX_SIDE),
        height=st.integers(1, MAX_PIXELS // MAX_SIDE),
        latent_checksum=st.just(b"") | st.binary(max_size=50).map(checksum),
        payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=40).map(tuple),
        channels=st.sampled_from([1, 3]),
        method=st.integers(0, 127),
        options=st.binary(max_size=255),
    )
)
def test_round_trip(stream: Stream) -> None:
    assert Stream.unpack(stream.pack()) == stream


@given(st.binary(max_size=200))
def test_any_bytes_give_a_stream_or_a_stream_error(body: bytes) -> None:
    for data in (body, _sealed(b"lic\x03" + body)):
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
        (b"lic\x03", "cut off"),
        (_sealed(b"lic\x02" + BYTES[4:-4]), "version 2; this lic reads version 3"),
        (BYTES[:-1], "checksum does not match"),
        (BYTES + b"\x00", "checksum does not match"),
        (_sealed(BYTES[:18]), "ends too early"),
        (_sealed(BYTES[:11] + b"\x04" + BYTES[12:-4]), r"channels is not one of \(1, 3\)"),
        (_sealed(BYTES[:12] + b"\x80" + BYTES[13:-4]), "method is not from 0 to 127"),
        (_sealed(BYTES[:13] + b"\x2a" + BYTES[14:-4]), "latent_checksum is none"),
        (_sealed(BYTES[:15] + b"\x7f" + BYTES[16:-4]), "ends too early"),
        (_sealed(BYTES[:15] + b"\x80\x02" + BYTES[16:-4]), "number of bytes of options is not from 0 to 255"),
        (_sealed(b"lic\x03" + bytes(4) + b"\x00\x05" + bytes(3)), "width is not from 1 to 1048576"),
        (_sealed(b"lic\x03" + bytes(4) + b"\x05\x00" + bytes(3)), "height is not"),
        (_sealed(b"lic\x03" + bytes(4) + b"\x81\x80\x40\x05" + bytes(3)), "width is not"),
        (_sealed(b"lic\x03" + bytes(4) + b"\xff" * 20), "width is not"),
        (
            _sealed(b"lic\x03" + bytes(4) + b"\x05\x05\x03\x00\x00\x00\x81\x20" + bytes(17)),
            "number of payload_lengths is not from 0 to 4096",
        ),
        (_sealed(b"lic\x03" + bytes(4) + b"\x05\x05\x03\x00\x00\x00\x01\x7f"), "ends too early"),
    ],
)
def test_refusals_say_why(data: bytes, sentence: str) -> None:
    with pytest.raises(StreamError, match=sentence) as caught:
        Stream.unpack(data)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize("bpp", [0.1, 0.5, 5])
def test_overhead_of_a_photo_is_24_bytes(bpp: float) -> None:
    size = int(bpp * 768 * 512 / 8)
    payloads = (bytes(size // 25), bytes(size))
    for latents, overhead in ((checksum(b"y"), 24), (b"", 23)):
        stream = Stream(bytes(4), 768, 512, latents, payloads)
        assert len(stream.pack()) - sum(map(len, payloads)) == overhead


def test_a_claim_of_too_many_pixels_is_refused_unless_allowed() -> None:
    data = Stream(bytes(4), 100_000, 100_000, b"", (b"y",)).pack()
    with pytest.raises(StreamError, match="claims 100000x100000 = 10,000,000,000 pixels, more than"):
        Stream.unpack(data)
    assert Stream.unpack(data, max_pixels=10**10).width == 100_000
    assert ("width", 100_000) in [(entry.name, entry.value) for entry in describe(data)], "bytes, no pixels"


def test_a_stream_describes_every_field_it_declares() -> None:
    entries = describe(BYTES)
    costs = ["bytes", "overhead", "bpp"]
    assert [entry.name for entry in entries] == ["version", *(f.name for f in FIELDS), "checksum", *costs]
    values = {entry.name: entry.value for entry in entries}
    assert values["fingerprint"] == "01020304" and values["payload_lengths"] == [3, 0]
    assert (values["width"], values["height"], values["channels"], values["method"]) == (300, 5, 3, 0)
    assert (values["latent_checksum"], values["options"]) == ("aabb", "none")
    assert {"latent_checksum": "none", "options": "6162", "method": 5, "channels": 1}.items() <= {
        entry.name: entry.value for entry in describe(GRAY_BYTES)
    }.items()
    assert [values[name] for name in costs] == [len(BYTES), len(BYTES) - 5, round(8 * len(BYTES) / 1500, 4)]
    assert all(entry.meaning for entry in entries)
    assert json.loads(json.dumps(values)) == values
