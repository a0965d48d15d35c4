"""Whatever the bytes, the answer is a picture or one sentence. checks/fuzz asks far more often."""

import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lic.bitstream import Stream, checksum, describe
from lic.bitstream.container import MAGIC, VERSION
from lic.codecs.compact import CompactCodec
from lic.codecs.learned import LearnedCodec
from lic.errors import UserError
from lic.models import CompactImage, ResidualGN, build_model
from lic.store.description import Description

from ..objectives import rd

FAMILIES: dict[str, dict[str, Any]] = {
    "baseline": {"name": "baseline", "kernel_size": 3, "width": 4},
    "hyperprior": {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 4},
    "fastdic": {"name": "fastdic", "width": 4, "bottleneck": 4},
}
RESIDUAL: dict[str, Any] = {"name": "residual_gn", "width": 8, "bottleneck": 16}
COMPACT: dict[str, Any] = {"name": "icm_irm", "width": 4}
SIDES = st.integers(1, 80) | st.sampled_from([1023, 2**15, 2**20])
few = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def codecs(make_net: Any) -> list[LearnedCodec]:
    made = []
    for options in FAMILIES.values():
        net = make_net(**options)
        info = Description(options, rd(0.01)).info(net)
        made.append(LearnedCodec(net, info, max_pixels=2**16))
    torch.manual_seed(0)
    residual = build_model(**RESIDUAL)
    assert isinstance(residual, ResidualGN)
    made.append(LearnedCodec(residual, Description(RESIDUAL, rd(0.01)).info(residual), max_pixels=2**16))
    compact = build_model(**COMPACT)
    assert isinstance(compact, CompactImage)
    made.append(CompactCodec(compact, Description(COMPACT, rd(0.01)).info(compact), max_pixels=2**16))
    return made


def _ask(codec: LearnedCodec, data: bytes) -> None:
    try:
        pixels = codec.decode(data)
    except UserError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3
    with suppress(UserError):
        describe(data)


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@few
@given(st.integers(0, 4), st.binary(max_size=64), st.booleans())
def test_any_bytes(codecs: list[LearnedCodec], which: int, tail: bytes, named: bool) -> None:
    codec = codecs[which]
    _ask(codec, tail)
    _ask(codec, _sealed(MAGIC + bytes([VERSION]) + (codec.fingerprint if named else b"") + tail))


@few
@given(
    st.integers(0, 4),
    SIDES,
    SIDES,
    st.just(b"") | st.binary(max_size=2).map(checksum),
    st.integers(0, 30),
    st.lists(
        st.binary(max_size=100) | st.integers(0, 3).map(lambda n: bytes([n % 2 * 255]) * 400),
        min_size=1,
        max_size=4,
    ),
)
def test_any_payloads_for_any_size(
    codecs: list[LearnedCodec],
    which: int,
    width: int,
    height: int,
    checksum: bytes,
    method: int,
    payloads: list[bytes],
) -> None:
    codec = codecs[which]
    _ask(
        codec,
        Stream(
            codec.fingerprint, width, height, checksum, tuple(payloads), method=method if which == 4 else 0
        ).pack(),
    )


@few
@given(st.integers(0, 4), st.integers(0, 10_000), st.integers(0, 10_000), st.binary(max_size=8))
def test_a_changed_stream(
    codecs: list[LearnedCodec], which: int, place: int, length: int, new: bytes
) -> None:
    codec = codecs[which]
    rng = np.random.default_rng(0)
    body = codec.encode(rng.integers(0, 256, (30, 70, 3), np.uint8)).data[:-4]
    start = place % (len(body) + 1)
    end = start + length % (len(body) - start + 1)
    _ask(codec, _sealed(body[:start] + new + body[end:]))


def test_ten_gigapixels_are_refused_before_the_network_is_asked(
    codecs: list[LearnedCodec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("asked")

    codec = LearnedCodec(codecs[0].net, codecs[0].info)
    monkeypatch.setattr(codec.net, "decode", asked)
    data = Stream(codec.fingerprint, 100_000, 100_000, b"\x80\0", (b"",)).pack()
    with pytest.raises(UserError, match=r"100000x100000 = 10,000,000,000 pixels.*--max-pixels"):
        codec.decode(data)
    with pytest.raises(AssertionError, match="asked"):
        LearnedCodec(codec.net, codec.info, max_pixels=10**10).decode(data)


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        "streams-hyperprior",
        "streams-fastdic",
        "streams-residual_gn",
        "streams-icm_irm",
        "model-files-baseline",
        "model-files-residual_gn",
        "model-files-comcnn_reccnn",
        "checkpoints",
    ],
)
def test_the_attacker_finds_no_fault(target: str, run_python: Any) -> None:
    counts = ("--streams", "1000", "--models", "100")
    done = run_python("-m", "checks.fuzz", "--target", target, *counts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 faults" in done.stdout
    assert "a picture" in done.stdout or "a model" in done.stdout
