import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from lic.bitstream import Stream, StreamError
from lic.codecs.learned import LearnedCodec, fingerprint
from lic.data.images import Pixels
from lic.entropy import load_tables, tables
from lic.errors import UserError
from lic.models import CompressionModel, TransformCoding, build_model
from lic.models.hyperprior import MeanScaleHyperprior
from lic.store.description import Description

from ..objectives import rd

SIZES = [(1, 1), (1, 64), (64, 1), (2, 3), (7, 200), (65, 129), (64, 64), (100, 130)]
FAMILIES: list[dict[str, Any]] = [
    {"name": "baseline", "kernel_size": 3},
    {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3},
    {"name": "resnet3x3_4", "bottleneck": 12},
]
SUBPIXEL: list[dict[str, Any]] = [
    {"name": "baseline", "kernel_size": 3, "pixel_unshuffle": 4},
    {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "pixel_unshuffle": 2},
    {"name": "resnet3x3_3", "pixel_unshuffle": 4},
    {"name": "resnet3x3_4", "pixel_unshuffle": 2},
]


def _codec(net: CompressionModel, options: dict[str, Any]) -> LearnedCodec:
    return LearnedCodec(net, Description({"width": 8} | options, rd(5, "ms_ssim")).info(net))


def _copy(codec: LearnedCodec, options: dict[str, Any]) -> LearnedCodec:
    """As another process would have it: the same weights and tables in other objects."""
    net = build_model(**{"width": 8} | options)
    assert isinstance(net, CompressionModel)
    net.load_state_dict(codec.net.state_dict())
    load_tables(net, tables(codec.net))
    return _codec(net, options)


def _image(height: int, width: int) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    return (
        np.stack([3 * rows + noise, 2 * columns + noise, 255 - rows - noise], -1)
        .clip(0, 255)
        .astype(np.uint8)
    )


@pytest.fixture(params=FAMILIES, ids=lambda options: options["name"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture
def codec(make_net: Any, options: dict[str, Any]) -> LearnedCodec:
    return _codec(make_net(**options), options)


def test_round_trip_of_every_size(codec: LearnedCodec, options: dict[str, Any]) -> None:
    decoder = _copy(codec, options)
    for height, width in SIZES:
        image = _image(height, width)
        encoded = codec.encode(image)
        decoded = decoder.decode(encoded.data)
        assert decoded.shape == (height, width, 3) and decoded.dtype == np.uint8
        assert np.array_equal(decoded, encoded.reconstruct()), (height, width)
        stream = Stream.unpack(encoded.data)
        assert (stream.height, stream.width) == (height, width)
        assert codec.encode(image).data == encoded.data, "coding is repeatable"


@pytest.mark.parametrize("options", SUBPIXEL, ids=lambda o: f"{o['name']}-{o['pixel_unshuffle']}")
def test_round_trip_of_odd_sizes_with_blocks_of_pixels(make_net: Any, options: dict[str, Any]) -> None:
    net = make_net(**options)
    whole, tiled = _codec(net, options), LearnedCodec(net, _codec(net, options).info, tile=2 * net.stride)
    decoder = _copy(whole, options)
    for height, width in [(1, 1), (3, 65), (129, 63), (257, 70)]:
        image = _image(height, width)
        for codec in (whole, tiled):
            encoded = codec.encode(image)
            decoded = decoder.decode(encoded.data)
            assert decoded.shape == image.shape
            if codec is whole:
                assert np.array_equal(decoded, encoded.reconstruct()), (height, width)
            else:  # its decoder sums in another order
                difference = np.abs(decoded.astype(int) - encoded.reconstruct())
                assert difference.max() <= 1 and (difference > 0).mean() < 1e-3, (height, width)


def test_reconstruction_is_that_of_the_network(codec: LearnedCodec) -> None:
    image = _image(64, 128)
    assert isinstance(codec.net, TransformCoding)
    x = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
    with torch.no_grad():
        _, y_hat = codec.net.encode_latents(codec.net.g_a(x))
        expected = codec.net.g_s(y_hat).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    difference = codec.encode(image).reconstruct() - expected
    assert np.abs(difference).max() <= 0.5 + 1e-2


def test_estimated_bits_are_those_of_the_file(make_net: Any) -> None:
    codec = _codec(make_net(**FAMILIES[0]), FAMILIES[0])
    noise = np.random.default_rng(0).integers(0, 256, (256, 384, 3), np.uint8)
    encoded = codec.encode(noise)  # what the fixture scales the latents for
    payload = 8 * sum(map(len, Stream.unpack(encoded.data).payloads))
    assert encoded.estimate_bits() == pytest.approx(payload, rel=0.01)
    assert 8 * len(encoded.data) - payload <= 8 * 24


def test_a_stream_of_another_model_is_refused(make_net: Any) -> None:
    first, second = (_codec(make_net(seed, **FAMILIES[0]), FAMILIES[0]) for seed in (0, 1))
    data = first.encode(_image(20, 20)).data
    with pytest.raises(
        StreamError, match=f"another model .*{first.fingerprint.hex()}.*{second.fingerprint.hex()}"
    ):
        second.decode(data)


def test_a_decoder_that_computes_other_probabilities_says_so(make_net: Any) -> None:
    """What a broken machine could do to a few scales, forced upon all."""
    options = FAMILIES[1]
    encoder = _codec(make_net(**options), options)
    decoder = _copy(encoder, options)
    decoder.fingerprint = encoder.fingerprint
    data = encoder.encode(_image(128, 128)).data
    decoder.decode(data)
    assert isinstance(decoder.net, MeanScaleHyperprior)
    decoder.net.moments.register_forward_hook(lambda *args: args[-1] + 1)
    with pytest.raises(StreamError, match="does not compute as IEEE 754"):
        decoder.decode(data)


def test_damaged_files_are_refused(codec: LearnedCodec) -> None:
    data = codec.encode(_image(70, 40)).data
    for length in itertools.chain(range(40), range(40, len(data), 97), [len(data) - 1]):
        with pytest.raises(StreamError):
            codec.decode(data[:length])
    for bit in [*range(8 * 40), *range(8 * 40, 8 * len(data), 211), 8 * len(data) - 1]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            codec.decode(bytes(damaged))
    with pytest.raises(StreamError, match="not a lic stream"):
        codec.decode(b"\x89PNG\r\n\x1a\n" + data)


def test_torchs_default_type_changes_no_stream(codec: LearnedCodec) -> None:
    image = _image(70, 40)
    expected = codec.encode(image)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert codec.encode(image).data == expected.data
        assert np.array_equal(codec.decode(expected.data), expected.reconstruct())
        with pytest.raises(UserError, match="networks are made as float32"):
            build_model("baseline")
    finally:
        torch.set_default_dtype(before)


def test_images_beyond_the_format_are_refused(codec: LearnedCodec) -> None:
    with pytest.raises(UserError, match="1048577x1 pixels; a side may have 1,048,576"):
        codec.encode(np.zeros((1, (1 << 20) + 1, 3), np.uint8))
    codec.max_pixels = 100
    with pytest.raises(UserError, match="all together 100 unless"):
        codec.encode(_image(11, 10))


def test_numbers_that_are_not_finite_are_refused(codec: LearnedCodec) -> None:
    with torch.no_grad():
        next(codec.net.get_submodule("g_a").parameters())[0] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        codec.encode(_image(64, 64))


def test_the_fingerprint_tells_every_weight_and_table(make_net: Any) -> None:
    net = make_net(**FAMILIES[1])
    original = fingerprint(net)
    assert len(original) == 4
    assert fingerprint(_copy(_codec(net, FAMILIES[1]), FAMILIES[1]).net) == original
    assert fingerprint(net.to(memory_format=torch.contiguous_format)) == original

    weight = net.get_parameter("g_s.6.bias")
    before = weight.detach().clone()
    with torch.no_grad():
        weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf))
    assert fingerprint(net) != original
    with torch.no_grad():
        weight.copy_(before)
    assert fingerprint(net) == original

    changed = {name: table.clone() for name, table in tables(net).items()}
    changed["entropy_bottleneck._quantized_cdf"][0, 1] += 1
    load_tables(net, changed)
    assert fingerprint(net) != original


@pytest.mark.parametrize("size", [(70, 50), (256, 192), (2048, 512)])
def test_a_forged_size_is_not_read_past_the_end(codec: LearnedCodec, size: tuple[int, int]) -> None:
    stream = Stream.unpack(codec.encode(_image(40, 50)).data)
    forged = dataclasses.replace(stream, width=size[0], height=size[1])
    with pytest.raises(StreamError, match="the file is forged"):
        codec.decode(forged.pack())


def test_latents_are_those_of_the_checksum(codec: LearnedCodec) -> None:
    stream = Stream.unpack(codec.encode(_image(40, 50)).data)
    forged = dataclasses.replace(stream, latent_checksum=b"\x80\0")
    assert stream.latent_checksum != forged.latent_checksum
    with pytest.raises(StreamError, match="other latents"):
        codec.decode(forged.pack())


def test_a_stream_with_other_payloads_is_refused(codec: LearnedCodec) -> None:
    stream = Stream.unpack(codec.encode(_image(40, 50)).data)
    with pytest.raises(StreamError, match="payloads left over"):
        codec.decode(dataclasses.replace(stream, payloads=(*stream.payloads, b"more")).pack())
    if len(stream.payloads) > 1:
        with pytest.raises(StreamError, match="too few payloads"):
            codec.decode(dataclasses.replace(stream, payloads=stream.payloads[:1]).pack())
