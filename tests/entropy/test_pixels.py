import heapq
import math
import runpy
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import groupby, pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lic.entropy import adaptive_bits, pixels, slow_bits, slow_huffman
from lic.entropy.pixels import CODERS, PixelCoder, Pixels

GOLDEN = {
    "huffman": "0b501f0aa2dd300fd56aab604b01eb54369a00d956aabf",
    "huffman-runs": "130db01eeaa25a6d3b6ded803957e413bc07ad50bb4d5b6cd8022a9f80",
    "huffman-left": "0ad407b258f44be13c4c209007a728f35fc23c5610",
    "huffman-left-runs": "120ad407b258f44be13c4c20129007a728f35fc23c5610",
    "huffman-up": "0a5c07b550df55e000aaa05a01e3ce3c9c2d0dbffe40",
    "huffman-up-runs": "110d9007b5509290b555db007aaf8015aa01e3ce2dad804d8027eab2d0",
    "adaptive-huffman": "0afa1fdbfbd87fccd4701e01104b02d87f4cd47fde",
    "adaptive-huffman-runs": "130efa100ff77fbe0b3ff557604301181301100c13702e0b3fd5565fea80",
    "adaptive-huffman-left": "09fa804c0dfec45ff0c001804c0dc085fc3fe870",
    "adaptive-huffman-left-runs": "1209fa804c0dfec45ff0c01201804c0dc085fc3fe870",
    "adaptive-huffman-up": "09fa1fdb01d82c0d98040110483f6dfe2abb0310",
    "adaptive-huffman-up-runs": "110cfa100ff7701e0b813c0e57801501100c1306fed57f1dc19c0d40",
    "range": "0b050d73503f3861db87df08fefc521b1e62a1ee9d141f70",
    "range-runs": "130d050d7bd0f576ea104bab0df37613fefc541c4602a1b9e2d6f001d9",
    "range-left": "0a060043fb45024a8bba9fff000f61341df3502e6a",
    "range-left-runs": "120a060043fb45024a8bba9f12ff000f61341df3502e6a",
    "range-up": "0c050d73518d8ff42f6f497a30fefc521b593f2a00b6e281f1",
    "range-up-runs": "110c050d7bd0f5e780efd307ff8f15fefc541c488837d03892bc49a885",
}

SHAPES = ((1, 1, 1), (1, 1, 3), (1, 9, 3), (7, 1, 1), (5, 7, 3), (12, 20, 1), (3, 4, 5))


def test_the_estimate_is_the_entropy_of_what_is_coded() -> None:
    """Channel by channel: three that differ in their mean alone take what each takes."""
    rng = np.random.default_rng(0)
    plane = rng.normal(0, 3, (40, 50)).cumsum(1)[..., None]
    image = (plane + np.array([100, 120, 140])).clip(0, 255).astype(np.uint8)

    def bits(values: NDArray[np.uint8]) -> float:
        counts = np.array(list(Counter(values.tobytes()).values()))
        return float(-counts @ np.log2(counts / values.size))

    left = np.diff(image, axis=1, prepend=np.uint8(0))
    for name, coded in (("huffman", image), ("range", image), ("huffman-left", left)):
        expected = sum(bits(np.ascontiguousarray(coded[..., c])) for c in range(3))
        assert CODERS[name].estimate_bits(image) == pytest.approx(expected)
        assert expected < 8 * len(CODERS["huffman-left" if "left" in name else "huffman"].encode(image))
    flat = np.full((40, 50, 1), 9, np.uint8)
    assert CODERS["huffman"].estimate_bits(flat) == 0 < CODERS["huffman-runs"].estimate_bits(flat)


@pytest.fixture(params=["compiled", "slow"])
def huffman(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Both ways of coding, in use."""
    return _use(request.param, monkeypatch)


def _use(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    huffman: ModuleType = slow_huffman
    bits: ModuleType = slow_bits
    if name == "compiled":
        huffman = pytest.importorskip("lic.entropy._huffman", reason="lic was installed without a compiler")
        bits = pytest.importorskip("lic.entropy._bits")
    monkeypatch.setattr(pixels, "_huffman", huffman)
    monkeypatch.setattr(adaptive_bits, "_coder", bits)
    return huffman


def _photo(height: int = 24, width: int = 36, channels: int = 3) -> Pixels:
    """Smooth areas, an edge, a little noise and a flat corner."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:height, :width]
    plane = 90 + 60 * np.sin(x / 17) * np.cos(y / 11) + 70 * (x > y) + random.normal(0, 2, (height, width))
    image = np.stack([plane + 12 * c for c in range(channels)], axis=2).clip(0, 255).round()
    image[: height // 3, : width // 3] = 255
    return image.astype(np.uint8)


def _images() -> dict[str, Pixels]:
    random = np.random.default_rng(0)
    made: dict[str, Pixels] = {
        f"random {shape}": random.integers(0, 256, shape, np.uint8) for shape in SHAPES
    }
    made |= {f"flat {value}": np.full((9, 11, 3), value, np.uint8) for value in (0, 128, 255)}
    made["flat and long"] = np.full((2, 600, 1), 7, np.uint8)
    made["two values"] = random.integers(0, 2, (20, 30, 3), np.uint8) * np.uint8(255)
    made["all values"] = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    made["steep"] = _fibonacci(18).reshape(-1, 10, 1)
    runs = np.repeat(random.integers(0, 5, 20), random.integers(1, 600, 20))
    made["runs"] = runs.astype(np.uint8).reshape(1, -1, 1)
    return made | {"photo": _photo(), "gray photo": _photo(channels=1)}


def _fibonacci(values: int) -> NDArray[np.uint8]:
    """What has the longest code words: each value as often as the two before it."""
    times = [1, 1]
    while len(times) < values:
        times.append(times[-1] + times[-2])
    return np.repeat(np.arange(values, dtype=np.uint8), times)[: sum(times) // 10 * 10]


IMAGES = _images()


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.usefixtures("huffman")
def test_images_come_back(name: str) -> None:
    for kind, image in IMAGES.items():
        payload = CODERS[name].encode(image)
        back = CODERS[name].decode(payload, _shape(image))
        assert back.dtype == np.uint8 and back.flags.c_contiguous
        assert np.array_equal(back, image), kind


def _shape(image: Pixels) -> tuple[int, int, int]:
    height, width, channels = image.shape
    return height, width, channels


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_image_comes_back(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, high)) for high in (12, 12, 3))
    values = data.draw(st.sampled_from([1, 2, 3, 17, 256]))
    size = math.prod(shape)
    image = np.array(data.draw(st.lists(st.integers(0, values - 1), min_size=size, max_size=size)), np.uint8)
    image = image.reshape(shape)
    for coder in CODERS.values():
        assert np.array_equal(coder.decode(coder.encode(image), _shape(image)), image)


@pytest.mark.parametrize("name", CODERS)
def test_the_slow_coder_writes_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, image in IMAGES.items():
        payloads = []
        for implementation in ("compiled", "slow"):
            _use(implementation, monkeypatch)
            payloads.append(CODERS[name].encode(image))
        assert payloads[0] == payloads[1], kind


def test_strides_do_not_matter() -> None:
    image = _photo()
    turned = image.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    assert not turned.flags.c_contiguous
    for coder in CODERS.values():
        assert coder.encode(turned) == coder.encode(image)


def test_names_are_those_of_the_settings() -> None:
    assert len(CODERS) == 18 and all(name == coder.name for name, coder in CODERS.items())
    assert CODERS["huffman"] == PixelCoder() and CODERS["range-up-runs"] == PixelCoder("range", "up", True)


def _huffman_bits(counts: Iterable[int]) -> int:
    """The bits of all words of an optimal code: what the textbook's merges add up to."""
    heap = list(counts)
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def _limited_bits(counts: Iterable[int], limit: int = 15) -> float:
    """The same with limited words: of the nodes of each depth, so many become leaves of the most frequent."""
    ordered = sorted(counts, reverse=True)

    @cache
    def best(depth: int, told: int, nodes: int) -> float:
        if told == len(ordered):
            return 0
        if depth == limit:
            return 0 if told + nodes >= len(ordered) else math.inf
        nodes = min(nodes, len(ordered) - told)
        choices = (
            sum(ordered[told + leaves :]) + best(depth + 1, told + leaves, 2 * (nodes - leaves))
            for leaves in range(nodes + 1)
        )
        return min(choices)

    return best(0, 0, 1)


def _head_bits(values: bytes, lengths: list[int]) -> int:
    """Of the head as docs/streams.md has it."""

    def gamma(number: int) -> int:
        return 2 * number.bit_length() - 1

    runs = [len(list(run)) for _, run in groupby(value in values for value in range(256))]
    runs = [1, *runs] if 0 in values else [runs[0] + 1, *runs[1:]]
    told = [length for length in lengths if length]
    steps = [after - before for before, after in pairwise([8, *told])] if told else []
    return sum(map(gamma, runs)) + sum(gamma(2 * s if s > 0 else 1 - 2 * s) for s in steps)


@pytest.mark.parametrize("kind", IMAGES)
def test_the_static_code_is_huffmans(huffman: ModuleType, kind: str) -> None:
    """Payloads are as long as the textbook's code and the head of the document."""
    values = IMAGES[kind].tobytes()
    counts = [values.count(value) for value in range(256)]
    lengths = slow_huffman._best_lengths(counts)
    words = sum(length * times for length, times in zip(lengths, counts, strict=True))
    bits = _huffman_bits(filter(None, counts))
    if kind == "steep":
        assert words == _limited_bits(filter(None, counts)) > bits and max(lengths) == 15
    else:
        assert words == bits and max(lengths) <= 15
    assert len(huffman.encode(values)) == math.ceil((_head_bits(values, lengths) + words) / 8)
    entropy = _entropy(values)
    assert entropy - 1e-6 <= bits / 8 <= entropy + len(values) / 8


def _entropy(values: bytes) -> float:
    """Bytes that an ideal coder takes which knows how often each value occurs."""
    times = np.array(list(Counter(values).values()))
    return float((times * np.log2(len(values) / times)).sum() / 8)


def test_words_are_canonical() -> None:
    """The example of RFC 1951, section 3.2.2."""
    lengths = dict(zip(b"ABCDEFGH", (3, 3, 3, 3, 3, 2, 4, 4), strict=True))
    words = {chr(v): w for w, v in slow_huffman._canonical([lengths.get(v, 0) for v in range(256)]).items()}
    assert [words[v] for v in "ABCDEFGH"] == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


@pytest.mark.parametrize("kind", ["runs", "two values", "all values", "random (5, 7, 3)"])
def test_the_adaptive_tree_is_one_of_huffmans_at_every_step(huffman: ModuleType, kind: str) -> None:
    tree, bits, counts = slow_huffman._Tree(), 0, Counter[int]()
    values = IMAGES[kind].tobytes()[:1500]
    for value in values:
        bits += len(tree.word(value)) if value in counts else len(tree.word(256)) + 8
        tree.learn(value)
        counts[value] += 1
        words = {leaf: tree.word(leaf) for leaf in (*counts, 256)}
        assert sum(2.0 ** -len(word) for word in words.values()) == 1
        assert sum(times * len(words[leaf]) for leaf, times in counts.items()) == _huffman_bits(
            [0, *counts.values()]
        )
    assert len(huffman.encode_adaptive(values)) == math.ceil(bits / 8)


def test_codes_cost_what_they_should() -> None:
    """Of bytes without order: the range coder little more than the entropy, Huffman codes the next."""
    values = np.random.default_rng(3).geometric(0.2, (120, 100, 1)).astype(np.uint8)
    sizes = [len(CODERS[code].encode(values)) for code in ("range", "huffman", "adaptive-huffman")]
    entropy = _entropy(values.tobytes())
    assert entropy < sizes[0] < sizes[1] and sizes[0] < 1.01 * entropy
    assert max(sizes[1:]) < 1.02 * entropy


def test_options_save_where_they_should() -> None:
    def size(name: str, image: Pixels) -> int:
        return len(CODERS[name].encode(image))

    photo = _photo(80, 120)
    assert max(size("huffman-left", photo), size("huffman-up", photo)) < 0.8 * size("huffman", photo)
    rows = np.repeat(photo[:, :1], 50, axis=1)
    assert size("huffman-left-runs", rows) < 0.3 * size("huffman-left", rows)
    assert size("huffman", IMAGES["flat 128"]) < 20
    for kind in ("flat 0", "flat and long"):  # no bit for a value that alone is there
        image = IMAGES[kind]
        assert size("huffman", image) == size("huffman", image[:1, :1])


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.usefixtures("huffman")
def test_payloads_of_every_machine_are_these(name: str) -> None:
    y, x, c = np.meshgrid(np.arange(3), np.arange(6), np.arange(2), indexing="ij")
    image = ((x // 4 * 3 + y * y + 7 * c) % 11 + 250).astype(np.uint8)
    assert CODERS[name].encode(image).hex() == GOLDEN[name]


def test_without_the_extension_the_slow_coder_is_in_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("lic.entropy._huffman", raising=False)
    monkeypatch.setitem(sys.modules, "lic.entropy._huffman", None)
    assert runpy.run_path(str(pixels.__file__))["_huffman"] is slow_huffman
    assert "The compiled Huffman coder is missing" in caplog.text
