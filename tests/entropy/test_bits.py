import runpy
import sys
from collections.abc import Iterator
from itertools import product
from math import log2
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from lic.bitstream import StreamError
from lic.entropy import adaptive_bits, bits, raw_bits, slow_bits

from .latents import Latents, kept, random_latents, there_and_back

SHAPES = ((1, 1, 1, 1), (8, 1, 1, 8), (4, 1, 9, 2), (6, 7, 1, 3), (16, 5, 7, 8), (64, 12, 9, 8), (3, 4, 4, 1))


def _smooth(n: int = 32, h: int = 24, w: int = 36, steps: int = 8) -> Latents:
    """Bits and levels that resemble their neighbours, in space and along the channels."""
    random = np.random.default_rng(1)
    field = random.normal(size=(n + 1, h, w))
    for axis in (0, 1, 2):
        for _ in range(2):
            field = field + np.roll(field, 1, axis)
    field = field / field.std()
    levels = (field[-1] * 2 + steps / 2).round().clip(0, steps).astype(np.int64)
    return torch.from_numpy(field[:-1] > 0.5), torch.from_numpy(levels), steps


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels_and_kept_bits_come_back(coder: ModuleType, shape: tuple[int, int, int, int]) -> None:
    for seed, ones in enumerate((0.5, 0.02, 0.98)):
        there_and_back(coder, random_latents(*shape, seed, ones))


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("level", [0, 3, 8])
def test_what_is_all_alike_costs_little(coder: ModuleType, flag: bool, level: int) -> None:
    flags, levels = torch.full((64, 20, 30), flag), torch.full((20, 30), level)
    payloads = there_and_back(coder, (flags, levels, 8))
    if coder is raw_bits:
        assert (len(payloads[0]), len(payloads[1])) == (600 * 4 // 8, 600 * 64 * level // 64)
    else:
        assert len(payloads[0]) < 30 and len(payloads[1]) < 100
    if level == 0:
        assert payloads[1] == bytes(coder is adaptive_bits)  # a map that keeps nothing


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 255])
def test_any_number_of_steps(coder: ModuleType, steps: int) -> None:
    there_and_back(coder, random_latents(steps, 6, 5, steps, seed=steps))


def test_types_and_strides_do_not_matter(coder: ModuleType) -> None:
    flags, levels, steps = random_latents(16, 6, 10, 8)
    expected = there_and_back(coder, (flags, levels, steps))
    turned = flags.permute(2, 0, 1).contiguous().permute(1, 2, 0), levels.T.contiguous().T.to(torch.int16)
    assert not turned[0].is_contiguous() and not turned[1].is_contiguous()
    assert there_and_back(coder, (*turned, steps)) == expected


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_slow_coder_writes_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, compiled: ModuleType, shape: tuple[int, int, int, int]
) -> None:
    for latents in (random_latents(*shape, 5), random_latents(*shape, 6, 0.01), _smooth()):
        payloads = []
        for coder in (compiled, slow_bits):
            monkeypatch.setattr(adaptive_bits, "_coder", coder)
            payloads.append(there_and_back(adaptive_bits, latents))
        assert payloads[0] == payloads[1]


def _arithmetic() -> Latents:
    """Latents that no generator of random numbers is needed for."""
    c, y, x = torch.meshgrid(torch.arange(8), torch.arange(5), torch.arange(9), indexing="ij")
    return (c * c + 3 * y * x + x) % 7 > 3, (x + 2 * y * y)[0] % 5, 4


def test_payloads_of_every_machine_are_these(coder: ModuleType) -> None:
    payloads = there_and_back(coder, _arithmetic())
    assert tuple(payload.hex() for payload in payloads) == GOLDEN[coder.__name__.rpartition(".")[2]]


GOLDEN = {
    **dict.fromkeys(
        ("adaptive_bits", "bits"),
        ("a458ddacae834b4d4baca47d", "dc1f561df58187e2dc09eb0718c83e0e16955fe8ec"),
    ),
    "raw_bits": (
        "05380a69c05381c05380b80a7014e029c0",
        "189000a6061100566274fe53f120244d40a057e8e1d060",
    ),
}


def _costs(decisions: Iterator[tuple[object, bool]]) -> float:
    """Bits that decisions take whose contexts average what they saw, the last 128 or so; `None` recalls."""
    chances: dict[object, tuple[float, int]] = {}
    total = 0.0
    for context, one in decisions:
        if context is None:
            chances = {key: (p, min(seen, 4)) for key, (p, seen) in chances.items()}
            continue
        p, seen = chances.get(context, (0.5, 0))
        total -= log2(p if one else 1 - p)
        chances[context] = p + (one - p) / (seen + 4), min(seen + 1, 124)
    return total


def _decided_bits(flags: Tensor, levels: Tensor, steps: int) -> Iterator[tuple[object, bool]]:
    mask = kept(flags, levels, steps)
    known = {place: bool(flags[place]) for place in product(*map(range, flags.shape)) if mask[place]}
    for c in range(len(flags)):
        yield None, False
        for y, x in product(*map(range, levels.shape)):
            if (c, y, x) in known:
                near = [(c, y, x - 1), (c, y - 1, x), *((c - back, y, x) for back in (1, 2, 3))]
                yield tuple(known.get(place) for place in near), known[c, y, x]


def _decided_levels(levels: Tensor, steps: int) -> Iterator[tuple[object, bool]]:
    h, w = levels.shape
    known = {(y, x): int(levels[y, x]) for y, x in product(range(h), range(w))}
    for (y, x), level in known.items():
        near = known.get((y, x - 1)), known.get((y - 1, x))
        for step in range(min(level + 1, steps)):
            context = tuple(None if a is None else max(-2, min(2, a - step)) for a in near)
            yield context, level > step


@pytest.mark.parametrize(
    "latents", [_smooth(), _smooth(8, 3, 5), random_latents(32, 20, 20, 8)], ids=["large", "small", "random"]
)
def test_the_rate_is_that_of_the_model(latents: Latents) -> None:
    """A payload has the ideal length of an adaptive model in real numbers, written here a second time."""
    _, levels, steps = latents
    payloads = there_and_back(adaptive_bits, latents)
    for payload, decisions in zip(
        payloads, (_decided_levels(levels, steps), _decided_bits(*latents)), strict=True
    ):
        ideal = _costs(decisions) / 8
        assert abs(len(payload) - ideal) < 1e-3 * ideal + 2


def _documented(decisions: Iterator[tuple[object, bool]], patience: int = 124) -> bytes:
    """The payload as docs/streams.md has it, with numbers of any size in place of carries."""
    low, width, shifts = 0, 2**64 - 1, 0
    contexts: dict[object, tuple[int, int]] = {}
    for context, one in decisions:
        if context is None:
            contexts = {key: (chance, min(seen, 4)) for key, (chance, seen) in contexts.items()}
            continue
        chance, seen = contexts.get(context, (2**31, 0))
        part, rate = (width >> 16) * (chance >> 16 | 1), 65536 // (seen + 4)
        low, width = (low, part) if one else (low + part, width - part)
        chance += ((2**32 - chance) * rate >> 16) if one else -(chance * rate >> 16)
        contexts[context] = chance, min(seen + 1, patience)
        while width < 2**56:
            low, width, shifts = low << 8, width << 8, shifts + 1
    return (-(-low // 2**56)).to_bytes(shifts + 1, "big")


@pytest.mark.parametrize("latents", [_smooth(), random_latents(64, 12, 9, 8), random_latents(6, 1, 5, 3)])
def test_payloads_are_those_of_the_document(latents: Latents) -> None:
    _, levels, steps = latents
    assert adaptive_bits.encode_levels(levels, steps) == _documented(_decided_levels(levels, steps))
    assert adaptive_bits.encode_bits(*latents) == _documented(_decided_bits(*latents))


def _decided_bytes(values: bytes) -> Iterator[tuple[object, bool]]:
    for value in values:
        digits = f"{value:08b}"
        for place, digit in enumerate(digits):
            yield digits[:place], digit == "1"


@pytest.mark.parametrize("implementation", ["compiled", "slow"])
@pytest.mark.parametrize("values", [b"\0", bytes(500), bytes(range(256)) * 6, b"abracadabra" * 90])
def test_payloads_of_bytes_are_those_of_the_document(
    values: bytes, implementation: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = request.getfixturevalue("compiled") if implementation == "compiled" else slow_bits
    monkeypatch.setattr(adaptive_bits, "_coder", inner)
    payload = adaptive_bits.encode_bytes(values)
    assert payload == _documented(_decided_bytes(values), 1020)
    assert adaptive_bits.decode_bytes(payload, len(values)) == values
    for forged in (payload + b"\0", payload[:-1], b""):
        with pytest.raises(StreamError, match="does not end where its bits do"):
            adaptive_bits.decode_bytes(forged, len(values))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ones", [0.5, 0.02])
def test_the_shorter_payload_is_kept(shape: tuple[int, int, int, int], ones: float) -> None:
    latents = random_latents(*shape, ones=ones)
    both = [there_and_back(coder, latents) for coder in (raw_bits, adaptive_bits)]
    assert there_and_back(bits, latents) == tuple(min(pair, key=len) for pair in zip(*both, strict=True))
    assert [len(payload) for payload in both[0]] == [
        raw_bits.size_of_levels(shape[1], shape[2], shape[3]),
        raw_bits.size_of_bits(latents[1], len(latents[0]), latents[2]),
    ]


def test_neighbours_are_worth_their_contexts() -> None:
    """Against the entropy of the bits one by one."""
    latents = _smooth()
    coded = latents[0][kept(*latents)]
    ones = coded.double().mean().item()
    alone = -(ones * log2(ones) + (1 - ones) * log2(1 - ones)) * len(coded) / 8
    assert len(bits.encode_bits(*latents)) < 0.75 * alone


def test_without_the_extension_the_slow_coder_is_in_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("lic.entropy._bits", raising=False)
    monkeypatch.setitem(sys.modules, "lic.entropy._bits", None)
    assert runpy.run_path(str(adaptive_bits.__file__))["_coder"] is slow_bits
    assert "The compiled coder of bits is missing" in caplog.text
