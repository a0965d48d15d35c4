from types import ModuleType

import numpy as np
import pytest
import torch
from compressai.ans import RansDecoder, RansEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lic.bitstream import StreamError
from lic.entropy import rans

try:
    from lic.entropy import _rans
except ImportError:
    _rans = None  # type: ignore[assignment]


def _compiled() -> ModuleType:
    if not _rans:
        pytest.skip("lic was installed without a compiler: CompressAI's coder is in use")
    return _rans


Coded = tuple[Tensor, Tensor, rans.Tables]


def _random(seed: int, count: int, spread: float) -> Coded:
    """Tables of random frequencies and lengths, and symbols inside, at the ends and far outside of them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 40, 9)
    cdf = np.zeros((9, 41), np.int32)
    for row, length in zip(cdf, lengths, strict=True):
        cuts = np.sort(random.choice(np.arange(1, 65536), length - 2, replace=False))
        row[:length] = [0, *cuts, 65536]
    offsets = random.integers(-30, 5, 9)
    indexes = random.integers(0, 9, count)
    symbols = np.round(random.normal(0, spread, count) ** 3).clip(-(2**24), 2**24)
    tables = cdf, lengths, offsets
    return (
        torch.tensor(symbols, dtype=torch.int32),
        torch.tensor(indexes, dtype=torch.int32),
        tuple(torch.tensor(table, dtype=torch.int32) for table in tables),  # type: ignore[return-value]
    )


@pytest.fixture(params=["compiled", "CompressAI's"])
def coder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each coder that may do the work."""
    if request.param == "compiled":
        _compiled()
    else:
        monkeypatch.setattr(rans, "_rans", None)


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize("count", [10, 1000, 30_000])
@pytest.mark.parametrize("spread", [1.0, 4.0, 300.0])
def test_streams_are_those_of_compressai(count: int, spread: float) -> None:
    symbols, indexes, tables = _random(count, count, spread)
    lists = [table.tolist() for table in tables]
    payload = rans.encode(symbols, indexes, tables)
    assert payload == RansEncoder().encode_with_indexes(symbols.tolist(), indexes.tolist(), *lists)
    assert torch.equal(rans.decode(payload, indexes, tables), symbols)
    assert RansDecoder().decode_with_indexes(payload, indexes.tolist(), *lists) == symbols.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_symbols_are_coded_too(compiled: ModuleType, count: int) -> None:
    """CompressAI's coder writes past the end of its buffer here."""
    symbols, indexes, tables = _random(count, count, 300.0)
    payload = rans.encode(symbols, indexes, tables)
    assert len(payload) >= 8 and torch.equal(rans.decode(payload, indexes, tables), symbols)


@pytest.mark.usefixtures("coder")
def test_shapes_and_strides_do_not_matter() -> None:
    symbols, indexes, tables = _random(0, 240, 2.0)
    expected = rans.encode(symbols, indexes, tables)
    spread = symbols.view(4, 60).T.contiguous().T
    assert not spread.is_contiguous()
    payload = rans.encode(spread, indexes.view(4, 60).long(), tables)
    assert payload == expected
    assert torch.equal(rans.decode(payload, indexes.view(2, 120), tables), symbols.view(2, 120))


@pytest.fixture
def compiled() -> ModuleType:
    """The extension, which refuses what CompressAI's coder does not notice."""
    return _compiled()


def test_a_symbol_beyond_32_bits_is_refused(compiled: ModuleType) -> None:
    _, indexes, tables = _random(0, 1, 1.0)
    tables[2].fill_(2**31 - 1)
    with pytest.raises(ValueError, match="more than 32 bits"):
        rans.encode(torch.tensor([-(2**31)], dtype=torch.int32), indexes, tables)


def test_a_decoder_takes_its_symbols_in_parts(coder: None) -> None:
    symbols, indexes, tables = _random(6, 1000, 4.0)
    decoder = rans.Decoder(rans.encode(symbols, indexes, tables), 1000, tables)
    parts = [decoder.decode(part) for part in indexes.split([1, 0, 500, 499])]
    decoder.finish()
    assert torch.equal(torch.cat(parts), symbols)


@pytest.mark.usefixtures("compiled")
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.integers(0, 50))
def test_any_payload_gives_symbols_or_a_stream_error(payload: bytes, count: int) -> None:
    _, indexes, tables = _random(1, count, 2.0)
    try:
        symbols = rans.decode(payload, indexes, tables)
    except StreamError:
        return
    assert rans.encode(symbols, indexes, tables) == payload


def test_a_payload_of_other_symbols_is_refused(compiled: ModuleType) -> None:
    symbols, indexes, tables = _random(2, 500, 3.0)
    payload = rans.encode(symbols, indexes, tables)
    damaged = bytearray(payload)
    damaged[len(damaged) // 2] ^= 4
    more = torch.cat([indexes, indexes])
    for data, names in (
        (payload, more), (payload, indexes[:-1]), (payload[:-4], indexes), (payload + bytes(4), indexes),
        (payload[:-1], indexes), (b"", indexes), (bytes(damaged), indexes),
    ):  # fmt: skip
        with pytest.raises(StreamError, match=r"cannot be decoded .* forged"):
            rans.decode(data, names, tables)


def test_an_endless_escape_is_refused(compiled: ModuleType) -> None:
    _, indexes, tables = _random(3, 1000, 3.0)
    for byte in (b"\xff", b"\x00", b"\x0f", b"\xf0"):
        with pytest.raises(StreamError):
            rans.decode(byte * 4000, indexes, tables)


@pytest.mark.parametrize(
    ("index", "table", "complaint"),
    [
        (9, None, "names no table"),
        (-1, None, "names no table"),
        (0, lambda t: (t[0] * 0, *t[1:]), "rising frequencies"),
        (0, lambda t: (t[0], t[1] + 100, t[2]), "rising frequencies"),
        (0, lambda t: (t[0], t[1] * 0, t[2]), "rising frequencies"),
        (0, lambda t: (t[0][:-1], *t[1:]), "do not fit"),
        (0, lambda t: (t[0], t[1][:-1], t[2]), "do not fit"),
    ],
)
def test_nothing_is_read_outside_the_tables(
    compiled: ModuleType, index: int, table: object, complaint: str
) -> None:
    symbols, indexes, tables = _random(4, 10, 2.0)
    payload = rans.encode(symbols, indexes, tables)
    indexes[5] = index
    if callable(table):
        tables = table(tables)
    with pytest.raises(ValueError, match=complaint):
        rans.encode(symbols, indexes, tables)
    with pytest.raises(ValueError, match=complaint):
        rans.decode(payload, indexes, tables)


def test_arrays_of_other_types_are_our_fault(compiled: ModuleType) -> None:
    symbols, indexes, tables = _random(5, 10, 2.0)
    arrays = [table.numpy() for table in tables]
    with pytest.raises(TypeError, match="symbols must be numbers of four bytes"):
        compiled.encode(symbols.numpy().astype(np.int64), indexes.numpy(), *arrays)
