"""The networks around a compact image: layers, sizes, the pass, tiles, files by the network alone."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lic.bitstream import Stream, StreamError
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.data import Pixels
from lic.data.images import to_batch, to_float, to_uint8
from lic.entropy.pixels import CODERS
from lic.errors import UserError
from lic.metrics.complexity import macs_per_pixel
from lic.models import CompactImage, build_model
from lic.models.comcnn_reccnn import ComCNNRecCNN
from lic.models.icm_irm import ICMIRM
from lic.models.image_upsampling import IMAGE_UPSAMPLERS
from lic.models.srgan import SRResNet

INFO = CodecInfo("compact", "", learned=True, model="compact")
COM: dict[str, Any] = {"name": "comcnn_reccnn"}
ICM: dict[str, Any] = {"name": "icm_irm"}
SRGAN = ICM | {"upsample": "srgan", "generator_width": 4, "generator_blocks": 1}
KINDS: dict[str, dict[str, Any]] = {
    "com": COM,
    "com stride 3": COM | {"stride": 3},
    "com first layer": COM | {"stride_layer": 1, "batch_norm": False},
    "com gray": COM | {"channels": 1},
    "icm": ICM,
    "icm stride 3": ICM | {"stride": 3, "dilation": 2},
    "icm stride 4": ICM | {"stride": 4, "w1": 3},
    "icm plain": ICM | {"skips": False, "separable": False},
    "icm unbounded": ICM | {"quantise_in_training": False},
    "icm gray": ICM | {"channels": 1},
    "srgan": SRGAN,
    "srgan stride 3": SRGAN | {"stride": 3},
    "srgan stride 4": SRGAN | {"stride": 4, "generator_blocks": 2},
    "srgan gray": SRGAN | {"channels": 1},
}


def make(seed: int = 0, **options: Any) -> CompactImage:
    """A network whose batch normalizations have statistics of their own, and whose residual is no zero."""
    torch.manual_seed(seed)
    net = build_model(**{"width": 4} | options)
    assert isinstance(net, CompactImage)
    for module in net.modules():
        if isinstance(module, SRResNet):  # which begins as interpolation and passes nothing negative on
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                    layer.reset_parameters()
            with torch.no_grad():
                module.last.weight.mul_(4)
                module.get_parameter("last.bias").fill_(0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def image(height: int, width: int, channels: int = 3) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(rows / (9 + c)) * np.cos(columns / (13 - c)) for c in range(channels)]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, channels))
    return (np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "com", "rec"),
    [
        (COM | {"channels": 1}, 38_273, 668_225),
        (COM, 40_579, 670_531),
        (COM | {"stride_layer": 1}, 40_579, 670_531),
        (COM | {"batch_norm": False}, 40_579 - 128, 670_531),
        (ICM | {"channels": 1}, 38_273, 396_417),
        (ICM, 40_579, 398_723),
        (ICM | {"skips": False}, 40_579, 398_723),
        (ICM | {"separable": False}, 40_579, 559_363),
        (ICM | {"separable": False, "channels": 1}, 38_273, 557_057),
        (ICM | {"w1": 3}, 3_735, 398_723),
        (ICM | {"w1": 3, "channels": 1}, 2_527, 396_417),
        (ICM | {"stride": 4, "dilation": 3}, 40_579, 398_723),
    ],
)
def test_parameters(options: dict[str, Any], com: int, rec: int) -> None:
    net = build_model(**options)
    assert isinstance(net, CompactImage)
    assert (count(net.com), count(net.up), count(net.rec)) == (com, 0, rec)


@pytest.mark.parametrize(
    ("options", "thousands"),
    [(COM, 667), (ICM, 395), (ICM | {"separable": False}, 556), (COM | {"channels": 1}, 665)],
)
def test_multiply_accumulates_of_the_reconstruction(options: dict[str, Any], thousands: int) -> None:
    net = build_model(**options)
    assert isinstance(net, CompactImage)
    assert round(macs_per_pixel(net.rec, 32, net.image_channels) / 1000) == thousands


def test_the_layers_are_the_papers() -> None:
    def kinds(net: nn.Module) -> str:
        names = {"Conv2d": "c", "ReLU": "r", "BatchNorm2d": "b"}
        return "".join(names[type(m).__name__] for m in net.modules() if not list(m.children()))

    com, icm = build_model(**COM), build_model(**ICM)
    assert isinstance(com, ComCNNRecCNN) and isinstance(icm, ICMIRM)
    assert kinds(com.com) == "crcbrc" and kinds(com.rec) == "cr" + 18 * "cbr" + "c"
    assert kinds(icm.com) == "crcrbc" and kinds(icm.rec) == "cr" + 5 * "ccrb" + 10 * "crb" + "c"
    convolutions = [m for m in icm.rec.modules() if isinstance(m, nn.Conv2d)]
    assert [m.groups for m in convolutions] == [1] + 5 * [64, 1] + 11 * [1]
    for net, strides in ((com, (1, 2, 1)), (build_model(**COM, stride_layer=1), (2, 1, 1)), (icm, (1, 2, 1))):
        assert isinstance(net, CompactImage)
        assert tuple(m.stride[0] for m in net.com if isinstance(m, nn.Conv2d)) == strides


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("skips", [True, False])
@torch.no_grad()
def test_irm_is_what_the_table_says(skips: bool, separable: bool) -> None:
    """Once more, in functions: 5 x (convolution, ReLU, BN) in three blocks, then ReLU(block + its input)."""
    net = make(name="icm_irm", skips=skips, separable=separable)
    weights = net.rec.state_dict()

    def convolved(layer: str, x: torch.Tensor, groups: int = 1) -> torch.Tensor:
        kernel = weights[f"{layer}.weight"]
        padding = kernel.shape[-1] // 2
        return F.conv2d(x, kernel, weights[f"{layer}.bias"], padding=padding, groups=groups)

    def normalized(layer: str, x: torch.Tensor) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{layer}.{name}"] for name in names))

    x = torch.rand(1, 3, 9, 11)
    y = convolved("0", x).relu()
    for block in (2, 3, 4):
        inside = y
        for layer in range(0, 15, 3):
            name = f"{block}.body.{layer}"
            if separable and block == 2:
                inside = convolved(f"{name}.1", convolved(f"{name}.0", inside, groups=4))
            else:
                inside = convolved(name, inside)
            inside = normalized(f"{block}.body.{layer + 2}", inside.relu())
        y = (inside + y).relu() if skips else inside
    expected = convolved("5", y)
    assert expected.std() > 0.01
    torch.testing.assert_close(net.rec(x), expected)


def test_initial_values_are_xaviers() -> None:
    net = build_model(**ICM)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            fan = (layer.weight[0].numel(), layer.weight[:, 0].numel())
            bound = (6 / sum(fan)) ** 0.5
            largest = layer.weight.abs().max().item()
            assert 0.9 * bound < largest <= bound
    assert isinstance(net, CompactImage) and isinstance(net.com[-1], nn.Conv2d)
    assert net.com[-1].bias is not None and net.com[-1].bias.tolist() == [0.5] * 3


def test_the_kinds_have_every_up_sampler() -> None:
    assert {options.get("upsample", "bicubic") for options in KINDS.values()} == set(IMAGE_UPSAMPLERS)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (13, 22)])
def test_a_pass_gives_images_of_the_same_size(
    options: dict[str, Any], size: tuple[int, int], training: bool
) -> None:
    net = make(**options).train(training)
    x = torch.rand(2, net.image_channels, *size)
    out = net(x)
    assert out.x_hat.shape == out.enlarged.shape == x.shape and not out.bits
    assert out.compact.shape == (2, net.image_channels, *(-(-side // net.stride) for side in size))
    if net.quantise_in_training or not training:
        assert torch.equal(out.compact, to_float(to_uint8(out.compact)))
    else:
        assert not torch.equal(out.compact, to_float(to_uint8(out.compact)))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(out.x_hat, out.enlarged)


def test_what_is_enlarged_is_bicubic() -> None:
    out = make(**ICM)(torch.rand(1, 3, 12, 20))
    expected = F.interpolate(out.compact, (12, 20), mode="bicubic", antialias=True)
    torch.testing.assert_close(out.enlarged, expected)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_every_parameter_learns(options: dict[str, Any]) -> None:
    net = make(**options).train()
    x = torch.rand(2, net.image_channels, 24, 24)
    (net(x).x_hat - x).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        ahead_of_normalization = name.endswith("bias") and not parameter.grad.abs().max() > 1e-9
        assert ahead_of_normalization or parameter.grad.any(), name


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (40, 24)])
def test_a_file_comes_back(options: dict[str, Any], size: tuple[int, int]) -> None:
    net = make(**options)
    codec, pixels = LearnedCodec(net, INFO), image(*size, net.image_channels)
    encoded = codec.encode(pixels)
    decoded = LearnedCodec(make(**options), INFO).decode(encoded.data)
    assert decoded.shape == pixels.shape and np.array_equal(decoded, encoded.reconstruct())
    with torch.no_grad():
        shown = to_uint8(net(to_float(to_batch(pixels))).x_hat)[0].permute(1, 2, 0).numpy()
    assert np.abs(decoded.astype(int) - shown).max() <= 1


@torch.no_grad()
def test_the_payload_is_the_compact_image() -> None:
    net, pixels = make(**ICM), image(30, 51)
    compact = net(to_float(to_batch(pixels))).compact
    (payload,) = Stream.unpack(LearnedCodec(net, INFO).encode(pixels).data).payloads
    kept = CODERS["huffman"].decode(payload, (15, 26, 3))
    assert len(np.unique(kept)) > 20
    assert np.array_equal(kept, to_uint8(compact)[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_tiles_give_what_the_whole_image_gives(options: dict[str, Any]) -> None:
    net = make(**options)
    pixels = image(75, 141, net.image_channels)
    whole, tiled = (net.shrink(pixels, tile) for tile in (1000, 24))
    assert np.abs(whole.astype(int) - tiled).max() <= 1 and len(np.unique(whole)) > 5
    stream = Stream.unpack(LearnedCodec(net, INFO).encode(pixels).data)
    one, other = (net.decode(stream, tile).astype(int) for tile in (1000, 24))
    assert np.abs(one - other).max() <= 1 and len(np.unique(one)) > 5


@torch.no_grad()
def test_the_inside_shows_what_the_residual_adds() -> None:
    net, pixels = make(**ICM), image(20, 31)
    encoded = LearnedCodec(net, INFO).encode(pixels)
    inner = encoded.inner()
    assert inner and [stage.name for stage in inner.stages] == ["up-sampled", "x_hat"]
    assert [stage.bits for stage in inner.stages] == [8 * len(encoded.data)] * 2
    out = net(to_float(to_batch(pixels)))
    for stage, shown in zip(inner.stages, (out.enlarged, out.x_hat), strict=True):
        assert np.abs(stage.image - to_uint8(shown)[0].permute(1, 2, 0).numpy().astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("payloads", "words"), [((b"", b""), "another number of payloads"), ((b"",), "cannot be decoded")]
)
def test_forged_payloads_are_refused(payloads: tuple[bytes, ...], words: str) -> None:
    codec = LearnedCodec(make(**ICM), INFO)
    with pytest.raises(StreamError, match=words):
        codec.decode(Stream(codec.fingerprint, 9, 9, b"", payloads).pack())


def test_what_is_not_finite_is_not_coded() -> None:
    net = make(**COM)
    with torch.no_grad():
        net.get_parameter("com.0.weight").fill_(torch.nan)
    with pytest.raises(UserError, match=r"not finite.*Use an earlier checkpoint"):
        LearnedCodec(net, INFO).encode(image(20, 20))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (COM | {"width": 0}, r"model\.width must be a positive number of channels, not 0"),
        (COM | {"stride": 1}, r"model\.stride must be 2, 3 or 4, not 1"),
        (COM | {"stride": 2.0}, r"model\.stride must be"),
        (COM | {"stride_layer": 3}, r"model\.stride_layer must be 1 or 2, not 3"),
        (COM | {"batch_norm": 1}, r"model\.batch_norm must be true or false"),
        (COM | {"upsample": "bicubic"}, r"'comcnn_reccnn' cannot be built with upsample=bicubic"),
        (ICM | {"w1": True}, r"model\.w1 must be a positive number"),
        (ICM | {"dilation": 0}, r"model\.dilation must be a whole number from 1 to 16, not 0"),
        (
            ICM | {"upsample": "tconv"},
            r"Unknown upsampler 'tconv'; choose upsample=bicubic or upsample=s",
        ),
        (
            ICM | {"generator_width": 64},
            r"generator_width is of upsample=srgan; leave it out with upsample=b",
        ),
        (ICM | {"generator_blocks": 1}, r"generator_blocks is of upsample=srgan"),
        (
            SRGAN | {"generator_width": 0},
            r"model\.generator_width must be a positive number of",
        ),
        (SRGAN | {"generator_blocks": True}, r"model\.generator_blocks must be a positive number"),
        (ICM | {"skips": "no"}, r"model\.skips must be true or false"),
        (ICM | {"separable": None}, r"model\.separable must be true or false"),
        (ICM | {"quantise_in_training": 0}, r"model\.quantise_in_training must be true or false"),
        (ICM | {"channels": 2}, r"model\.channels must be 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_model(**options)


def test_a_colour_image_has_no_place_in_a_gray_network() -> None:
    codec = LearnedCodec(make(**ICM, channels=1), INFO)
    with pytest.raises(UserError, match="colour"):
        codec.encode(image(8, 8))
