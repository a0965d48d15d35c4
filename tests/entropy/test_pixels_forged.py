"""Payloads that the coders of images never gave."""

import tracemalloc
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lic.bitstream import StreamError
from lic.entropy import pixels, slow_huffman
from lic.entropy.pixels import CODERS, Pixels

from .latents import forge


@pytest.fixture(params=["compiled", "slow"])
def huffman(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Both implementations, in use."""
    module: ModuleType = slow_huffman
    if request.param == "compiled":
        module = pytest.importorskip("lic.entropy._huffman", reason="lic was installed without a compiler")
    monkeypatch.setattr(pixels, "_huffman", module)
    return module


def _image(channels: int = 3) -> Pixels:
    image = np.random.default_rng(5).geometric(0.3, (6, 9, channels)).astype(np.uint8)
    image[2:4] = 200
    return image


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.usefixtures("huffman")
def test_no_payload_but_the_encoders_is_accepted(name: str) -> None:
    """Cut off, extended, forged: an error of one sentence, or the image whose payload it is."""
    random = np.random.default_rng(0)
    coder, valid = CODERS[name], CODERS[name].encode(_image())
    refused = 0
    for _ in range(200):
        forged = forge(valid, random)
        try:
            found = coder.decode(forged, (6, 9, 3))
        except StreamError as error:
            assert str(error).count(". ") == 0 and str(error).endswith(".")
            refused += 1
            continue
        assert coder.encode(found) == forged
    assert refused > 50


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))
def test_any_payload_gives_an_image_or_a_stream_error(payload: bytes, h: int, w: int, c: int) -> None:
    for coder in CODERS.values():
        try:
            image = coder.decode(payload, (h, w, c))
        except StreamError:
            continue
        assert coder.encode(image) == payload


def _payload(bits: str) -> bytes:
    bits = bits.replace(" ", "")
    return int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")


USED = "011 011 0000000 11111011"  # 3, 3 and 251 in gamma codes: of all values, 2, 3 and 4
TWO_TWO_ONE = "0001101 1 011"  # 13, 1 and 3: 8 - 6 bits, as many, one less


def test_a_payload_made_by_hand(huffman: ModuleType) -> None:
    payload = _payload(f"{USED} {TWO_TWO_ONE}  10 11 0")
    assert huffman.decode(payload, 3) == bytes([2, 3, 4]) and huffman.encode(bytes([2, 3, 4])) == payload


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        ("00000000", "no head"),
        (f"{USED} {TWO_TWO_ONE}", "no words"),
        (f"{USED} {TWO_TWO_ONE}  10 11 0 001", "a one behind the end"),
        (f"{USED} {TWO_TWO_ONE}  10 11 0 0000000000000", "a byte behind the end"),
        (f"{USED} {TWO_TWO_ONE}  10 10 0", "a value that has a word and does not occur"),
        (f"{USED} 0001111 010 1  0 10 11", "other words, no worse"),
        (f"{USED} 0001111 1 1  0 1 0", "too many words of one bit"),
        (f"{USED} 0001101 1 1  00 01 10", "a word that nothing means"),
        (f"{USED} 000010000 1 1  00 01 10", "a word of 16 bits"),
        (f"{USED} 000010001 1 1  00 01 10", "a word of no bits"),
        ("00000000100000001", "no value is used"),
        ("011 011 0000000 11111100", "a run beyond the last value"),
        ("000000000 1000000000", "no number is as long"),
    ],
)
def test_codes_that_the_encoder_never_makes(huffman: ModuleType, bits: str, why: str) -> None:
    with pytest.raises(ValueError, match="not that of so many bytes"):
        huffman.decode(_payload(bits), 3)
        pytest.fail(why)


def test_a_value_is_new_once(huffman: ModuleType) -> None:
    assert huffman.encode_adaptive(b"\7\7") == _payload("00000111 0")
    assert huffman.encode_adaptive(b"\7\6") == _payload("00000111 1 00000110")
    with pytest.raises(ValueError, match="not that of so many bytes"):
        huffman.decode_adaptive(_payload("00000111 1 00000111"), 2)


@pytest.mark.parametrize(
    ("shortened", "why"),
    [
        (b"", "nothing"),
        (b"\1\1\1\1\1\1", "a run of one, then more of the same"),
        (b"\1\1\1\1\5", "too long"),
        (b"\1\1\1\1", "no count"),
        (b"\1\1\1", "too short"),
        (b"\1\2\3\4\5\6\7", "too many"),
    ],
)
def test_runs_that_the_encoder_never_makes(huffman: ModuleType, shortened: bytes, why: str) -> None:
    assert huffman.lengthen(b"\1\1\1\1\2", 6) == bytes([1] * 6)
    with pytest.raises(ValueError, match="not that of so many bytes"):
        huffman.lengthen(shortened, 6)
        pytest.fail(why)


def test_long_runs_go_on(huffman: ModuleType) -> None:
    for length in (1, 3, 4, 5, 258, 259, 260, 262, 263, 518, 519, 1000):
        values = b"\3" + bytes(length) + b"\3"
        assert huffman.lengthen(huffman.shorten(values), length + 2) == values
    assert huffman.shorten(bytes(260)) == b"\0\0\0\0\xff\0"


@pytest.mark.parametrize("name", [name for name in CODERS if not name.startswith("range")])
def test_a_short_payload_for_a_large_image_allocates_little(name: str) -> None:
    """But for the image itself, which one value alone may fill; an array is no memory until it is written."""
    pytest.importorskip("lic.entropy._huffman")
    side = 4096
    tracemalloc.start()
    for payload in (bytes(30), b"\x55" * 30, b"\xff" * 30, b"\x80\x80\x80\x08" + b"\x5a" * 30):
        with pytest.raises(StreamError):
            CODERS[name].decode(payload, (side, side, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * side * side


def test_arguments_that_are_none_are_our_fault() -> None:
    coder = CODERS["huffman"]
    image: Any = np.zeros((2, 3, 1), np.uint8)
    for wrong in (image[:0], image[..., 0], image.astype(np.int32)):
        with pytest.raises(AssertionError):
            coder.encode(wrong)
    with pytest.raises(AssertionError):
        coder.decode(b"123", (0, 3, 1))


def test_nothing_is_read_outside_the_arrays(huffman: ModuleType) -> None:
    for count in (0, -1, 2**62):
        for decode in (huffman.decode, huffman.decode_adaptive, huffman.lengthen):
            with pytest.raises((ValueError, MemoryError)):
                decode(b"\x12\x34\x56", count)
