"""What every network must do, whatever its family."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lic.entropy import total_bits
from lic.errors import UserError
from lic.models import TransformCoding, autoregressive, build_model, describe_model
from lic.models.autoregressive import JointAutoregressive
from lic.models.subpixel import FastDIC, ScaleHyperprior


@pytest.fixture
def net(variant: dict[str, Any], make_net: Any) -> TransformCoding:
    return make_net(**variant)


@pytest.fixture
def x(net: TransformCoding) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, net.downsampling, 2 * net.downsampling, generator=generator)


@pytest.mark.parametrize("training", [True, False])
def test_forward(net: TransformCoding, x: Tensor, training: bool) -> None:
    out = net.train(training)(x)
    assert out.x_hat.shape == x.shape and out.x_hat.dtype == torch.float32
    assert set(out.bits) == ({"y", "z"} if hasattr(net, "h_a") else {"y"})
    for bits in out.bits.values():
        assert bits.shape == (2,) and bits.dtype == torch.float32
        assert bits.isfinite().all() and (bits > 0).all()


def test_training_adds_noise_and_evaluation_rounds(net: TransformCoding, x: Tensor) -> None:
    y = net.g_a(x)
    rounded, _ = net.bottleneck(y)
    assert torch.equal(rounded, net.bottleneck(y)[0])
    assert ((rounded - y).abs() <= 0.5 + 1e-4).all()
    noisy, _ = net.train().bottleneck(y)
    assert not torch.equal(noisy, net.bottleneck(y)[0])
    assert ((noisy - y).abs() <= 0.5 + 1e-4).all() and (noisy - y).std() > 0.2


@torch.no_grad()
def test_decoder_finds_the_encoders_latents(net: TransformCoding, x: Tensor) -> None:
    x = x[:1]
    y = net.g_a(x)
    assert y.shape[1:] == (net.latent_channels, x.shape[2] // net.stride, x.shape[3] // net.stride)
    payloads, sent = net.encode_latents(y)
    assert sent.round().unique().numel() > 5, "latents that are all zero prove nothing"
    assert ((sent - y).abs() <= 0.5 + 1e-4).all()
    assert torch.equal(net.decode_latents(iter(payloads), (x.shape[-2], x.shape[-1])), sent)


@torch.no_grad()
def test_payloads_are_as_long_as_the_likelihoods_promise(
    net: TransformCoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in ((net, "split"), (autoregressive, "_split")):
        if split := getattr(place, name, None):  # an untrained net's scales lie far off its latents'
            monkeypatch.setattr(place, name, partial(_with_wide_scales, split))
    y = net.g_a(torch.rand(1, 3, 256, 256))
    payloads, y_hat = net.encode_latents(y)
    promised = sum(total_bits(p).item() for p in net.likelihoods(y, y_hat).values())
    flush = 64 * len(payloads)  # the coder's last state
    assert promised < 8 * sum(map(len, payloads)) < 1.02 * promised + flush


@torch.no_grad()
def test_the_heat_maps_hold_the_bits_of_the_estimate(net: TransformCoding) -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 130, 3), np.uint8)
    coded = net.encode(image, 640)
    inner = coded.inner()
    assert inner and not inner.stages
    assert sum(one.values.sum() for one in inner.maps) == pytest.approx(coded.estimate_bits(), rel=1e-5)
    y = net.analyze(image, 640)
    assert inner.maps[0].name == "bits of y" and inner.maps[0].values.shape == y.shape[2:]
    for one in inner.maps:
        assert one.highest == one.values.max() and one.values.min() >= 0
        height, width = (side * one.stride for side in one.values.shape)
        assert height >= 70 and width >= 130 and max(height - 70, width - 130) < net.downsampling


def _with_wide_scales(
    split: Callable[[Tensor], tuple[Tensor, Tensor]], outputs: Tensor
) -> tuple[Tensor, Tensor]:
    means, scales = split(outputs)
    return means, torch.full_like(scales, 4.0)


def test_every_parameter_learns_from_the_rd_loss_except_quantiles(net: TransformCoding, x: Tensor) -> None:
    out = net.train()(x)
    ((out.x_hat - x).square().mean() + sum(bits.mean() for bits in out.bits.values())).backward()
    for name, parameter in net.named_parameters():
        has_gradient = parameter.grad is not None and bool(parameter.grad.any())
        assert has_gradient != name.endswith("quantiles"), name


def test_weights_are_channels_last(net: TransformCoding) -> None:
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert weights and all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_layers_without_bias_are_those_of_the_paper(net: TransformCoding) -> None:
    """Cheng et al.: the encoder's last convolution and the last of the entropy parameters."""
    expected = set()
    if not isinstance(net, ScaleHyperprior | FastDIC | JointAutoregressive):
        expected.add(f"g_a.{len(list(net.g_a.children())) - 1}")
        if hasattr(net, "entropy_parameters"):
            expected.add("entropy_parameters.4")
    convolutions = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    assert {name for name, m in convolutions.items() if m.bias is None} == expected


@pytest.mark.parametrize("r", [1, 2, 4])
@pytest.mark.parametrize(("name", "z_stride"), [("baseline", 1), ("hyperprior", 4), ("resnet3x3_4", 4)])
def test_blocks_of_pixels_make_latents_coarser(name: str, z_stride: int, r: int) -> None:
    net = build_model(name, width=8, pixel_unshuffle=r)
    assert isinstance(net, TransformCoding)
    assert (net.stride, net.downsampling) == (16 * r, 16 * r * z_stride)
    with torch.no_grad():
        y = net.g_a(torch.zeros(1, 3, 64 * r, 128 * r))
        assert y.shape == (1, net.latent_channels, 4, 8) and net.g_s(y).shape == (1, 3, 64 * r, 128 * r)


@pytest.mark.parametrize(("drop", "stride"), [(True, 16), (False, 64)])
def test_fastdic_drops_the_stages_that_blocks_replace(drop: bool, stride: int) -> None:
    net = build_model("fastdic", pixel_unshuffle=4, drop=drop, width=8)
    assert isinstance(net, TransformCoding)
    assert (net.stride, net.downsampling) == (stride, 4 * stride)
    assert "g_a.1.weight" in net.state_dict(), "as in checkpoints that are about"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "vgg"}, r"Unknown model 'vgg'; choose one of baseline, hyperprior, resnet3x3_3, "),
        ({"name": "baseline", "kernel_size": 4}, r"model.kernel_size must be an odd number .* not 4"),
        ({"name": "baseline", "kernel_size": 1}, r"model.kernel_size must be an odd"),
        ({"name": "hyperprior", "aux_kernel_size": 6}, r"model.aux_kernel_size must be an odd .* not 6"),
        ({"name": "hyperprior", "width": 0}, r"model.width must be a positive even number .* not 0"),
        ({"name": "baseline", "width": -2}, r"model.width must be"),
        ({"name": "resnet3x3_3", "width": 7}, r"model.width must be"),
        ({"name": "resnet3x3_4", "bottleneck": 13}, r"model.bottleneck must be .* not 13"),
        ({"name": "resnet3x3_4", "upsample": "bicubic"}, r"'bicubic'.*tconv.*subpixel"),
        ({"name": "baseline", "upsample": "tconv"}, r"'baseline' cannot be built with upsample=tconv"),
        ({"name": "baseline", "width": "wide"}, r"model.width must be .* not 'wide'"),
        ({"name": "resnet3x3_3", "width": 8.5}, r"model.width|cannot be built"),
        ({"name": "baseline", "kernel_size": 3.0}, r"model.kernel_size|cannot be built"),
        ({"name": "residual_gn", "width": 2**20}, r"not enough memory for .* width=1048576; choose smaller"),
        ({"name": "baseline", "pixel_unshuffle": 3}, r"model.pixel_unshuffle must be 1, 2 or 4, not 3\."),
        ({"name": "hyperprior", "pixel_unshuffle": 8}, r"model.pixel_unshuffle must be 1, 2 or 4, not 8\."),
        ({"name": "resnet3x3_3", "pixel_unshuffle": 0}, r"model.pixel_unshuffle must be .* not 0\."),
        ({"name": "resnet3x3_4", "pixel_unshuffle": 2.0}, r"model.pixel_unshuffle must be .* not 2\.0\."),
        ({"name": "hyperprior", "pixel_unshuffle": True}, r"model.pixel_unshuffle must be .* not True\."),
        ({"name": "fastdic", "pixel_unshuffle": 1}, r"model.pixel_unshuffle must be 2 or 4, not 1\."),
        ({"name": "scale_hyperprior", "pixel_unshuffle": 2}, r"'scale_hyperprior' cannot be built with"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_model(**options)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"name": "baseline", "kernel_size": 5, "width": 128}, "baseline"),
        ({"name": "baseline", "kernel_size": 9, "width": 128}, "baseline · kernel_size 9"),
        ({"name": "resnet3x3_4", "upsample": "subpixel"}, "resnet3x3_4 · subpixel"),
        (
            {"name": "resnet3x3_4", "upsample": "tconv", "width": 48, "bottleneck": 48},
            "resnet3x3_4 · tconv · width 48",
        ),
        (
            {"name": "resnet3x3_4", "upsample": "tconv", "width": 128, "bottleneck": 192},
            "resnet3x3_4 · tconv · bottleneck 192",
        ),
        (
            {"name": "resnet3x3_4", "upsample": "tconv", "width": 64, "bottleneck": 128},
            "resnet3x3_4 · tconv · width 64 · bottleneck 128",
        ),
        ({"name": "resnet3x3_3", "shortcut": False}, "resnet3x3_3 · shortcut False"),
        ({"name": "fastdic", "width": 128, "bottleneck": 192}, "fastdic"),
        ({"name": "fastdic", "width": 128, "bottleneck": 128}, "fastdic · bottleneck 128"),
        ({"name": "slowdic", "width": 64, "bottleneck": 64}, "slowdic · width 64"),
        ({"name": "slowdic", "width": 64}, "slowdic · width 64 · bottleneck 192"),
        ({"name": "slowdic", "width": 64, "bottleneck": 192}, "slowdic · width 64 · bottleneck 192"),
        ({"name": "hyperprior", "pixel_unshuffle": 1}, "hyperprior"),
        ({"name": "hyperprior", "pixel_unshuffle": 2}, "hyperprior · pixel_unshuffle 2"),
    ],
)
def test_names_say_what_is_not_default(options: dict[str, Any], name: str) -> None:
    assert describe_model(**options) == name
