"""The codec of binary latents: architecture, coding to files, and what it refuses."""

from typing import Any

import numpy as np
import pytest
import torch

from lic.bitstream import Stream, StreamError
from lic.codecs.learned import LearnedCodec
from lic.entropy import bits as coder
from lic.errors import UserError
from lic.layers.importance import mask_of
from lic.metrics.complexity import macs_per_pixel
from lic.models import build_model
from lic.models.residual import STEPS

from .binary_nets import INFO, KINDS, image, make

PARAMETERS = {
    (32, 32): (305_092, 596_295, 887_498, 1_178_701),
    (32, 64): (323_588, 633_287, 942_986, 1_252_685),
    (32, 128): (360_580, 707_271, 1_053_962, 1_400_653),
    (64, 32): (1_174_340, 2_293_255, 3_412_170, 4_531_085),
    (64, 64): (1_211_268, 2_367_111, 3_522_954, 4_678_797),
    (64, 128): (1_285_124, 2_514_823, 3_744_522, 4_974_221),
    (128, 32): (4_605_508, 8_989_575, 13_373_642, 17_757_709),
    (128, 64): (4_679_300, 9_137_159, 13_595_018, 18_052_877),
    (128, 128): (4_826_884, 9_432_327, 14_037_770, 18_643_213),
}


def counted(m: int, n: int, r: int) -> int:
    """The parameters as architecture tables give them, layer by layer."""

    def conv(i: int, o: int, k: int) -> int:
        return k * k * i * o + o

    def down(i: int) -> int:
        return conv(i, m, 3) + conv(m, m, 3) + 4 * m + conv(i, m, 1)

    up = conv(m, 4 * m, 3) + conv(m, m, 3) + 4 * m + conv(m, 4 * m, 1)
    stage = down(3) + 3 * down(m) + conv(m, n, 3) + n + conv(n, m, 3) + 4 * up + conv(m, 3, 3)
    importance = conv(m, m, 3) + conv(m, m // 2, 3) + conv(m // 2, 1, 1)
    return (1 + r) * stage + importance


@pytest.mark.parametrize(("sizes", "expected"), PARAMETERS.items())
def test_parameters(sizes: tuple[int, int], expected: tuple[int, ...]) -> None:
    m, n = sizes
    for r, count in enumerate(expected):
        net = build_model("residual_gn", width=m, bottleneck=n, residuals=r)
        assert sum(p.numel() for p in net.parameters()) == count == counted(m, n, r)


def test_the_model_grows_about_twofold_from_one_residual_to_three() -> None:
    """The paper: "model size increased by about two times"."""
    assert 1.9 < PARAMETERS[128, 64][3] / PARAMETERS[128, 64][1] < 2.1


def test_multiply_accumulates() -> None:
    assert macs_per_pixel(build_model("residual_gn")) == 243_128


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_forward(options: dict[str, Any], training: bool) -> None:
    net = make(**options).train(training)
    x = torch.rand(2, net.image_channels, 37, 50)
    out = net(x)
    assert out.x_hat.shape == x.shape and out.x_hat is out.stages[-1]
    assert len(out.stages) == 1 + len(net.residual) + (net.post is not None)
    assert len(out.bits) == 1 + len(net.residual) and out.rate.shape == (2,)
    positions = 3 * 4
    for bits in out.bits.values():
        assert bits.shape == (2,) and ((bits >= 0) & (bits <= positions * net.bottleneck)).all()
    (sum(stage.mean() for stage in out.stages) + out.rate.mean()).backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None]
    assert not missing


@torch.inference_mode()
def test_a_pass_is_that_of_the_specification() -> None:
    """Architecture and objective once more, in the reading "previous" of the quantiser, for use."""
    net = make(residuals=2, quantizer="previous", postprocess=True)
    x = torch.from_numpy(image(48, 80)).permute(2, 0, 1).unsqueeze(0) / 255
    assert net.importance and net.post
    p = net.importance(net.main.g_a(x - 0.5))
    levels = (8 * p + 0.5).floor()  # of thresholds (t - 1/2) / 8, those up to p

    def decoded(stage: Any, residual: torch.Tensor) -> torch.Tensor:
        u, before, z = stage.to_code(stage.g_a(residual)), torch.zeros_like(p), []
        for channel in range(16):
            q = torch.where(u[:, channel : channel + 1] - before >= 0, 1.0, -1.0) * (levels > channel // 2)
            z.append(q + before)
            before = q
        decoder: torch.Tensor = stage.g_s(torch.cat(z, 1))
        return decoder

    first = decoded(net.main, x - 0.5) + 0.5
    second = first + decoded(net.residual[0], x - first)
    third = second + decoded(net.residual[1], x - second)
    polished = third + net.post(torch.cat([third, first], 1))
    out = net(x)
    for stage, expected in zip(out.stages, (first, second, third, polished), strict=True):
        torch.testing.assert_close(stage, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.rate, p.mean().view(1))
    assert sum(out.bits.values()).item() == 3 * 2 * levels.sum().item()


def test_without_gradient_through_the_rate_the_distortion_alone_moves_the_map() -> None:
    net = make().train()
    out = net(torch.rand(2, 3, 64, 64))
    weight = net.get_parameter("importance.4.weight")
    (by_distortion,) = torch.autograd.grad(out.x_hat.square().sum(), weight, retain_graph=True)
    (by_rate,) = torch.autograd.grad(out.rate.sum(), weight)
    assert by_distortion.abs().sum() > 0 and by_rate.abs().sum() > 0


def test_below_its_target_the_ratio_costs_nothing() -> None:
    x = torch.rand(2, 3, 64, 64)
    ratio = make()(x).rate
    assert torch.equal(make(target_ratio=0.9)(x).rate, torch.zeros(2))
    target = ratio.min().item() / 2
    assert torch.allclose(make(target_ratio=target)(x).rate, ratio - target)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 33), (1, 100), (75, 61)])
def test_a_file_comes_back(options: dict[str, Any], size: tuple[int, int]) -> None:
    codec = LearnedCodec(make(**options), INFO)
    pixels = image(*size, channels=codec.net.image_channels)
    encoded = codec.encode(pixels)
    decoded = LearnedCodec(make(**options), INFO).decode(encoded.data)
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    assert np.array_equal(decoded, encoded.reconstruct())


@torch.no_grad()
def test_the_decoder_finds_the_image_of_the_networks_own_pass() -> None:
    net = make(residuals=2, postprocess=True)
    pixels = image(80, 96)
    x = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0) / 255
    out = net(x)
    codec = LearnedCodec(net, INFO)
    encoded = codec.encode(pixels)
    shown = (255 * out.x_hat[0].clamp(0, 1)).round().permute(1, 2, 0).to(torch.uint8).numpy()
    assert np.abs(codec.decode(encoded.data).astype(int) - shown.astype(int)).max() <= 1
    assert encoded.estimate_bits() == sum(bits.item() for bits in out.bits.values())


def test_the_estimate_is_the_papers_formula() -> None:
    """BPP = (n1 + r·n2) / 2^(2M) · mean of what is kept, the map itself left out."""
    net = make(residuals=2)
    pixels = image(64, 96)
    encoded = LearnedCodec(net, INFO).encode(pixels)
    stream = Stream.unpack(encoded.data)
    levels = coder.decode_levels(stream.payloads[0], 4, 6, STEPS)
    assert levels.unique().numel() > 2, "a map that is flat proves nothing"
    kept = mask_of(levels.unsqueeze(0), 16, STEPS).mean().item()
    assert encoded.estimate_bits() / (64 * 96) == pytest.approx((16 + 2 * 16) / 2**8 * kept)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_the_inside_is_that_of_the_file(options: dict[str, Any]) -> None:
    net = make(**options)
    codec, x = LearnedCodec(net, INFO), image(75, 61, net.image_channels)
    encoded = codec.encode(x)
    inner = encoded.inner()
    assert inner
    names = [f"x_hat_{k}" for k in range(1 + len(net.residual))] + ["post-processed"] * bool(net.post)
    assert [stage.name for stage in inner.stages] == names
    assert np.array_equal(inner.stages[-1].image, codec.decode(encoded.data))
    bits = [stage.bits for stage in inner.stages]
    payloads = Stream.unpack(encoded.data).payloads
    lengths = [8 * len(payload) for payload in payloads[-1 - len(net.residual) :]]
    assert bits[-1] == 8 * len(encoded.data)
    assert np.diff(bits).tolist() == lengths[1:] + [0] * bool(net.post)
    with torch.no_grad():
        stages = net(torch.from_numpy(x.copy()).permute(2, 0, 1).unsqueeze(0) / 255).stages
    for stage, x_hat in zip(inner.stages, stages, strict=True):
        wanted = (x_hat[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        assert np.abs(stage.image - wanted).max() <= 1
    assert len(inner.maps) == (1 if net.importance else 0)
    for one in inner.maps:
        levels = coder.decode_levels(payloads[0], 5, 4, STEPS)
        assert np.array_equal(one.values, levels.numpy()) and len(np.unique(one.values)) > 1
        assert (one.stride, one.highest) == (16, STEPS)


def test_the_stages_of_a_gray_image_are_gray() -> None:
    codec, x = LearnedCodec(make(), INFO), image(20, 30, 1)
    inner = codec.encode(x).inner()
    assert inner and [stage.image.shape for stage in inner.stages] == [(20, 30, 1)] * 2
    assert np.array_equal(inner.stages[-1].image, codec.decode(codec.encode(x).data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda payloads: payloads[:-1], "another number of payloads"),
        (lambda payloads: (*payloads, b""), "another number of payloads"),
        (lambda payloads: (b"", *payloads[1:]), "The stream cannot be decoded"),
        (lambda payloads: (*payloads[:-1], payloads[-1] + b"\x01"), "The stream cannot be decoded"),
    ],
)
def test_forged_payloads_are_refused(change: Any, words: str) -> None:
    codec = LearnedCodec(make(), INFO)
    stream = Stream.unpack(codec.encode(image(40, 56)).data)
    forged = Stream(stream.fingerprint, 56, 40, b"", change(stream.payloads))
    with pytest.raises(StreamError, match=words):
        codec.decode(forged.pack())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 6}, r"model\.width must be a multiple of 4, above 128 of 32, not 6"),
        ({"width": 132}, r"model\.width"),
        ({"width": True}, r"model\.width"),
        ({"bottleneck": 12}, r"model\.bottleneck must be a positive multiple of 8"),
        ({"bottleneck": 0, "importance": False}, r"model\.bottleneck"),
        ({"residuals": -1}, r"model\.residuals"),
        ({"residuals": 1.0}, r"model\.residuals"),
        ({"quantizer": "A"}, r"model\.quantizer must be accumulated or previous or independent, not 'A'"),
        ({"normalization": None}, r"model\.normalization must be group or batch or gdn"),
        ({"importance": "yes"}, r"model\.importance must be true or false"),
        ({"postprocess": 1}, r"model\.postprocess must be true or false"),
        ({"target_ratio": 1.0}, r"model\.target_ratio must be from 0 to below 1"),
        ({"target_ratio": 0.5, "importance": False}, r"model\.target_ratio is of the importance map"),
        ({"channels": 2}, r"model\.channels"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_model("residual_gn", **options)


@pytest.mark.parametrize(
    "place", ["importance.0.weight", "main.g_a.0.body.0.weight", "residual.0.quantizer.step"]
)
def test_what_is_not_finite_is_not_coded(place: str) -> None:
    net = make()
    with torch.no_grad():
        net.get_parameter(place).fill_(torch.nan)
    with pytest.raises(UserError, match=r"codes are not finite.*Use an earlier checkpoint"):
        LearnedCodec(net, INFO).encode(image(40, 40))
