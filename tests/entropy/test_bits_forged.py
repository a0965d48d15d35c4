"""Payloads and arguments that the coders of binary latents never gave, or never take."""

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lic.bitstream import StreamError
from lic.entropy import adaptive_bits, bits, raw_bits

from .latents import forge, random_latents, there_and_back


def test_no_payload_but_the_encoders_is_accepted(coder: ModuleType, request: pytest.FixtureRequest) -> None:
    """Cut off, extended, forged: an error, or the bits whose payload it is; never anything else."""
    random = np.random.default_rng(0)
    flags, levels, steps = random_latents(16, 6, 7, 8, seed=3, ones=0.1)
    valid = there_and_back(coder, (flags, levels, steps))
    accepted = 0
    for _ in range(300 if request.node.callspec.id == "slow" else 3000):
        for payload, is_bits in zip(valid, (False, True), strict=True):
            forged = forge(payload, random)
            try:
                if is_bits:
                    found = coder.decode_bits(forged, levels, len(flags), steps)
                    again = coder.encode_bits(found, levels, steps)
                else:
                    found = coder.decode_levels(forged, *levels.shape, steps)
                    again = coder.encode_levels(found, steps)
            except StreamError:
                continue
            accepted += 1
            assert again == forged
    assert accepted


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=40), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 8]))
def test_any_payload_gives_latents_or_a_stream_error(payload: bytes, h: int, w: int, steps: int) -> None:
    for coder in (bits, adaptive_bits, raw_bits):
        try:
            levels = coder.decode_levels(payload, h, w, steps)
            assert levels.max() <= steps and coder.encode_levels(levels, steps) == payload
        except StreamError:
            pass
        levels = torch.arange(h * w).view(h, w) % (steps + 1)
        try:
            flags = coder.decode_bits(payload, levels, 2 * steps, steps)
            assert flags.max() <= 1 and coder.encode_bits(flags, levels, steps) == payload
        except StreamError:
            pass


def test_what_is_no_payload_is_told_in_a_sentence(coder: ModuleType) -> None:
    flags, levels, steps = random_latents(16, 6, 7, 8, seed=4)
    payload = coder.encode_bits(flags, levels, steps)
    for damaged in (b"", payload[:-2], payload + b"\0", payload + b"123", bytes(30)):
        with pytest.raises(StreamError, match=r"cannot be decoded \(.*\): the file is forged\.$"):
            coder.decode_bits(damaged, levels, len(flags), steps)
    with pytest.raises(StreamError):
        coder.decode_bits(payload, levels, 2 * len(flags), steps)


def test_a_short_payload_for_a_large_map_ends_at_once(compiled: ModuleType) -> None:
    levels = np.full((2048, 2048), 8, np.uint8)
    with pytest.raises(ValueError, match="does not end"):
        compiled.decode_bits(b"\x55" * 20, levels, 64, 2048, 2048, 8)
    with pytest.raises(ValueError, match="does not end"):
        compiled.decode_levels(b"\x55" * 20, 1 << 14, 1 << 14, 8)


def test_latents_that_are_none_are_our_fault(coder: ModuleType) -> None:
    flags, levels, steps = random_latents(16, 6, 7, 8)
    for wrong in (
        (flags[:15], levels, steps), (flags.int() + 1, levels, steps), (flags, levels + 8, steps),
        (flags, levels - 9, steps), (flags, levels[None], steps), (flags[0], levels, steps),
        (flags, levels, 256),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            coder.encode_bits(*wrong)


@pytest.mark.parametrize("sizes", [(0, 8), (15, 8), (16, 0), (256, 256)])
def test_sizes_that_are_none_are_our_fault(coder: ModuleType, sizes: tuple[int, int]) -> None:
    channels, steps = sizes
    with pytest.raises(AssertionError):
        coder.decode_bits(b"1234", torch.zeros(2, 3), channels, steps)
    with pytest.raises(AssertionError):
        coder.decode_levels(b"1234", 0, 3, 8)


def test_bytes_that_are_no_bits_count_as_ones(compiled: ModuleType) -> None:
    levels = bytes([8] * 20)
    ones = compiled.encode_bits(bytes([1] * 1280), levels, 64, 4, 5, 8)
    assert compiled.encode_bits(bytes([255] * 1280), levels, 64, 4, 5, 8) == ones


def test_nothing_is_read_outside_the_arrays(compiled: ModuleType) -> None:
    plane = np.zeros((4, 5), np.uint8)
    huge = 2**62
    for call, arguments in (
        (compiled.encode_levels, (plane, 5, 5, 8)),
        (compiled.encode_levels, (plane, 0, 5, 8)),
        (compiled.encode_levels, (plane, -4, -5, 8)),
        (compiled.encode_levels, (plane, 4, 5, 0)),
        (compiled.encode_levels, (plane, 4, 5, 256)),
        (compiled.decode_levels, (b"", huge, huge, 8)),
        (compiled.encode_bits, (plane, plane, 2, 4, 5, 1)),
        (compiled.encode_bits, (np.zeros(60, np.uint8), plane, 3, 4, 5, 2)),
        (compiled.encode_bits, (plane, plane[1:], 1, 4, 5, 1)),
        (compiled.decode_bits, (b"", plane, 0, 4, 5, 1)),
        (compiled.decode_bits, (b"", plane, huge, 4, 5, 1)),
        (compiled.decode_bits, (b"", plane, 8, 5, 4, 3)),
        (compiled.decode_bits, (b"", plane, 8, 5, 5, 8)),
    ):
        with pytest.raises(ValueError, match="must"):
            call(*arguments)
